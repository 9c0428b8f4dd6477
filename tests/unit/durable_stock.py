"""The stock service, as a test plays it, by section 5 of the contract."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bff.durable.batches import Batch


@dataclass
class Stock:
    """A stock service. left: of each product; unknown SKUs are not there."""

    left: dict[str, int]
    answers: dict[str, str] = field(default_factory=dict)
    taken: dict[str, tuple[str, int]] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    moved: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    def deduct(self, batch: Batch) -> dict[str, str]:
        """Answer a batch, each item by itself, an id as it was answered first."""
        self.calls += 1
        return {
            item.reservation_id: self._first(item.reservation_id, batch.sku_id, item.quantity) for item in batch.items
        }

    def release(self, ids: Sequence[str]) -> None:
        """Give back what was taken, and have what was not never be."""
        self.calls += 1
        for each in ids:
            if each not in self.released and self.answers.get(each) == "deducted":
                sku, quantity = self.taken.pop(each)
                self._move(sku, quantity)
            self.released.add(each)

    def _first(self, each: str, sku: str, quantity: int) -> str:
        if each not in self.answers:
            self.answers[each] = self._take(each, sku, quantity)
        return self.answers[each]

    def _take(self, each: str, sku: str, quantity: int) -> str:
        if each in self.released:
            return "released"
        if sku not in self.left:
            return "unknown"
        if self.left[sku] < quantity:
            return "insufficient"
        self.taken[each] = (sku, quantity)
        self._move(sku, -quantity)
        return "deducted"

    def _move(self, sku: str, quantity: int) -> None:
        self.left[sku] += quantity
        self.moved[sku] = self.calls
