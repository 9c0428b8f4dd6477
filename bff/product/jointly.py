"""Loads that arrive together go in one call, where the source takes several SKUs at once.

A batch is open until it is sent: for the rest of the turn of the event loop in which its first load came, for what the
next turn brings, and while it waits for a slot. So a lone load waits for no company, and under load batches grow by
themselves.

A batch whose call fails other than by timeout is repeated in halves, within the retry budget, so that one poisonous SKU
does not take its neighbours down. SKUs that still fail while others of their batch were answered are asked alone for a
while.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial

from bff.cache.flights import Flight
from bff.cache.tiers import Outcome
from bff.product.guard import Guard
from bff.product.loader import Landings, Singly, Tasks, Time
from bff.resilience.errors import Refused
from bff.resilience.stack import Call
from clients.bulk import Found
from clients.errors import Garbled, UpstreamError
from clients.source import Caller, Room, Source

OPEN_SHARE = 0.25  # of a call's time: who joins a batch that waits for a slot has the rest of it left
SUSPECT_SECONDS = 10.0
MAX_SUSPECTS = 1000


@dataclass(slots=True)
class _Family:
    """A batch and the halves that it was taken apart into."""

    under_way: int = 1
    answered: bool = False
    failed: list[str] = field(default_factory=list)


class Batch:
    """Flights that go in one call, and the call.

    caller: the first one's, since a call has one request id. cause: why the call failed of which it repeats a half.
    """

    __slots__ = ("bytes", "call", "caller", "cause", "family", "flights", "open_until", "task")

    def __init__(self, caller: Caller, family: _Family, open_until: float, cause: UpstreamError | None) -> None:
        self.caller = caller
        self.family = family
        self.cause = cause
        self.open_until = open_until
        self.flights: dict[str, Flight[Outcome]] = {}
        self.bytes = 0
        self.call: Call
        self.task: asyncio.Task[None]

    def __repr__(self) -> str:
        return f"<Batch {len(self.flights)}>"

    @property
    def queued(self) -> bool:
        """Whether it waits for a slot."""
        return self.call.queued

    def add(self, flight: Flight[Outcome]) -> None:
        """Take a flight in."""
        self.flights[flight.key] = flight
        self.bytes += len(flight.key) + 1
        flight.work = self

    def abandon(self, flight: Flight[Outcome]) -> None:
        """Forget a flight that nobody waits for; end where it was the last."""
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]
            if not self.flights:
                self.task.cancel()

    def release(self) -> None:
        """Let go of what holds it in turn: flights and call would only be freed by a collection."""
        self.flights.clear()
        del self.call, self.task

    def leaves_to_guard(self, error: Exception) -> bool:
        """Return whether it is the guard that tries again: halves take the place of that, but after a timeout."""
        return isinstance(error, TimeoutError) or len(self.flights) == 1


class Jointly:
    """Loads in batches.

    confirm: whether a SKU that is absent from an answer is asked singly once before that is believed.
    """

    def __init__(
        self,
        source: Source,
        room: Room,
        guard: Guard,
        landings: Landings,
        time: Time,
        singly: Singly,
        *,
        confirm: bool,
    ) -> None:
        self._source = source
        self._room = room
        self._guard = guard
        self._landings = landings
        self._time = time
        self._singly = singly
        self._confirm = confirm
        self._tasks = Tasks()
        self._open: Batch | None = None
        self._suspects: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Jointly {self._tasks!r}, {len(self._suspects)} suspects>"

    def start(self, flight: Flight[Outcome], caller: Caller) -> None:
        """Start the load of a flight: in the batch that is open, or in a new one."""
        if self._suspects and self._suspected(flight.key):
            self._begin(self._batch(caller, _Family()), flight)
            return
        batch = self._open
        if batch is not None and self._fits(batch, flight.key):
            batch.add(flight)
        else:
            self._open = batch = self._batch(caller, _Family())
            self._begin(batch, flight)

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        await self._tasks.aclose()
        await self._singly.aclose()

    def _batch(
        self, caller: Caller, family: _Family, deadline: float | None = None, cause: UpstreamError | None = None
    ) -> Batch:
        now, seconds = self._time.clock(), self._time.call_seconds
        batch = Batch(caller, family, now + OPEN_SHARE * seconds, cause)
        batch.call = Call(
            send=lambda seconds: self._send(batch, seconds),
            deadline=now + seconds if deadline is None else deadline,
            leaves_to_guard=batch.leaves_to_guard,
            is_repeat=deadline is not None,
        )
        return batch

    def _begin(self, batch: Batch, *flights: Flight[Outcome]) -> None:
        for flight in flights:
            batch.add(flight)
        batch.task = self._tasks.start(self._load(batch), partial(self._over, batch))

    def _fits(self, batch: Batch, sku: str) -> bool:
        return (
            0 < len(batch.flights) < self._room.skus  # none are left in one that was abandoned before it began
            and batch.bytes + len(sku) <= self._room.bytes
            and sku not in batch.flights  # it was invalidated since, and has to be asked again
            and (not batch.call.queued or self._time.clock() < batch.open_until)
        )

    async def _send(self, batch: Batch, seconds: float) -> Found:
        self._close(batch)
        return await self._source.fetch_all(tuple(batch.flights), batch.caller, seconds)

    async def _load(self, batch: Batch) -> None:
        try:
            try:
                await asyncio.sleep(0)  # what came over other connections meanwhile goes with it
                found = await self._guard.call(batch.call)
            finally:
                self._close(batch)  # in this very turn: who joined it now would never be told
        except UpstreamError as exc:
            await self._halve(batch, exc)
        except Refused as exc:  # a half that is not asked leaves the answer that there was
            self._fail(batch, list(batch.flights.values()), batch.cause or exc)
        except Exception as exc:
            self._fail(batch, list(batch.flights.values()), exc)
        else:
            self._land(batch, found)

    def _over(self, batch: Batch) -> None:
        self._close(batch)
        left = [flight for flight in batch.flights.values() if flight.work is batch]
        self._fail(batch, left, asyncio.CancelledError())  # where it was cancelled; else none are left
        batch.release()
        self._ended(batch.family)

    def _close(self, batch: Batch) -> None:
        if self._open is batch:
            self._open = None

    def _land(self, batch: Batch, found: Found) -> None:
        batch.family.answered = True
        began, landings = batch.call.began, self._landings
        as_of = landings.as_of(began)
        for sku, flight in batch.flights.items():
            if (part := found.parts.get(sku)) is not None:
                landings.brought(flight, part, began, as_of)
            elif sku in found.garbled or not found.trusted:
                landings.failed(flight, Garbled("not to be told from the rest of its bulk answer"))
            elif self._confirm:
                self._singly.start(flight, batch.caller, batch.call.deadline)
            else:
                landings.brought(flight, None, began, as_of)

    async def _halve(self, batch: Batch, error: UpstreamError) -> None:
        granted = await self._guard.retry.granted(batch.call, error, 2) if len(batch.flights) > 1 else 0
        flights = list(batch.flights.values())
        middle = len(flights) // 2
        for half in (flights[:middle], flights[middle:]):
            if half and granted:
                granted -= 1
                batch.family.under_way += 1
                self._begin(self._batch(batch.caller, batch.family, batch.call.deadline, error), *half)
            else:
                self._fail(batch, half, error)

    def _fail(self, batch: Batch, flights: list[Flight[Outcome]], error: BaseException) -> None:
        if isinstance(error, UpstreamError):
            batch.family.failed += [flight.key for flight in flights]
        for flight in flights:
            self._landings.failed(flight, error)

    def _ended(self, family: _Family) -> None:
        family.under_way -= 1
        if not family.under_way and family.answered:  # so it is not the source as such that is unwell
            until = self._time.clock() + SUSPECT_SECONDS
            self._suspects |= dict.fromkeys(family.failed, until)
            while len(self._suspects) > MAX_SUSPECTS:
                del self._suspects[next(iter(self._suspects))]

    def _suspected(self, sku: str) -> bool:
        until = self._suspects.get(sku)
        if until is not None and self._time.clock() >= until:
            del self._suspects[sku]
            return False
        return until is not None
