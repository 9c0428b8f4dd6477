"""A part as a client of ours gives it: stricter than what its owner may send, since who wrote it can be told.

Knows no HTTP. What passes here is shown as a read of the same part would show it, to the byte.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import msgspec

from clients import info, price, stock
from clients.bulk import Read
from clients.errors import Garbled, Wrong

_TEXT = "must be a string"
_TEXT_OR_NULL = "must be a string or null"
_AMOUNT = "must be a number of 0 or more, of at most 40 digits written out, 20 of them after the point"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_NOT_THIS = (msgspec.MsgspecError, Garbled)
_NULL = b"null"
MAX_ERRORS = 100  # that are told: a body may be wrong in more ways than anyone reads

Fields = Mapping[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Given:
    """A part that a client gave.

    sent: for its owner; nothing in it was not given, but the SKU. shown: as a page has it.
    """

    sent: bytes
    shown: bytes


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of part. fields: what each must be. least: the needed ones, each as something that passes."""

    read: Read
    fields: Mapping[str, str]
    least: Fields

    def part(self, fields: Fields) -> bytes:
        """Return a part's bytes; raises msgspec.MsgspecError or Garbled."""
        part = _encode(self.read(_encode(fields)))
        # An exponent may stand for more digits than are read: what is stored must be readable where it comes back.
        self.read(part)
        return part

    def takes(self, name: str, value: msgspec.Raw) -> bool:
        """Whether a field may be that: whether the least part is one with it."""
        try:
            self.part({"sku_id": msgspec.Raw(b'""'), **self.least, name: value})
        except _NOT_THIS:
            return False
        return True


_KINDS = {
    "info": _Kind(
        info.read,
        {
            "name": _TEXT,
            "description": _TEXT_OR_NULL,
            "brand": _TEXT_OR_NULL,
            "category": _TEXT_OR_NULL,
            "images": "must be an array of strings or null",
        },
        {"name": msgspec.Raw(b'""')},
    ),
    "price": _Kind(
        price.read,
        {
            "price": _AMOUNT,
            "original_price": f"{_AMOUNT}, or null",
            "currency": "must be three capital letters or null",
        },
        {"price": msgspec.Raw(b"0")},
    ),
    "stock": _Kind(
        stock.read,
        {"quantity": f"must be an integer from 0 to {stock.MAX_QUANTITY}", "available": "must be a boolean or null"},
        {"quantity": msgspec.Raw(b"0")},
    ),
}


def read_given(name: str, body: bytes, sku: str) -> Given:
    """Read the part of a product, info, price or stock, from a client's JSON.

    Raises Wrong, with everything that is wrong, or the first MAX_ERRORS of it.
    """
    kind = _KINDS[name]
    fields, repeated = _fields(body)
    twice = [(field, "is there more than once") for field in repeated]
    once = ((field, message) for field, message in _faults(kind, fields, sku) if field not in repeated)
    if errors := [*twice, *islice(once, MAX_ERRORS)][:MAX_ERRORS]:
        raise Wrong(errors)
    shown = kind.part({**fields, "sku_id": msgspec.Raw(_encode(sku))})
    # What a read makes up for a field that is absent is no statement of who writes.
    given = {"sku_id", *(field for field, value in fields.items() if bytes(value) != _NULL)}
    return Given(_encode({field: value for field, value in _object(shown).items() if field in given}), shown)


def _fields(body: bytes) -> tuple[Fields, Collection[str]]:
    """Return an object's fields, and the names of those that are there more than once."""
    try:
        text = body.decode("utf-8")  # the decoder looks at no text that it hands on as it is
        fields = _object(body)
        # Once more, for what a dictionary hides; what a field holds is of no matter here.
        pairs = json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise Wrong([("", "must be a JSON object")]) from exc
    return fields, {field: None for field, times in Counter(field for field, _ in pairs).items() if times > 1}


def _faults(kind: _Kind, fields: Fields, sku: str) -> Iterator[tuple[str, str]]:
    for field in kind.least:
        if field not in fields:
            yield field, "is missing"
    for field, value in fields.items():
        if field == "sku_id":
            if not _names(value, sku):
                yield field, "must be the SKU that is written to"
        elif field not in kind.fields:
            yield field, "is no field of this part"
        elif not kind.takes(field, value):
            yield field, kind.fields[field]


def _names(value: msgspec.Raw, sku: str) -> bool:
    try:
        return _text(value) == sku
    except msgspec.MsgspecError:
        return False
