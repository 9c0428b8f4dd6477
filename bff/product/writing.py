"""Writing a part: kept out of every cache while its owner is told, and its end said as far as it is known.

Knows no HTTP, and does not read what was there before.
"""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from bff.product.fence import Fence, Untold
from bff.product.parts import SourceName
from bff.resilience.breaker import Circuit
from bff.resilience.errors import CircuitOpen
from bff.resilience.stack import Clock
from clients.errors import NotSent, Postponed, Throttled, Unavailable, Unknown, UpstreamError, Vague
from clients.given import Given
from clients.source import Caller, Held, Source
from clients.write import Writer

TRIES = 2
MARKED = 2.0
"""How long a mark lasts, in times of a whole write: what was sent late may be stored after we stopped waiting."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom parts of one source are written to. circuit: of its reads; seconds: for the whole of a write, or a read."""

    source: Source
    writer: Writer
    circuit: Circuit
    seconds: float


@dataclass(frozen=True, slots=True)
class Write:
    """What is to be written. if_match: what the owner must still hold, as the header has it; None: whatever it is.

    key: for its repeats, which the owner takes once; None: it has none that are not ours.
    """

    source: SourceName
    sku: str
    part: Given
    caller: Caller
    if_match: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The owner has it. part: as it stored it; confirmed: whether nobody is given what was there before any more."""

    part: bytes
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Declined:
    """The owner did not take it. status: 404, 409, 412 or 422."""

    status: int


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Nothing was written: the owner was not asked, or could not be reached."""

    why: Literal["circuit_open", "untold", "unreachable"]


@dataclass(frozen=True, slots=True)
class Failed:
    """The owner answered something else.

    open: whether it may have stored it all the same. vague: whether that was a success, so that it may store it yet.
    passing: whether it said that the same may do better later.
    """

    open: bool
    vague: bool = False
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """It was sent, and nobody knows what came of it."""


Outcome = Stored | Declined | Unwritten | Failed | Unanswered


class Writing:
    """Writes parts to their owners. owners: of the sources that can be written; new_key: makes idempotency keys."""

    def __init__(
        self, owners: Mapping[SourceName, Owner], fence: Fence, clock: Clock, new_key: Callable[[], str]
    ) -> None:
        self._owners = owners
        self._fence = fence
        self._clock = clock
        self._new_key = new_key
        self._under_way: set[asyncio.Task[Outcome]] = set()

    def __repr__(self) -> str:
        return f"<Writing {len(self._under_way)} to {', '.join(self._owners)}>"

    def takes(self, source: SourceName) -> bool:
        """Return whether parts of a source can be written."""
        return source in self._owners

    def fits(self, source: SourceName, part: Given) -> bool:
        """Return whether a part can be written as its owner has it: an amount may be finer than its units."""
        return self._owners[source].writer.fits(part.sent)

    def seconds(self, source: SourceName) -> float:
        """Return how long the whole of a write may take."""
        return self._owners[source].seconds

    async def held(self, source: SourceName, sku: str, caller: Caller) -> Held | None:
        """Return what the owner of a part holds, past every cache; None where it knows no such product.

        Raises UpstreamError or TimeoutError.
        """
        owner = self._owners[source]
        return await owner.source.held(sku, caller, owner.seconds)

    async def write(self, write: Write) -> Outcome:
        """Write a part of a source that takes it; the write goes on to its end where whoever waits for it leaves."""
        task = asyncio.get_running_loop().create_task(self._write(write), context=contextvars.Context())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Wait until every write under way has ended, and close every connection."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        for owner in self._owners.values():
            await owner.writer.aclose()

    async def _write(self, write: Write) -> Outcome:
        owner = self._owners[write.source]
        deadline = self._clock() + owner.seconds
        if _is_open(owner.circuit):
            return Unwritten("circuit_open")
        try:
            mark = await self._fence.mark(write.source, write.sku, MARKED * owner.seconds)
        except Untold:
            return Unwritten("untold")
        outcome = await self._told(owner, write, deadline)
        if isinstance(outcome, Unanswered) or (isinstance(outcome, Failed) and outcome.open):
            return outcome  # and the mark lasts its time: readers ask the source until then
        try:
            await self._fence.lift(mark)
        except Untold:
            if isinstance(outcome, Stored):
                return replace(outcome, confirmed=False)
        return outcome

    async def _told(self, owner: Owner, write: Write, deadline: float) -> Outcome:
        key = write.key or self._new_key()
        for _ in range(TRIES):
            with suppress(NotSent):  # nothing has left, so that it may go again
                return await self._sent(owner, write, key, deadline)
        return Unwritten("unreachable")

    async def _sent(self, owner: Owner, write: Write, key: str, deadline: float) -> Outcome:
        """Tell the owner once; raises NotSent."""
        left = deadline - self._clock()
        if left <= 0:
            raise NotSent("no time left")
        try:
            written = await owner.writer.write(write.sku, write.part.sent, write.caller, key, left, etag=write.if_match)
        except NotSent:
            raise
        except Unknown:
            return Unanswered()
        except UpstreamError as exc:
            vague, passing = isinstance(exc, Vague), isinstance(exc, Postponed | Throttled)
            return Failed(open=isinstance(exc, Unavailable), vague=vague, passing=passing)
        if written.status >= 400:
            return Declined(written.status)
        return Stored(written.part or write.part.shown)


def _is_open(circuit: Circuit) -> bool:
    """Look whether a call would go through. A write is no probe: it may go elsewhere, and takes another time."""
    try:
        circuit.settle(circuit.acquire(), "none")
    except CircuitOpen:
        return True
    return False
