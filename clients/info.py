"""The info service's part of a page."""

import msgspec

FIELDS = frozenset({"sku_id", "name", "description", "brand", "category", "images"})


class Info(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a product is called and looks like."""

    sku_id: str
    name: str
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    images: list[str] | None = None


_decode = msgspec.json.Decoder(Info).decode


def read(document: bytes | msgspec.Raw) -> Info:
    """Read the part from an object of the standard shape; msgspec.MsgspecError where it is none."""
    return _decode(document)
