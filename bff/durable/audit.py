"""The journal audited: states rebuilt from events alone, and compared with what the tables have.

What is read is read in pages, over the transaction that it is given: a million events are never in memory, and where
that is one snapshot, the service may go on. Nothing here trusts what it reads: it is there to find what is broken.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bff.durable import journal
from bff.durable.driver import Tx
from bff.durable.journal import Change, Event, Reservation, Unfounded

PAGE = 500

_CHANGE = ("state", "seq", "ended_at", "cancelled", "sku_id", "created_at")
_RESERVATION = ("state", "reason", "seq", "ended_at", "sku_id", "quantity", "created_at")
_RESERVATION_ENDS = ((), ("confirmed",), ("rejected",), ("released",), ("confirmed", "released"))
_UNREADABLE = (Unfounded, KeyError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Broken:
    """A subject that cannot be rebuilt. events: how many it has."""

    id: str
    why: str
    events: int = 0


Rebuilt = Change | Reservation | Broken


def replay(tx: Tx, ids: Sequence[str] = ()) -> Iterator[Rebuilt]:
    """Rebuild subjects from their events, in the order given; all there are, oldest first, where none is."""
    for page in _split(ids) if ids else _subjects(tx):
        for subject, happened in _histories(tx, page):
            yield _rebuilt(subject, happened)


@dataclass(slots=True)
class Audit:
    """One comparison of the journal with the tables, and what it has counted so far."""

    tx: Tx
    events: int = 0
    changes: int = 0
    reservations: int = 0
    differences: int = 0

    def run(self) -> Iterator[str]:
        """Compare, and give each difference as a line."""
        for line in self._lines():
            self.differences += 1
            yield line

    def _lines(self) -> Iterator[str]:
        for page in _subjects(self.tx):
            yield from self._compare(page)
        for table in ("bff_changes", "bff_reservations"):
            yield from _silent(self.tx, table)
        yield from _miscounted(self.tx)
        yield from _loose_keys(self.tx)

    def _compare(self, page: Sequence[str]) -> Iterator[str]:
        changes = _rows(self.tx, "bff_changes", _CHANGE, page)
        reservations = _rows(self.tx, "bff_reservations", _RESERVATION, page)
        for subject, happened in _histories(self.tx, page):
            found = _rebuilt(subject, happened)
            row = changes.get(subject) or reservations.get(subject)
            yield from self._judge(found, happened or (), row)

    def _judge(self, found: Rebuilt, happened: Sequence[Event], row: dict[str, Any] | None) -> Iterator[str]:
        self.events += found.events if isinstance(found, Broken) else len(happened)
        self.changes += isinstance(found, Change)
        self.reservations += isinstance(found, Reservation)
        if isinstance(found, Broken):
            yield f"{found.id}: {found.why}"
        else:
            yield from (f"{found.id}: {fault}" for fault in _disorder(found, happened))
        if row is None:
            yield f"{found.id}: has events, and is neither a change nor a reservation"
        elif not isinstance(found, Broken):
            yield from _unlike(found, happened, row)


def _subjects(tx: Tx) -> Iterator[list[str]]:
    after = ""
    sql = "select distinct subject from bff_events where subject > ? order by subject limit ?"
    while page := [subject for (subject,) in tx.rows(sql, after, PAGE)]:
        yield page
        after = page[-1]


def _split(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(dict.fromkeys(ids))
    while page := list(islice(rest, PAGE)):
        yield page


def _histories(tx: Tx, page: Sequence[str]) -> Iterator[tuple[str, Sequence[Event] | None]]:
    """Give each subject's events, None where one of them cannot be read."""
    try:
        yield from journal.events_of(tx, page).items()
    except _UNREADABLE:
        for subject in page:
            try:
                yield subject, journal.events(tx, subject)
            except _UNREADABLE:
                yield subject, None


def _rebuilt(subject: str, happened: Sequence[Event] | None) -> Rebuilt:
    if not happened:
        return Broken(subject, "an event cannot be read" if happened is None else "has no events")
    try:
        if "steps" in (happened[0].facts or {}):
            return journal.fold_change(subject, happened)
        return journal.fold_reservation(subject, happened)
    except _UNREADABLE as exc:
        why = "do not begin with an acceptance" if isinstance(exc, Unfounded) else "make no state"
        return Broken(subject, f"its events {why}", len(happened))


def _disorder(found: Change | Reservation, happened: Sequence[Event]) -> Iterator[str]:
    """Say what is wrong with events by themselves."""
    expected = 1
    for event in happened:
        if event.seq != expected:
            yield f"event {event.seq} comes where {expected} is due"
        expected = event.seq + 1
    ends = tuple(event.state for event in happened if event.event == "ended")
    if not (len(ends) <= 1 if isinstance(found, Change) else ends in _RESERVATION_ENDS):
        yield f"it ends as {', then '.join(map(str, ends))}"
    elif ends and happened[-1].event != "ended" and found.state != "confirmed":  # which may still be given back
        yield f"{happened[-1].event} comes after its end"


def _unlike(found: Change | Reservation, happened: Sequence[Event], row: dict[str, Any]) -> Iterator[str]:
    """Say how a row is unlike what its events make."""
    ends = [event.at for event in happened if event.event == "ended"]
    made: dict[str, Any] = {
        **{name: getattr(found, name) for name in row if hasattr(found, name)},
        "seq": happened[-1].seq,
        "ended_at": ends[-1] if ends else None,
    }
    for name, value in row.items():
        if name not in made:
            yield f"{found.id}: is a {type(found).__name__.lower()} by its events, and not in its table"
            return
        if value != made[name]:
            yield f"{found.id}: {name} is {_shown(value)}, and {_shown(made[name])} by its events"


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(int(value) if isinstance(value, bool) else value)


def _rows(tx: Tx, table: str, columns: Sequence[str], page: Sequence[str]) -> dict[str, dict[str, Any]]:
    marks = ", ".join("?" for _ in page)
    found = tx.rows(f"select id, {', '.join(columns)} from {table} where id in ({marks})", *page)
    return {subject: dict(zip(columns, values, strict=True)) for subject, *values in found}


def _silent(tx: Tx, table: str) -> Iterator[str]:
    """Find subjects of which no event tells."""
    after = ""
    sql = f"""select id from {table} where id > ? and not exists (select 1 from bff_events where subject = {table}.id)
        order by id limit ?"""
    while page := [subject for (subject,) in tx.rows(sql, after, PAGE)]:
        yield from (f"{subject}: is in {table}, and has no events" for subject in page)
        after = page[-1]


def _miscounted(tx: Tx) -> Iterator[str]:
    ((queued,),) = tx.rows("select count(*) from bff_reservations where state = 'queued'")
    counted = tx.rows("select count from bff_counts where name = 'queued'")
    if counted != [(queued,)]:
        said = _shown(counted[0][0] if counted else None)
        yield f"bff_counts: queued is {said}, and {queued} reservations are queued"


def _loose_keys(tx: Tx) -> Iterator[str]:
    """Find keys of subjects that are not there."""
    after = ("", "")
    sql = """select caller, name, subject from bff_keys k where (caller, name) > (?, ?)
        and not exists (select 1 from bff_changes where id = k.subject)
        and not exists (select 1 from bff_reservations where id = k.subject) order by caller, name limit ?"""
    while page := tx.rows(sql, *after, PAGE):
        yield from (f"key {name} of {caller}: {subject} is not there" for caller, name, subject in page)
        after = (page[-1][0], page[-1][1])
