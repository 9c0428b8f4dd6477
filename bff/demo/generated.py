"""Make up a plausible product for every SKU of the form G42, always the same one for the same SKU."""

import re
from hashlib import blake2b

import msgspec

from bff.demo.product import NO_AMOUNT, Product

_DISCOUNTED = 64  # of 256: a quarter
_OUT_OF_STOCK = 26  # of 256: a tenth

_SKU = re.compile(r"G[0-9]{1,9}")

_BRANDS = (
    "Alderbrook",
    "Brightwater",
    "Corvid",
    "Dunmere",
    "Estuary",
    "Fernhollow",
    "Glasswing",
    "Hearthstone",
)
_QUALITIES = ("Compact", "Classic", "Everyday", "Folding", "Lightweight", "Quiet", "Sturdy", "Travel")
_THINGS = (
    ("Backpack", "outdoor"),
    ("Blender", "kitchen"),
    ("Camera", "photo"),
    ("Desk Chair", "home"),
    ("Headphones", "audio"),
    ("Kettle", "kitchen"),
    ("Monitor", "computers"),
    ("Rain Jacket", "outdoor"),
    ("Reading Lamp", "home"),
    ("Tripod", "photo"),
)


def is_generated(sku: str) -> bool:
    """Tell whether the SKU is a G followed by 1 to 9 digits."""
    return _SKU.fullmatch(sku) is not None


def generate(sku: str) -> Product:
    """Derive a product from a hash of its SKU: a tenth is out of stock, a quarter is discounted."""
    dice = blake2b(sku.encode(), digest_size=16).digest()
    thing, category = _THINGS[dice[0] % len(_THINGS)]
    brand = _BRANDS[dice[1] % len(_BRANDS)]
    quality = _QUALITIES[dice[2] % len(_QUALITIES)]
    cents = 99 + int.from_bytes(dice[4:8]) % 200_000
    return Product(
        sku_id=sku,
        name=f"{brand} {quality} {thing}",
        description=f"A {quality.lower()} {thing.lower()} by {brand}, number {sku[1:]} of its line.",
        brand=brand,
        category=category,
        images=(f"https://images.example.com/{sku}/1.webp",),
        price=_amount(cents),
        original_price=_amount(cents * (105 + dice[9] % 46) // 100) if dice[8] < _DISCOUNTED else NO_AMOUNT,
        currency="CNY",
        quantity=0 if dice[10] < _OUT_OF_STOCK else 1 + int.from_bytes(dice[11:13]) % 500,
    )


def _amount(cents: int) -> msgspec.Raw:
    return msgspec.Raw(f"{cents // 100}.{cents % 100:02d}".encode())
