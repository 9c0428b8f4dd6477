"""The price service's part of a page."""

import re

import msgspec

from clients import amount
from clients.errors import Garbled

FIELDS = frozenset({"sku_id", "price", "original_price", "currency"})
_CURRENCY = re.compile(r"[A-Z]{3}")
_ABSENT = msgspec.Raw(b"null")


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a product costs. Amounts are JSON numbers, kept as their own text."""

    sku_id: str
    price: msgspec.Raw
    original_price: msgspec.Raw | None = None
    currency: str | None = None


class _Sent(msgspec.Struct):
    sku_id: str
    price: msgspec.Raw
    original_price: msgspec.Raw = _ABSENT
    currency: str | None = None


_decode = msgspec.json.Decoder(_Sent).decode


def read(document: bytes | msgspec.Raw, amounts: amount.Reader = amount.number) -> Price:
    """Read the part from an object of the standard shape; msgspec.MsgspecError or Garbled where it is none."""
    sent = _decode(document)
    if sent.currency is not None and not _CURRENCY.fullmatch(sent.currency):
        raise Garbled("not a currency")
    original = bytes(sent.original_price)
    return Price(
        sku_id=sent.sku_id,
        price=amounts(bytes(sent.price)),
        original_price=None if original == b"null" else amounts(original),
        currency=sent.currency,
    )
