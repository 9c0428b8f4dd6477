"""Hold what was written to one sample source, over the catalogue that it started with.

It knows no HTTP beyond statuses, and forgets with its process.
"""

from hashlib import blake2b
from typing import NamedTuple

import msgspec

from bff.demo.catalog import Catalog
from bff.demo.product import NO_AMOUNT, Currency, Quantity, Sku, is_amount

MAX_KEYS = 10_000
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


_PARTS: dict[str, type[_Part]] = {"info": _Info, "price": _Price, "stock": _Stock}


class Answer(NamedTuple):
    """What a write came to. part: what is stored where the status is 200, else the JSON that says why not."""

    status: int
    part: bytes


class Written:
    """The parts of one source as they are now, and the answers that writes were given, by their keys."""

    def __init__(self, name: str, catalog: Catalog) -> None:
        self._name = name
        self._catalog = catalog
        self._parts: dict[str, bytes] = {}
        self._answers: dict[str, tuple[tuple[str, bytes], Answer]] = {}

    def __repr__(self) -> str:
        return f"Written({self._name}, {len(self._parts)} parts)"

    def part(self, sku: str) -> bytes | None:
        """Return the part as it is now, or None where the SKU is unknown."""
        return self._parts.get(sku) or self._catalog.part(self._name, sku)

    def write(self, sku: str, body: bytes, key: str | None, if_match: str | None) -> Answer:
        """Store a part, or say why not; a key gets its first answer again, and 422 where it came with another write."""
        if key is None:
            return self._write(sku, body, if_match)
        asked = (sku, blake2b(body, digest_size=16).digest())
        if key in self._answers:
            before, answer = self._answers[key]
            return answer if before == asked else _refusal(422, "the key was used for another write")
        answer = self._write(sku, body, if_match)
        self._answers[key] = asked, answer
        if len(self._answers) > MAX_KEYS:
            del self._answers[next(iter(self._answers))]
        return answer

    def _write(self, sku: str, body: bytes, if_match: str | None) -> Answer:
        now = self.part(sku)
        if now is None:
            return _refusal(404, "unknown SKU")
        try:
            part = _read(self._name, sku, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as exc:
            return _refusal(422, str(exc))
        if if_match is not None and not _matches(if_match, etag(now)):
            return _refusal(412, "another value is stored")
        self._parts[sku] = part
        return Answer(200, part)


def etag(part: bytes) -> str:
    """Return the strong entity tag of a part's bytes."""
    return f'"{blake2b(part, digest_size=16).hexdigest()}"'


def _read(name: str, sku: str, body: bytes) -> bytes:
    part = msgspec.json.decode(body, type=_PARTS[name])
    if part.sku_id != sku:
        raise ValueError("`sku_id` is another one")
    fields = {field: getattr(part, field) for field in part.__struct_fields__}
    return msgspec.json.encode({field: value for field, value in fields.items() if value not in _ABSENT})


def _matches(if_match: str, tag: str) -> bool:
    # Strongly, so that a weak one matches nothing (RFC 9110, 13.1.1); no tag of ours has a comma in it.
    return if_match.strip() == "*" or tag in (candidate.strip() for candidate in if_match.split(","))


def _refusal(status: int, detail: str) -> Answer:
    return Answer(status, msgspec.json.encode({"detail": detail}))
