"""Changes as those know them who ask for them: accepted, looked at, cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bff.durable import journal, keys
from bff.durable.driver import Tx
from bff.durable.journal import Change, Event
from bff.durable.keys import Key


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is to be written. sent: as its owner takes it; shown: as a page has it."""

    source: str
    sent: str
    shown: str


@dataclass(frozen=True, slots=True)
class Order:
    """A change that is asked for. priority: 0, first, to 9."""

    id: str
    sku_id: str
    key: Key
    parts: tuple[Part, ...]
    timeout_seconds: float
    priority: int
    request_id: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A change that was accepted, as it was then. replayed: whether that was before."""

    change: Change
    replayed: bool


@dataclass(frozen=True, slots=True)
class Reused:
    """The key was used for something else."""


@dataclass(frozen=True, slots=True)
class Ended:
    """There is nothing to cancel any more."""


def accept(tx: Tx, order: Order, now: float) -> Accepted | Reused:
    """Accept a change, or return what was accepted under its key before."""
    first, subject = keys.take(tx, [(order.key, order.id)], now)[order.key.caller, order.key.name]
    if first != order.key.fingerprint:
        return Reused()
    if subject != order.id:
        return Accepted(journal.fold_change(subject, journal.events(tx, subject)[:1]), replayed=True)
    facts = {"sku_id": order.sku_id, "steps": [part.source for part in order.parts], "caller": order.key.caller}
    event = Event(1, now, "accepted", state="pending", facts=facts)
    tx.run(
        """insert into bff_changes (id, sku_id, caller, priority, timeout_seconds, created_at, state, seq, request_id,
        trace_id) values (?, ?, ?, ?, ?, ?, 'pending', 1, ?, ?)""",
        *(order.id, order.sku_id, order.key.caller, order.priority, order.timeout_seconds, now),
        *(order.request_id, order.trace_id),
    )
    tx.each(
        "insert into bff_parts (change_id, source, sent, shown) values (?, ?, ?, ?)",
        [(order.id, part.source, part.sent, part.shown) for part in order.parts],
    )
    journal.append(tx, order.id, [event])
    return Accepted(journal.fold_change(order.id, [event]), replayed=False)


def find(tx: Tx, change_id: str) -> Change | None:
    """Return a change as it is."""
    if not tx.rows("select 1 from bff_changes where id = ?", change_id):
        return None
    return journal.fold_change(change_id, journal.events(tx, change_id))


def page(tx: Tx, state: str | None, limit: int, before: str | None) -> list[Change]:
    """Return changes, newest first. before: only those that are older than that one."""
    where, parameters = ["id < ?"] if before else [], [before] if before else []
    if state is not None:
        where.append("state = ?")
        parameters.append(state)
    clause = f"where {' and '.join(where)}" if where else ""
    found = tx.rows(f"select id from bff_changes {clause} order by id desc limit ?", *parameters, limit)
    happened = journal.events_of(tx, [change_id for (change_id,) in found])
    return [journal.fold_change(change_id, events) for change_id, events in happened.items()]


def cancel(tx: Tx, change_id: str, cause: str, now: float) -> Change | Ended | None:
    """Have no later step of a change begin; one that has not begun at all ends at once."""
    found = tx.rows(f"select state, seq, cancelled from bff_changes where id = ?{tx.locking}", change_id)
    if not found:
        return None
    ((state, seq, cancelled),) = found
    if state in journal.CHANGE_ENDS:
        return Ended()
    if not cancelled:
        events = [Event(seq + 1, now, "cancel_requested", cause=cause)]
        if state == "pending":
            events.append(Event(seq + 2, now, "ended", state="cancelled", cause="cancelled"))
        _record(tx, change_id, events)
        tx.run("update bff_changes set cancelled = 1 where id = ?", change_id)
    return find(tx, change_id)


def record(tx: Tx, change_id: str, seq: int, now: float, events: Sequence[Event]) -> None:
    """Append events after the one of that number, in the order in which they are given; their own are not looked at."""
    _record(tx, change_id, [replace(event, seq=seq + nth, at=now) for nth, event in enumerate(events, 1)])


def _record(tx: Tx, change_id: str, events: Sequence[Event]) -> None:
    journal.append(tx, change_id, events)
    last = events[-1]
    state = next((event.state for event in reversed(events) if event.step is None and event.state is not None), None)
    ended_at = last.at if last.event == "ended" else None
    # One statement: each lets go of the interpreter, and waits for it again.
    tx.run(
        """update bff_changes set seq = ?, touched_at = ?, state = coalesce(?, state),
        ended_at = coalesce(?, ended_at) where id = ?""",
        *(last.seq, last.at, state, ended_at, change_id),
    )
