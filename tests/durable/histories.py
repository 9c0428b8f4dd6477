"""What must be true of a change by what was told of it. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.durable.orders import ENDS, Order

SLOWEST = 2
_RANKS = {"pending": 0, "running": 1, **dict.fromkeys(ENDS, 2)}
_STEP_RANKS = {"pending": 0, "running": 1, "done": 2, "failed": 3, "compensated": 4, "superseded": 4}


def judge(order: Order) -> Iterator[str]:
    """Find what should not be."""
    if order.refused:
        yield f"it was refused: {order.refused}"
    yield from _seen(order)
    yield from _ended(order)
    if order.state not in ENDS:
        yield f"it has not ended: {_history(order)}"
    elif order.events:
        yield from _told(order, [event["event"] for event in order.events])


def takeovers(orders: Sequence[Order]) -> Counter[str]:
    """Count why changes were taken over."""
    starts = (event for order in orders for event in order.events if event["event"] == "started")
    return Counter(event["cause"] for event in starts if event["cause"])


def slowest(orders: Sequence[Order]) -> Iterator[str]:
    """Tell of the changes that lay still for longest how they went."""
    for order in sorted((order for order in orders if order.events), key=_still, reverse=True)[:SLOWEST]:
        yield f"lay still for {_still(order):.1f} s: {order.id} of {order.sku}: {_history(order)}"


def _history(order: Order) -> str:
    told = [" ".join(event[name] for name in ("event", "step", "cause") if event[name]) for event in order.events]
    return "; ".join(f"{event['at'][14:23]} {text}" for event, text in zip(order.events, told, strict=True))


def _still(order: Order) -> float:
    """Return the longest time between two events, once it had begun."""
    times = [datetime.fromisoformat(event["at"]).timestamp() for event in order.events[1:]]
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def _seen(order: Order) -> Iterator[str]:
    """Find what went backwards."""
    states = [found["state"] for found in order.seen]
    ranks = [_RANKS[state] for state in states]
    if ranks != sorted(ranks) or ranks.count(_RANKS[ENDS[0]]) > 1:
        yield f"its states: {states}"
    for nth, name in enumerate(order.parts):
        steps = [found["steps"][nth] for found in order.seen]
        if any(step["name"] != name for step in steps) or not _goes_forward(steps):
            yield f"its step {name}: {[(step['name'], step['state'], step['attempts']) for step in steps]}"


def _goes_forward(steps: Sequence[dict[str, Any]]) -> bool:
    going = [(_STEP_RANKS[step["state"]], step["attempts"]) for step in steps]
    return all(earlier[0] <= later[0] and earlier[1] <= later[1] for earlier, later in pairwise(going))


def _ended(order: Order) -> Iterator[str]:
    """Find an end that does not go with what was asked for."""
    if order.cancelled not in (None, 202, 409):
        yield f"its end was asked for, and the answer was {order.cancelled}"
    if order.cancelled == 202 and order.state == "succeeded":
        yield "its end was asked for, and that was acknowledged"
    allowed = {"compensated", "failed"} if order.is_declined else {"succeeded"}
    if order.cancel_seconds is not None:  # whatever was answered: who repeats it may come after the end
        allowed.add("cancelled")
    if order.is_hurried:
        allowed.add("timed_out")
    if order.state in ENDS and order.state not in allowed:
        yield f"it should have ended as {' or '.join(sorted(allowed))}: {order.seen[-1]}"


def _told(order: Order, names: Sequence[str]) -> Iterator[str]:
    """Find what is wrong with its events."""
    numbers = [event["seq"] for event in order.events]
    if numbers != list(range(1, len(numbers) + 1)) or numbers != [event["id"] for event in order.events]:
        yield f"the numbers of its events: {numbers}"
    if names[0] != "accepted" or names[-1] != "ended" or names.count("ended") + names.count("accepted") != 2:
        yield f"its events: {names}"
    if order.events[-1]["state"] != order.state:
        yield f"by its events it is {order.events[-1]['state']}"
    if order.followed and order.followed != order.events:
        yield f"who followed it was told otherwise: {order.followed}"
    if "cancel_requested" in names and "step_started" in names[names.index("cancel_requested") :]:
        yield f"a step began after its end was asked for: {names}"
    undone = [event["step"] for event in order.events if event["event"] == "step_compensated"]
    if undone != [name for name in reversed([*order.parts]) if name in undone]:
        yield f"its parts were undone in this order: {undone}"
