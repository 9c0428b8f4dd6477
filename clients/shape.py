"""Where a part stands in an upstream's answer: item pointer, field map, how its SKU is written.

Values pass as their own source text, so that no digit is read and written again on the way.
"""

import re
from dataclasses import dataclass, field

import msgspec

from clients.errors import Garbled

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_INTEGER = re.compile(rb"0|-?[1-9][0-9]*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_NULL = b"null"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A JSON pointer (RFC 6901), split and unescaped."""

    tokens: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Pointer":
        """Parse a pointer; ValueError where it is none."""
        if text == "":
            return cls(())
        if not text.startswith("/") or re.search(r"~(?![01])", text):
            raise ValueError("not a JSON pointer")
        return cls(tuple(token.replace("~1", "/").replace("~0", "~") for token in text[1:].split("/")))

    def of(self, document: bytes) -> bytes | None:
        """Return the source text of the value pointed at, None where there is none."""
        for token in self.tokens:
            kind = document.lstrip(b" \t\r\n")[:1]
            if kind == b"{":
                value = _object.decode(document).get(token)
            elif kind == b"[" and _INDEX.fullmatch(token):
                items = _array.decode(document)
                value = items[int(token)] if int(token) < len(items) else None
            else:
                return None
            if value is None:
                return None
            document = bytes(value)
        return document.strip(b" \t\r\n")


@dataclass(frozen=True, slots=True)
class Shape:
    """How an upstream writes a part. The default is the standard shape, read without a detour.

    item: where the part's object stands in a single answer; a null there is an unknown SKU.
    fields: our field to its place inside the object; a field that is not named keeps its name.
    loose_sku: whether an integer id equals its digits, and a single answer may leave it out.
    """

    item: Pointer | None = None
    fields: dict[str, Pointer] = field(default_factory=dict)
    loose_sku: bool = False

    @property
    def is_standard(self) -> bool:
        """Whether objects come as we have them."""
        return not self.fields and not self.loose_sku

    def standard(self, body: bytes, sku: str) -> bytes | None:
        """Return the part's object with our names, None where the SKU is unknown.

        Raises Garbled or msgspec.DecodeError.
        """
        if self.item is None and self.is_standard:
            return body
        item: bytes | None = body if self.item is None else self.item.of(body)
        if self.item is not None and item == _NULL:
            return None
        if item is None:
            raise Garbled("no item where it was said to be")
        return msgspec.json.encode(self._renamed(item, sku if self.loose_sku else None))

    def standard_item(self, item: msgspec.Raw, key: str | None) -> bytes | msgspec.Raw:
        """Return one object of a bulk answer with our names. key: the SKU that it stands under, if under any.

        Raises msgspec.DecodeError.
        """
        if self.is_standard and key is None:
            return item
        return msgspec.json.encode(self._renamed(bytes(item), key))

    def _renamed(self, item: bytes, sku: str | None) -> dict[str, msgspec.Raw]:
        """Return an object's fields by our names. sku: what it is called where it does not say so itself."""
        found = _object.decode(item)
        for name, pointer in self.fields.items():
            value = pointer.of(item)
            if value is None:
                found.pop(name, None)
            else:
                found[name] = msgspec.Raw(value)
        written = bytes(found.get("sku_id", _NULL))
        if sku is not None and written == _NULL:
            found["sku_id"] = msgspec.Raw(msgspec.json.encode(sku))
        elif self.loose_sku and _INTEGER.fullmatch(written):
            found["sku_id"] = msgspec.Raw(b'"%b"' % written)
        return found
