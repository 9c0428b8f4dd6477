"""Retention: work that has ended leaves the tables whole, once neither its time nor its key's is still running.

A key leaves when its own time is over and its work has ended, whichever is later.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from bff.durable import keys
from bff.durable.database import Database
from bff.durable.driver import Tx
from bff.durable.keys import KEPT_SECONDS

TOGETHER = 500

Forget = Callable[[Sequence[tuple[str, int]]], Awaitable[None]]


class Retention:
    """Removes what has ended. seconds: after its end; forget: told which changes, with their epochs, go first."""

    def __init__(self, database: Database, seconds: float, forget: Forget) -> None:
        self._database = database
        self._seconds = seconds
        self._forget = forget

    def __repr__(self) -> str:
        return f"<Retention {self._seconds:g} s>"

    async def sweep(self) -> int:
        """Remove a batch of what is to go, and return how many that were; raises Away or what forgetting raises."""
        now = self._database.now()
        changes = await self._database.read(partial(self._changes, now=now))
        if changes:
            await self._forget(changes)  # before the rows that say that there is nothing left to do
            await self._database.write(partial(_remove_changes, ids=[change_id for change_id, _ in changes]))
        removed = await self._database.write(partial(self._remove_reservations, now=now))
        expired = await self._database.write(partial(keys.expire, most=TOGETHER, now=now))
        return len(changes) + removed + expired

    def _changes(self, tx: Tx, now: float) -> list[tuple[str, int]]:
        found = tx.rows(
            """select id, epoch from bff_changes where ended_at < ? and created_at < ?
            and state not in ('pending', 'running') order by ended_at limit ?""",
            *(now - self._seconds, now - KEPT_SECONDS, TOGETHER),
        )
        return [(change_id, epoch) for change_id, epoch in found]

    def _remove_reservations(self, tx: Tx, now: float) -> int:
        found = tx.rows(
            f"""select id from bff_reservations where ended_at < ? and created_at < ? and wanted is null
            order by ended_at limit ?{tx.skipping}""",
            *(now - self._seconds, now - KEPT_SECONDS, TOGETHER),
        )
        ids = [reservation_id for (reservation_id,) in found]
        _remove(tx, ids, "bff_reservations", "id")
        return len(ids)


def _remove_changes(tx: Tx, ids: Sequence[str]) -> None:
    _remove(tx, ids, "bff_changes", "id")
    _each(tx, ids, "bff_parts", "change_id")


def _remove(tx: Tx, ids: Sequence[str], table: str, column: str) -> None:
    _each(tx, ids, table, column)
    _each(tx, ids, "bff_events", "subject")
    _each(tx, ids, "bff_keys", "subject")


def _each(tx: Tx, ids: Sequence[str], table: str, column: str) -> None:
    tx.each(f"delete from {table} where {column} = ?", [(subject,) for subject in ids])
