"""Changes, reservations and events as the service's answers have them, to the letter: a test compares the two."""

from typing import Any

from bff.durable.journal import Change, Event, Reservation
from bff.product.loader import iso


def shown(work: Change | Reservation) -> dict[str, Any]:
    """Return a change or a reservation as it is shown."""
    return _change(work) if isinstance(work, Change) else _reservation(work)


def event(event: Event) -> dict[str, Any]:
    """Return all that is known of an event."""
    return {
        "seq": event.seq,
        "at": iso(event.at),
        "event": event.event,
        "step": event.step,
        "state": event.state,
        "cause": event.cause,
        "facts": event.facts,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "id": change.id,
        "sku_id": change.sku_id,
        "state": change.state,
        "steps": [
            {
                "name": step.name,
                "state": step.state,
                "attempts": step.attempts,
                "started_at": _time(step.started_at),
                "ended_at": _time(step.ended_at),
                "error": step.error,
            }
            for step in change.steps.values()
        ],
        "created_at": iso(change.created_at),
        "updated_at": iso(change.updated_at),
        "error": change.error,
    }


def _reservation(reservation: Reservation) -> dict[str, Any]:
    return {
        "id": reservation.id,
        "sku_id": reservation.sku_id,
        "quantity": reservation.quantity,
        "state": reservation.state,
        "reason": reservation.reason,
        "created_at": iso(reservation.created_at),
        "updated_at": iso(reservation.updated_at),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)
