"""Selling: what is reserved goes to the stock service in batches, and what is given back goes back.

Nothing here is in memory alone: whoever finds a batch on disk sends it, and an item is sent until it has an answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from bff.durable import batches, reservations
from bff.durable.batches import Batch
from bff.durable.claims import Worker
from bff.durable.database import Away, Database
from bff.durable.driver import Tx
from clients.errors import UpstreamError

GATHER_SECONDS = 0.01
"""How long a batch waits for company once something has come: long enough for a burst to become one call."""

RETURN_SECONDS = 0.05
UNANSWERED_SECONDS = 1.0
CALLS = 32
"""Under way at once. A batch that waits for another try holds up its own SKU, and none of these."""

BATCHES = 256
RELEASES = 500
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Seller(Protocol):
    """The stock service. Both methods raise UpstreamError, and may be called any number of times with the same."""

    async def deduct(self, batch: Batch) -> Mapping[str, str]:
        """Return what became of each item, as far as it was answered."""

    async def release(self, reservation_ids: Sequence[str]) -> None:
        """Give back what was deducted, and have what was not yet deducted never be."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, and how long.

    rate: most items a second, None without a bound; max_age_seconds: of what is queued; poll_seconds: between looks for
    what nobody has told of.
    """

    rate: float | None
    max_age_seconds: float
    poll_seconds: float


class Selling:
    """Sends batches. changed: told each SKU whose stock has changed; ended: told how many ended how."""

    def __init__(
        self,
        database: Database,
        seller: Seller,
        worker: Worker,
        pace: Pace,
        new_id: Callable[[], str],
        changed: Callable[[Sequence[str]], Awaitable[None]],
        ended: Callable[[Mapping[tuple[str, str], int]], None],
    ) -> None:
        self._database = database
        self._seller = seller
        self._worker = worker
        self._pace = pace
        self._new_id = new_id
        self._changed = changed
        self._ended = ended
        self._after = ""
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._calls = asyncio.Semaphore(CALLS)
        self._wake = asyncio.Event()
        self._wake_returns = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Selling {len(self._under_way)} batches>"

    def wake(self) -> None:
        """Look at once for something to send, or to give back."""
        self._wake.set()
        self._wake_returns.set()

    async def run(self) -> None:
        """Send what is reserved, until cancelled."""
        while True:
            throttled = False
            try:
                throttled = await self._send_next()
            except Away:
                await asyncio.sleep(self._pace.poll_seconds)
            if throttled:
                await asyncio.sleep(batches.PACED_SECONDS / 2)
            else:
                await self._woken(self._wake)
                await asyncio.sleep(GATHER_SECONDS)

    async def run_returns(self) -> None:
        """Give back what is to be given back, until cancelled."""
        failures = 0
        while True:
            try:
                failures = 0 if await self._give_back() else failures + 1
            except Away:
                failures = 0
            if failures:
                await asyncio.sleep(_pause(failures))
            else:
                await self._woken(self._wake_returns)
                await asyncio.sleep(RETURN_SECONDS)

    async def _woken(self, event: asyncio.Event) -> None:
        """Wait until somebody tells that there is something, or it is time to look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.poll_seconds):
                await event.wait()
        event.clear()

    def resume(self, batch_ids: Sequence[str]) -> None:
        """Send batches that are on disk."""
        for batch_id in batch_ids:
            self._board(batch_id, None)

    async def aclose(self) -> None:
        """Leave what is under way to whoever finds it on disk."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_next(self) -> bool:
        """Make batches as far as there is room; return whether it is the rate that there are no more."""
        room = min(CALLS, BATCHES - len(self._under_way))
        if room <= 0:
            return False  # the next one that ends wakes us
        made, throttled = await self._database.write(partial(self._make, room=room, now=self._database.now()))
        for batch in made:
            self._board(batch.id, batch)
        if len(made) == room or any(len(batch.items) == batches.MOST_ITEMS for batch in made):
            self._wake.set()  # there may be more
        return throttled

    def _make(self, tx: Tx, room: int, now: float) -> tuple[list[Batch], bool]:
        skus = batches.waiting(tx, self._after, room)
        if not skus:
            return [], False
        left = batches.MOST_ITEMS * room
        if self._pace.rate is not None:
            left = batches.allowance(tx, self._pace.rate, now)
        made: list[Batch] = []
        for sku in skus:
            batch = batches.make(tx, self._worker, self._new_id(), sku, left, now) if left else None
            if batch is not None:
                made.append(batch)
                left -= len(batch.items)
                self._after = sku
        if self._pace.rate is not None:
            batches.spend(tx, sum(len(batch.items) for batch in made))
        return made, left <= 0

    def _board(self, batch_id: str, batch: Batch | None) -> None:
        if batch_id in self._under_way:
            return
        task = asyncio.get_running_loop().create_task(self._see_through(batch_id, batch))
        self._under_way[batch_id] = task
        task.add_done_callback(lambda _: self._left(batch_id))

    def _left(self, batch_id: str) -> None:
        del self._under_way[batch_id]
        self._wake.set()

    async def _see_through(self, batch_id: str, batch: Batch | None) -> None:
        """Send a batch until every item of it has its answer, or is not to be sent any more."""
        failures = 0
        while True:
            try:
                if batch is None:
                    batch = await self._database.write(
                        partial(batches.again, batch_id=batch_id, now=self._database.now())
                    )
                    if batch is None:
                        return
                if await self._send(batch):
                    return
            except Away:
                pass
            batch = None
            failures += 1
            await asyncio.sleep(_pause(failures))

    async def _send(self, batch: Batch) -> bool:
        try:
            async with self._calls:
                results = await self._seller.deduct(batch)
        except UpstreamError as exc:
            log.warning("reservations could not be sent", error=type(exc).__name__, items=len(batch.items))
            return False
        if "deducted" in results.values():
            await self._changed((batch.sku_id,))
        settled = await self._database.write(
            partial(batches.settle, batch=batch, results=results, now=self._database.now())
        )
        self._ended(settled)
        if len(results) < len(batch.items):  # what was not answered goes again, with what has come since
            await asyncio.sleep(UNANSWERED_SECONDS)
            await self._database.write(partial(batches.dissolve, batch_id=batch.id))
        return True

    async def _give_back(self) -> bool:
        """Give back what is wanted back and what is too old; return False where the stock service failed."""
        now = self._database.now()
        await self._database.write(partial(self._expire, now=now))
        found = await self._database.read(partial(batches.wanted, most=RELEASES))
        if not found:
            return True
        ids = [reservation_id for reservation_id, _ in found]
        try:
            await self._seller.release(ids)
        except UpstreamError as exc:
            log.warning("reservations could not be given back", error=type(exc).__name__, items=len(ids))
            return False
        await self._changed(sorted({sku for _, sku in found}))
        self._ended(await self._database.write(partial(batches.returned, ids=ids, now=self._database.now())))
        return True

    def _expire(self, tx: Tx, now: float) -> None:
        old = batches.overdue(tx, now - self._pace.max_age_seconds, RELEASES)
        if old:
            reservations.want(tx, old, "expire", now)


def _pause(failures: int) -> float:
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**failures)
