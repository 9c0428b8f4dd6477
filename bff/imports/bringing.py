"""Bringing rows to the service: so many under way at once, those of one product one after the other, in their order.

A row is under way from when it is sent until its change has ended. Rows of one product must not overtake each other:
the last one in the file is what its product is meant to be in the end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from bff.imports.follower import Follower
from bff.imports.ledger import BROKEN, Ledger, Refused
from bff.imports.rows import AnyRow, Malformed, Outcome, Row
from bff.imports.service import Accepted, Stopped

MOST_UNDER_WAY = 500
TELL_SECONDS = 0.2
TURN = 256
"""So many rows are passed over in one turn of the event loop, so that a Ctrl-C is heard."""

Accept = Callable[[Row], Awaitable[Accepted | Outcome]]


class Bringing:
    """Brings rows. accept: has one become a change; tell: called now and then, while there is something to tell."""

    def __init__(self, accept: Accept, follower: Follower, ledger: Ledger, tell: Callable[["Bringing"], None]) -> None:
        self._accept = accept
        self._follower = follower
        self._tell = tell
        self._room = asyncio.Semaphore(MOST_UNDER_WAY)
        self._last_of: dict[str, asyncio.Event] = {}
        self._left: set[str] = set()
        self.ledger = ledger
        self.replayed = 0

    def __repr__(self) -> str:
        return f"<Bringing {self.running} running, {self.ledger!r}>"

    @property
    def running(self) -> int:
        """How many have been accepted, and have not ended."""
        return len(self._follower)

    async def run(self, rows: Iterable[AnyRow]) -> None:
        """Bring all that have not ended yet, and return once they have; raises Stopped."""
        why: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as whole:
                beside = [whole.create_task(self._follower.run()), whole.create_task(self._keep_telling())]
                async with asyncio.TaskGroup() as each:
                    await self._feed(rows, each)
                for task in beside:
                    task.cancel()
        except* (Stopped, Refused, OSError) as group:
            why = _first(group)
        self._tell(self)
        if why is not None:
            raise Stopped(str(why)) from why

    async def _feed(self, rows: Iterable[AnyRow], group: asyncio.TaskGroup) -> None:
        for row in rows:
            if row.number % TURN == 0:
                await asyncio.sleep(0)
            if self.ledger.has(row.number):
                continue
            if isinstance(row, Malformed):
                self.ledger.record(row, Outcome("malformed", row.why))
                continue
            await self._room.acquire()
            # Entered into its product's line here, where rows come in their order, and not in its task.
            before, done = self._line_up(row)
            group.create_task(self._see_through(row, before, done))

    async def _see_through(self, row: Row, before: asyncio.Event | None, done: asyncio.Event) -> None:
        async with self._turn(row, before, done):
            outcome = await self._outcome(row)
            if outcome.state == BROKEN and row.sku_id is not None:
                self._left.add(row.sku_id)
            self.ledger.record(row, outcome)

    async def _outcome(self, row: Row) -> Outcome:
        if row.sku_id in self._left:
            return Outcome(BROKEN, "an earlier row of the same product is left to the next run")
        change_id = self.ledger.accepted(row.number)
        if change_id is None:
            accepted = await self._accept(row)
            if isinstance(accepted, Outcome):
                return accepted
            self.replayed += accepted.replayed
            change_id = accepted.change_id
            self.ledger.record_accepted(row, change_id)
        return await self._follower.end_of(change_id)

    def _line_up(self, row: Row) -> tuple[asyncio.Event | None, asyncio.Event]:
        done = asyncio.Event()
        if row.sku_id is None:
            return None, done
        before = self._last_of.get(row.sku_id)
        self._last_of[row.sku_id] = done
        return before, done

    @asynccontextmanager
    async def _turn(self, row: Row, before: asyncio.Event | None, done: asyncio.Event) -> AsyncIterator[None]:
        if before is not None:
            await before.wait()
        yield
        done.set()
        if row.sku_id is not None and self._last_of.get(row.sku_id) is done:
            del self._last_of[row.sku_id]
        self._room.release()

    async def _keep_telling(self) -> None:
        while True:
            self._tell(self)
            await asyncio.sleep(TELL_SECONDS)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
