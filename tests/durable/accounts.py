"""What must be true of changes by the ledgers of the owners. Pure."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.durable.ledger import Ledger, Write
from tests.durable.orders import Order
from tests.durable.report import Result

_KEY = re.compile(r'"([0-9a-f]{32})-(info|price|stock)-(undo-)?[0-9]+"')

Place = tuple[str, str]
"""A source, a SKU."""


@dataclass(frozen=True)
class Books:
    """The owners' own: every part before and after, and their ledgers by source."""

    before: Mapping[Place, bytes]
    after: Mapping[Place, bytes]
    ledgers: Mapping[str, Ledger]


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that was done. undoes: whether it is one that takes another one back."""

    change_id: str
    undoes: bool
    write: Write


@dataclass(frozen=True)
class Effects:
    """What was done, in order: of each change at each owner, and of each part."""

    of: dict[tuple[str, str], list[Effect]] = field(default_factory=lambda: defaultdict(list))
    at: dict[Place, list[Effect]] = field(default_factory=lambda: defaultdict(list))


def compare(orders: Sequence[Order], books: Books, result: Result) -> None:
    """Find where changes, and what the owners have done, do not go together."""
    effects = _effects({order.id: order for order in orders if order.id}, books, result)
    result.counts["twice"] = sum(effect.applied > 1 for ledger in books.ledgers.values() for effect in ledger.keys)
    for order in orders:
        for source in order.parts:
            done = effects.of[order.id, source]
            fault = _of_one(order, done)
            result.expect(not fault, f"{order.state} change {order.id} of {order.sku} wrote {source} {fault}")
            result.counts["twice"] += sum(not effect.undoes for effect in done) > 1
    result.expect_equal("effects twice", result.counts["twice"], 0)
    for place, done in effects.at.items():
        result.expect(_one_at_a_time(done), f"changes of {place} in one another: {[_short(each) for each in done]}")
    for place, part in books.after.items():
        expected = _expected(place, orders, books.before[place])
        result.expect(_same(part, expected), f"{place} is {part!r}, and should be {expected!r}")


def _effects(known: Mapping[str, Order], books: Books, result: Result) -> Effects:
    """Sort what was done by whom."""
    effects = Effects()
    for source, ledger in books.ledgers.items():
        result.expect_equal(f"what the ledger of {source} has forgotten", ledger.forgotten, 0)
        for write in ledger.writes:
            key = _KEY.fullmatch(write.key or "")
            if key is None or key[1] not in known or key[2] != source or known[key[1]].sku != write.sku_id:
                result.faults.append(f"written to {source} under a key of no change: {write.key}, {write.sku_id}")
                continue
            effect = Effect(key[1], key[3] is not None, write)
            effects.of[effect.change_id, source].append(effect)
            effects.at[source, write.sku_id].append(effect)
    return effects


def _of_one(order: Order, done: Sequence[Effect]) -> str:
    """Find what is wrong with what a change did to an owner: nothing, once, or once and back."""
    undoes = [effect.undoes for effect in done]
    if order.state == "succeeded":
        return "" if undoes == [False] else f"so: {[_short(each) for each in done]}"
    if undoes not in ([], [False, True]):
        return f"so: {[_short(each) for each in done]}"
    if done and not _same(bytes(done[0].write.before), bytes(done[1].write.part)):
        return f"back to {bytes(done[1].write.part)!r} from {bytes(done[0].write.before)!r}"
    return ""


def _one_at_a_time(done: Sequence[Effect]) -> bool:
    """Tell whether what takes a write back follows it at once."""
    return all(
        not effect.undoes or (nth > 0 and done[nth - 1].change_id == effect.change_id and not done[nth - 1].undoes)
        for nth, effect in enumerate(done)
    )


def _expected(place: Place, orders: Sequence[Order], before: bytes) -> bytes:
    """Return what an owner should have: what the change wrote that was the last to succeed, or what was there."""
    source, sku = place
    wrote = [order for order in orders if order.sku == sku and source in order.parts and order.state == "succeeded"]
    if not wrote:
        return before
    last = max(wrote, key=lambda order: str(order.seen[-1]["updated_at"]))
    return json.dumps({"sku_id": sku, **last.parts[source]}).encode()


def _same(one: bytes, other: bytes) -> bool:
    return bool(_read(one) == _read(other))


def _read(part: bytes) -> Any:
    return json.loads(part, parse_float=str)  # digit for digit


def _short(effect: Effect) -> str:
    return f"{effect.change_id[:12]} {'back' if effect.undoes else 'there'}"
