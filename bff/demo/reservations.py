"""Deduct stock for reservations and give it back, each by its id and once: what the sample stock service does.

It knows no HTTP beyond statuses, and forgets with its process.
"""

from collections import Counter
from typing import Annotated, Any

import msgspec

from bff.demo.ledger import Recent
from bff.demo.product import MAX_QUANTITY
from bff.demo.written import Answer, Written, refusal

MAX_ITEMS = 10_000

Name = Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x7e]{1,255}\Z")]


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reservation_id: Name
    sku_id: Name  # one that no product could have is as unknown as any other
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_QUANTITY)]


class _Deduct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    batch_id: Name
    items: Annotated[list[_Asked], msgspec.Meta(max_length=MAX_ITEMS)]


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reservation_id: Name


class _Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    items: Annotated[list[_Given], msgspec.Meta(max_length=MAX_ITEMS)]


class Reservation(msgspec.Struct):
    """What is known of an id. status: its first answer, None before there is one."""

    sku_id: str | None = None
    quantity: int | None = None
    status: str | None = None
    released: bool = False


class Reservations:
    """Deductions from the parts of a stock service."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self._known: Recent[str, Reservation] = Recent()
        self._deducted: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Reservations({len(self._known)} ids)"

    def deduct(self, body: bytes) -> Answer:
        """Answer each item by itself, an id as it was answered first; 422 where the body is no batch."""
        try:
            items = msgspec.json.decode(body, type=_Deduct).items
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            return refusal(422, str(exc))
        results = [{"reservation_id": item.reservation_id, "status": self._status(item)} for item in items]
        return Answer(200, msgspec.json.encode({"results": results}))

    def release(self, body: bytes) -> Answer:
        """Give back what the ids have taken; 422 where the body is no batch."""
        try:
            items = msgspec.json.decode(body, type=_Release).items
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            return refusal(422, str(exc))
        for item in items:
            self._give_back(self._of(item.reservation_id))
        return Answer(200, b"{}")

    def ledger(self) -> dict[str, Any]:
        """Return the ledger of the writes with that of the stock, ready for JSON."""
        writes = self._written.ledger()
        return {
            "skus": {sku: self._account(sku, first) for sku, first in self._written.firsts().items()},
            "reservations": self._known,
            **writes,
            "forgotten": writes["forgotten"] + self._known.forgotten,
        }

    def _account(self, sku: str, first: int) -> dict[str, int | None]:
        return {"first": first, "quantity": self._written.quantity(sku), "deducted": self._deducted[sku]}

    def _of(self, reservation_id: str) -> Reservation:
        reservation = self._known.get(reservation_id)
        if reservation is None:
            reservation = self._known[reservation_id] = Reservation()
        return reservation

    def _status(self, item: _Asked) -> str:
        reservation = self._of(item.reservation_id)
        if reservation.status is None:
            reservation.sku_id, reservation.quantity = item.sku_id, item.quantity
            # A release that overtook its deduct is the last word: nothing would give back what is taken now.
            reservation.status = "released" if reservation.released else self._take(item.sku_id, item.quantity)
        return reservation.status

    def _take(self, sku: str, quantity: int) -> str:
        there = self._written.quantity(sku)
        if there is None:
            return "unknown"
        if there < quantity:
            return "insufficient"
        self._written.add(sku, -quantity)
        self._deducted[sku] += quantity
        return "deducted"

    def _give_back(self, reservation: Reservation) -> None:
        if reservation.status == "deducted" and not reservation.released:
            assert reservation.sku_id is not None and reservation.quantity is not None, "they came with the deduct"
            self._written.add(reservation.sku_id, reservation.quantity)
            self._deducted[reservation.sku_id] -= reservation.quantity
        reservation.released = True
