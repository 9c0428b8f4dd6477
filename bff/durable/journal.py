"""The journal: what happened to each change and each reservation, in order, never altered; a state is its fold.

An event is appended in the transaction that makes it true. Knows no change's steps and no owner.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bff.durable.driver import Tx

CHANGE_ENDS = ("succeeded", "compensated", "failed", "cancelled", "timed_out")
RESERVATION_ENDS = ("confirmed", "rejected", "released")

_COLUMNS = "seq, at, event, step, state, cause, facts"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    seq: from 1, without gaps, of its subject. at: seconds since 1970. state: after it, of the step where one is named,
    else of the subject. facts: what no other event says; a `step_failed` is one of the step by itself, or `in` its
    "undo", or in a "stop" that has left its end open.
    """

    seq: int
    at: float
    event: str
    step: str | None = None
    state: str | None = None
    cause: str | None = None
    facts: dict[str, Any] | None = None


@dataclass(slots=True)
class Step:
    """A step of a change, as its events have it. failed, undo_failed: whether it ever was so, by itself."""

    name: str
    state: str = "pending"
    attempts: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    error: str | None = None
    failed: bool = False
    undo_failed: bool = False


@dataclass(slots=True)
class Change:
    """A change, as its events have it."""

    id: str
    sku_id: str
    created_at: float
    steps: dict[str, Step] = field(default_factory=dict)
    state: str = "pending"
    updated_at: float = 0.0
    error: str | None = None
    cancelled: bool = False
    seq: int = 0


@dataclass(slots=True)
class Reservation:
    """A reservation, as its events have it."""

    id: str
    sku_id: str
    quantity: int
    created_at: float
    state: str = "queued"
    reason: str | None = None
    updated_at: float = 0.0


class Unfounded(Exception):
    """Events that begin with no acceptance."""


def append(tx: Tx, subject: str, happened: Iterable[Event]) -> None:
    """Append events, whose numbers must be the next ones: a number that is taken is an integrity error."""
    append_each(tx, [(subject, event) for event in happened])


def append_each(tx: Tx, happened: Iterable[tuple[str, Event]]) -> None:
    """Append events of several subjects; as `append`."""
    tx.each(
        f"insert into bff_events (subject, {_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (subject, e.seq, e.at, e.event, e.step, e.state, e.cause, None if e.facts is None else json.dumps(e.facts))
            for subject, e in happened
        ],
    )


def events(tx: Tx, subject: str, after: int = 0) -> list[Event]:
    """Return what happened to a subject, after an event's number."""
    found = tx.rows(
        f"select {_COLUMNS} from bff_events where subject = ? and seq > ? order by seq",
        subject,
        after,
    )
    return [_event(row) for row in found]


def events_of(tx: Tx, subjects: Sequence[str]) -> dict[str, list[Event]]:
    """Return what happened to each of several subjects."""
    found: dict[str, list[Event]] = {subject: [] for subject in subjects}
    if subjects:
        marks = ", ".join("?" for _ in subjects)
        sql = f"select subject, {_COLUMNS} from bff_events where subject in ({marks}) order by subject, seq"
        for subject, *row in tx.rows(sql, *subjects):
            found[subject].append(_event(row))
    return found


def fold_change(subject: str, happened: Sequence[Event]) -> Change:
    """Return the change that events make; raises Unfounded."""
    facts = _accepted(happened)
    steps = {name: Step(name) for name in facts["steps"]}
    change = Change(subject, facts["sku_id"], happened[0].at, steps)
    for event in happened:
        change.updated_at, change.seq = event.at, event.seq
        if event.step is not None:
            _step(change.steps[event.step], event)
        elif event.event == "cancel_requested":
            change.cancelled = True
        elif event.state is not None:
            change.state = event.state
            change.error = event.cause if event.event == "ended" else None
    return change


def fold_reservation(subject: str, happened: Sequence[Event]) -> Reservation:
    """Return the reservation that events make; raises Unfounded."""
    facts = _accepted(happened)
    reservation = Reservation(subject, facts["sku_id"], facts["quantity"], happened[0].at)
    for event in happened:
        if event.state is not None:  # what is only on its way has changed nothing that is shown
            reservation.updated_at = event.at
            reservation.state = event.state
            reservation.reason = event.cause if event.state == "rejected" else None
    return reservation


def _accepted(happened: Sequence[Event]) -> dict[str, Any]:
    if not happened or happened[0].event != "accepted" or happened[0].facts is None:
        raise Unfounded
    return happened[0].facts


def _step(step: Step, event: Event) -> None:
    step.state = event.state or step.state
    step.error = event.cause if event.event in ("step_failed", "step_compensated") else None
    if event.event == "step_started":
        step.attempts += 1
        step.started_at = step.started_at or event.at
        step.ended_at = None
    else:
        step.ended_at = event.at
    if event.event == "step_failed":
        why = (event.facts or {}).get("in")
        step.undo_failed |= why == "undo"
        step.failed |= why is None


def _event(row: Sequence[Any]) -> Event:
    seq, at, event, step, state, cause, facts = row
    return Event(seq, at, event, step, state, cause, None if facts is None else json.loads(facts))
