"""Hold what was written to one sample source, over the catalogue that it started with.

It knows no HTTP beyond statuses, and forgets with its process.
"""

from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from bff.demo.catalog import Catalog
from bff.demo.ledger import Ledger, Recent
from bff.demo.product import MAX_QUANTITY, NO_AMOUNT, Currency, Quantity, Sku, is_amount

_ABSENT = (None, NO_AMOUNT)


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sku_id: Sku


class _Info(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    images: tuple[str, ...] | None = None


class _Price(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    price: msgspec.Raw
    original_price: msgspec.Raw = NO_AMOUNT
    currency: Currency | None = None

    def __post_init__(self) -> None:
        if not is_amount(self.price) or not (self.original_price == NO_AMOUNT or is_amount(self.original_price)):
            raise ValueError("amounts must be numbers of 0 or more")


class _Stock(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quantity: Quantity
    available: bool | None = None  # no product of a catalogue has it, and whoever writes may

    def plus(self, more: int) -> "_Stock":
        """Return it with so many more; `available` goes with the quantity, unless its owner said otherwise."""
        quantity = min(self.quantity + more, MAX_QUANTITY)  # a release may come after a write of a large one
        goes_with_it = self.available == (self.quantity > 0)
        return _Stock(sku_id=self.sku_id, quantity=quantity, available=quantity > 0 if goes_with_it else self.available)


_PARTS: dict[str, type[_Part]] = {"info": _Info, "price": _Price, "stock": _Stock}


class Answer(NamedTuple):
    """What a write came to. part: what is stored where the status is 200, else the JSON that says why not."""

    status: int
    part: bytes


class Written:
    """The parts of one source as they are now, and the answers that writes were given, by their keys.

    The quantity of a stock part changes without a write, too.
    """

    def __init__(self, name: str, catalog: Catalog) -> None:
        self._name = name
        self._catalog = catalog
        self._parts: dict[str, bytes] = {}
        self._firsts: dict[str, bytes] = {}
        self._answers: Recent[str, tuple[tuple[str, bytes], Answer]] = Recent()
        self._ledger = Ledger()

    def __repr__(self) -> str:
        return f"Written({self._name}, {len(self._parts)} parts)"

    def part(self, sku: str) -> bytes | None:
        """Return the part as it is now, or None where the SKU is unknown."""
        return self._parts.get(sku) or self._catalog.part(self._name, sku)

    def write(self, sku: str, body: bytes, key: str | None, if_match: str | None) -> Answer:
        """Store a part, or say why not; a key gets its first answer again, and 422 where it came with another write."""
        if key is None:
            return self._write(sku, body, key, if_match)
        self._ledger.asked(key, sku)
        asked = (sku, blake2b(body, digest_size=16).digest())
        if key in self._answers:
            before, answer = self._answers[key]
            return answer if before == asked else refusal(422, "the key was used for another write")
        answer = self._write(sku, body, key, if_match)
        self._answers[key] = asked, answer
        return answer

    def quantity(self, sku: str) -> int | None:
        """Return how many there are by a stock part, None where the SKU is unknown."""
        part = self.part(sku)
        return None if part is None else msgspec.json.decode(part, type=_Stock).quantity

    def add(self, sku: str, more: int) -> None:
        """Change the quantity of a stock part that there is; less than nothing must not come of it."""
        now = self.part(sku)
        assert now is not None, "who adds has asked for the quantity"
        self._replace(sku, now, _rendered(msgspec.json.decode(now, type=_Stock).plus(more)))

    def firsts(self) -> dict[str, int]:
        """Return how many there were by each stock part that was changed, before it first was."""
        return {sku: msgspec.json.decode(part, type=_Stock).quantity for sku, part in self._firsts.items()}

    def ledger(self) -> dict[str, Any]:
        """Return what writes were asked for and done, ready for JSON."""
        return self._ledger.document()

    def _write(self, sku: str, body: bytes, key: str | None, if_match: str | None) -> Answer:
        now = self.part(sku)
        if now is None:
            return refusal(404, "unknown SKU")
        try:
            part = _read(self._name, sku, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as exc:
            return refusal(422, str(exc))
        if if_match is not None and not _matches(if_match, etag(now)):
            return refusal(412, "another value is stored")
        self._replace(sku, now, part)
        self._ledger.applied(key, sku, now, part)
        return Answer(200, part)

    def _replace(self, sku: str, now: bytes, part: bytes) -> None:
        self._firsts.setdefault(sku, now)
        self._parts[sku] = part


def etag(part: bytes) -> str:
    """Return the strong entity tag of a part's bytes."""
    return f'"{blake2b(part, digest_size=16).hexdigest()}"'


def _read(name: str, sku: str, body: bytes) -> bytes:
    part = msgspec.json.decode(body, type=_PARTS[name])
    if part.sku_id != sku:
        raise ValueError("`sku_id` is another one")
    return _rendered(part)


def _rendered(part: _Part) -> bytes:
    fields = {field: getattr(part, field) for field in part.__struct_fields__}
    return msgspec.json.encode({field: value for field, value in fields.items() if value not in _ABSENT})


def _matches(if_match: str, tag: str) -> bool:
    # Strongly, so that a weak one matches nothing (RFC 9110, 13.1.1); no tag of ours has a comma in it.
    return if_match.strip() == "*" or tag in (candidate.strip() for candidate in if_match.split(","))


def refusal(status: int, detail: str) -> Answer:
    """Return the answer that says why something was not done."""
    return Answer(status, msgspec.json.encode({"detail": detail}))
