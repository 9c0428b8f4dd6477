"""What the routes ask for: work is accepted here once it is on disk, and looked up. Who does it is not known here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Literal

from bff.durable import changes, journal, reservations
from bff.durable.changes import Accepted, Ended, Order, Reused
from bff.durable.database import Database
from bff.durable.driver import Tx
from bff.durable.journal import CHANGE_ENDS, Change, Event, Reservation
from bff.durable.keys import Key
from bff.durable.reservations import Answer, Wish

FOLLOW_SECONDS = 0.2
FLUSH = 500


class InUse(Exception):
    """The first use of a key is still being accepted."""


class Desk:
    """Takes work in. Every method raises Away.

    most_queued: reservations. woken: told that there is work; ended: told the states of changes that end here.
    """

    def __init__(
        self, database: Database, most_queued: int, woken: Callable[[], None], ended: Callable[[str], None]
    ) -> None:
        self._database = database
        self._most_queued = most_queued
        self._woken = woken
        self._ended = ended
        self._keys: set[tuple[str, str]] = set()
        self._waiting: list[tuple[Wish, asyncio.Future[Answer]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._leaving = False

    def __repr__(self) -> str:
        return f"<Desk {len(self._keys)} being accepted>"

    async def change(self, order: Order) -> Accepted | Reused:
        """Accept a change; raises InUse."""
        name = self._use(order.key)
        try:
            accepted = await self._database.write(partial(changes.accept, order=order, now=self._database.now()))
        finally:
            self._keys.discard(name)
        self._woken()
        return accepted

    async def find_change(self, change_id: str) -> Change | None:
        """Return a change as it is."""
        return await self._database.read(partial(changes.find, change_id=change_id))

    async def changes(self, state: str | None, limit: int, before: str | None) -> list[Change]:
        """Return changes, newest first. before: only those that are older than that one."""
        return await self._database.read(partial(changes.page, state=state, limit=limit, before=before))

    async def cancel(self, change_id: str, cause: str) -> Change | Ended | None:
        """Stop a change: no later step of it begins."""
        now = self._database.now()
        found = await self._database.write(partial(changes.cancel, change_id=change_id, cause=cause, now=now))
        if isinstance(found, Change) and found.state in CHANGE_ENDS:
            self._ended(found.state)
        return found

    async def events(self, change_id: str, after: int) -> list[Event]:
        """Return what happened to a change, after an event's number."""
        return await self._database.read(partial(journal.events, subject=change_id, after=after))

    async def follow(self, change_id: str, after: int) -> AsyncIterator[list[Event]]:
        """Give what happens to a change as it happens, until it has ended; nothing now and then, where nothing does."""
        while not self._leaving:
            found = await self.events(change_id, after)
            yield found
            if found:
                after = found[-1].seq
                if found[-1].state in CHANGE_ENDS and found[-1].step is None:
                    return
            await asyncio.sleep(FOLLOW_SECONDS)

    def leave(self) -> None:
        """End what follows changes: whoever does comes again elsewhere."""
        self._leaving = True

    async def reserve(self, wish: Wish) -> Answer:
        """Accept a reservation, together with all that are asked for meanwhile; raises InUse."""
        name = self._use(wish.key)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        # Not before: a caller that leaves and comes again must not meet itself in one batch.
        answer.add_done_callback(lambda _: self._keys.discard(name))
        self._waiting.append((wish, answer))
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush())
        return await asyncio.shield(answer)

    async def find_reservation(self, caller: str, reservation_id: str) -> Reservation | None:
        """Return a caller's reservation as it is; another one's is none."""
        return await self._database.read(partial(reservations.find, caller=caller, reservation_id=reservation_id))

    async def release(self, caller: str, reservation_id: str) -> Reservation | Literal["rejected"] | None:
        """Give a caller's reservation back."""
        what = partial(reservations.release, caller=caller, reservation_id=reservation_id, now=self._database.now())
        found = await self._database.write(what)
        self._woken()
        return found

    def _use(self, key: Key) -> tuple[str, str]:
        name = (key.caller, key.name)
        if name in self._keys:
            raise InUse
        self._keys.add(name)
        return name

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:FLUSH], self._waiting[FLUSH:]
                await self._accept(batch)
        finally:
            self._flushing = None

    async def _accept(self, batch: list[tuple[Wish, "asyncio.Future[Answer]"]]) -> None:
        def accept(tx: Tx) -> list[Answer]:
            return reservations.accept(tx, [wish for wish, _ in batch], self._most_queued, self._database.now())

        try:
            answers = await self._database.write(accept)
        except Exception as exc:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(exc)
            return
        for (_, answer), found in zip(batch, answers, strict=True):
            if not answer.done():
                answer.set_result(found)
        self._woken()
