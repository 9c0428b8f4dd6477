"""The stock service's part of a page."""

import re

import msgspec

from clients.errors import Garbled

FIELDS = frozenset({"sku_id", "quantity", "available"})
MAX_QUANTITY = 2**53 - 1  # the largest integer that every JSON reader keeps
_QUANTITY = re.compile(rb"0|[1-9][0-9]{0,15}")


class Stock(msgspec.Struct, frozen=True):
    """How many of a product there are."""

    sku_id: str
    quantity: int
    available: bool


class _Sent(msgspec.Struct):
    sku_id: str
    quantity: msgspec.Raw
    available: bool | None = None


_decode = msgspec.json.Decoder(_Sent).decode


def read(document: bytes | msgspec.Raw) -> Stock:
    """Read the part from an object of the standard shape; msgspec.MsgspecError or Garbled where it is none."""
    sent = _decode(document)
    written = bytes(sent.quantity)
    if not _QUANTITY.fullmatch(written) or (quantity := int(written)) > MAX_QUANTITY:
        raise Garbled("not a quantity")
    return Stock(sent.sku_id, quantity, quantity > 0 if sent.available is None else sent.available)
