"""Keep account of what was really done to one sample source, to compare with what others say of it.

It counts where a part is replaced, and knows nothing of the answers that keys and ids were given.
"""

from collections import OrderedDict
from typing import Any, TypeVar

import msgspec

MOST = 200_000

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V]):
    """A dictionary of at most so many entries: the one that came first makes room. forgotten: how many have."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__()
        self.forgotten = 0
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > self._most:
            self.popitem(last=False)
            self.forgotten += 1


class Effect(msgspec.Struct):
    """What a key brought about: how often a write came with it, and how often one was done."""

    key: str
    sku_id: str
    asked: int = 0
    applied: int = 0


class Write(msgspec.Struct, frozen=True):
    """One write that was done. before: the part that it replaced."""

    key: str | None
    sku_id: str
    before: msgspec.Raw
    part: msgspec.Raw


class Ledger:
    """The writes of one source, those that were asked for by their keys and those that were done in their order."""

    def __init__(self) -> None:
        self._effects: Recent[str, Effect] = Recent()
        self._writes: Recent[int, Write] = Recent()
        self._done = 0

    def __repr__(self) -> str:
        return f"Ledger({self._done} writes)"

    def asked(self, key: str, sku: str) -> None:
        """Note that a write came with a key; the SKU of the first one stays."""
        effect = self._effects.get(key)
        if effect is None:
            effect = self._effects[key] = Effect(key, sku)
        effect.asked += 1

    def applied(self, key: str | None, sku: str, before: bytes, part: bytes) -> None:
        """Note that a part was replaced by a write."""
        self._writes[self._done] = Write(key, sku, msgspec.Raw(before), msgspec.Raw(part))
        self._done += 1
        if key is not None:
            self._effects[key].applied += 1

    def document(self) -> dict[str, Any]:
        """Return all of it, ready for JSON. forgotten: entries that had to make room, so that something is missing."""
        return {
            "keys": list(self._effects.values()),
            "writes": list(self._writes.values()),
            "forgotten": self._effects.forgotten + self._writes.forgotten,
        }
