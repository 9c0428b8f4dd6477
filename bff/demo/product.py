"""Hold one product of the sample catalogue and cut it into the parts that the three sources own.

It knows no file, no HTTP, and no rule of the BFF's: amounts are text here, never numbers.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec

# In the order in which the services listen and are printed.
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "info": ("sku_id", "name", "description", "brand", "category", "images"),
        "price": ("sku_id", "price", "original_price", "currency"),
        "stock": ("sku_id", "quantity"),
    }
)

# What an amount that is not there looks like: msgspec reads no union of Raw and None.
NO_AMOUNT = msgspec.Raw(b"null")

_ABSENT = (None, NO_AMOUNT)

_AMOUNT = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

Sku = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
MAX_QUANTITY = 2**53 - 1
Quantity = Annotated[int, msgspec.Meta(ge=0, le=MAX_QUANTITY)]


def is_amount(text: msgspec.Raw) -> bool:
    """Tell whether it is a JSON number of 0 or more."""
    return _AMOUNT.fullmatch(text) is not None


class Product(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of a catalogue file, its amounts kept as the bytes they were written with.

    Raises ValueError for an amount that is not a JSON number of 0 or more.
    """

    sku_id: Sku
    name: str
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    images: tuple[str, ...] | None = None
    price: msgspec.Raw  # a float would turn 12.30 into 12.3
    original_price: msgspec.Raw = NO_AMOUNT
    currency: Currency | None = None
    quantity: Quantity

    def __post_init__(self) -> None:
        if not is_amount(self.price):
            raise ValueError("`price` must be a number of 0 or more")
        if self.original_price != NO_AMOUNT and not is_amount(self.original_price):
            raise ValueError("`original_price` must be a number of 0 or more")

    def part(self, source: str) -> bytes:
        """Render the JSON object that the source owns, without the fields that this product lacks."""
        fields = {field: getattr(self, field) for field in PARTS[source]}
        return msgspec.json.encode({field: value for field, value in fields.items() if value not in _ABSENT})
