"""A bulk answer: whose part each object is, and what may be believed of those that are not there.

An absent SKU is unknown only where every object is usable, was asked for and is single: an array that is wrong in one
place may have lost others.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clients.errors import Garbled
from clients.shape import Pointer, Shape

Read = Callable[[bytes | msgspec.Raw], Any]
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_NULL = b"null"


class _Named(msgspec.Struct):
    sku_id: str


_name_of = msgspec.json.Decoder(_Named).decode


@dataclass(slots=True)
class Found:
    """What one bulk answer says of the SKUs that were asked for.

    parts: the usable ones, as JSON of our shape.
    garbled: SKUs whose object is unusable, or there twice.
    trusted: whether a SKU that is in neither is unknown to the source.
    strangers: objects that nobody asked for.
    """

    parts: dict[str, bytes] = field(default_factory=dict)
    garbled: set[str] = field(default_factory=set)
    trusted: bool = True
    strangers: int = 0


def read_bulk(body: bytes, asked: Collection[str], items: Pointer | None, shape: Shape, read: Read) -> Found:
    """Sort a bulk answer's objects by the SKUs that were asked for.

    Raises Garbled, msgspec.MsgspecError, UnicodeError or RecursionError where it holds no array, nor an object where
    `items` points at one keyed by SKU.
    """
    body.decode("utf-8")  # what is dropped is looked at by nobody else
    found = Found()
    if items is None and shape.is_standard:
        _sort_plain(found, _array(body), asked, read)
    else:
        for item, key in _items(body, items):
            _sort(found, *_part(item, key, shape, read), asked)
    for sku in found.garbled:
        found.parts.pop(sku, None)
    return found


def _items(body: bytes, pointer: Pointer | None) -> Iterator[tuple[msgspec.Raw, str | None]]:
    document = body if pointer is None else pointer.of(body)
    if document is None:
        raise Garbled("no items where they were said to be")
    if pointer is not None and document.startswith(b"{"):
        return _members(document)
    return ((item, None) for item in _array(document))


def _members(document: bytes) -> Iterator[tuple[msgspec.Raw, str]]:
    """Return an object's members but nulls; one that is there twice twice, which a dictionary alone would hide."""
    pairs = json.loads(document, object_pairs_hook=list, parse_int=str, parse_float=str)
    times = Counter(key for key, _ in pairs)
    for key, item in _object(document).items():
        if times[key] > 1 or bytes(item) != _NULL:
            yield from [(item, key)] * times[key]


def _sort_plain(found: Found, items: Iterable[msgspec.Raw], asked: Collection[str], read: Read) -> None:
    """Sort objects of the standard shape: the same, in a third of the time."""
    parts = found.parts
    for item in items:
        try:
            part = read(item)
            sku, text = part.sku_id, _encode(part)
        except (msgspec.MsgspecError, Garbled, UnicodeError, RecursionError):
            _sort(found, _named(item), None, asked)
        else:
            if sku in asked and sku not in parts:
                parts[sku] = text
            else:
                _sort(found, sku, text, asked)


def _sort(found: Found, sku: str | None, part: bytes | None, asked: Collection[str]) -> None:
    if sku is not None and part is not None and sku in asked and sku not in found.parts and sku not in found.garbled:
        found.parts[sku] = part
        return
    found.trusted = False
    if sku is not None and sku in asked:
        found.garbled.add(sku)
    elif sku is not None:
        found.strangers += 1


def _part(item: msgspec.Raw, key: str | None, shape: Shape, read: Read) -> tuple[str | None, bytes | None]:
    """Return whose an object is, None where that cannot be told, and its part, None where it is unusable."""
    try:
        document = shape.standard_item(item, key)
    except (msgspec.MsgspecError, RecursionError):
        return key, None
    try:
        part = read(document)
        text = _encode(part)
    except (msgspec.MsgspecError, Garbled, UnicodeError, RecursionError):
        return key or _named(document), None
    if key is not None and part.sku_id != key:  # one SKU's answer under another's id
        return key, None
    return part.sku_id, text


def _named(document: bytes | msgspec.Raw) -> str | None:
    try:
        return _name_of(document).sku_id
    except (msgspec.MsgspecError, RecursionError):
        return None
