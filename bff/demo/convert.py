"""Convert a product dump in the shape of DummyJSON's to a catalogue file, every price digit for digit."""

import argparse
import sys
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, DecimalException, localcontext
from pathlib import Path

import msgspec

from bff.demo.catalog import Catalog, CatalogError, parse
from bff.demo.product import NO_AMOUNT, Product

CURRENCY = "USD"  # the dump names none; its shop sells in dollars


class Row(msgspec.Struct, frozen=True, rename={"discount": "discountPercentage"}):
    """One product of the dump; what the catalogue has no place for is dropped."""

    sku: str
    title: str
    price: msgspec.Raw
    stock: int
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    images: tuple[str, ...] | None = None
    discount: msgspec.Raw = NO_AMOUNT


class Dump(msgspec.Struct, frozen=True):
    """The envelope that the shop's API puts around its rows, where it is still on."""

    products: list[Row]


def convert(dump: bytes) -> bytes:
    """Turn the text of a dump into that of a catalogue; raise CatalogError where that cannot be done."""
    try:
        decoded = msgspec.json.decode(dump, type=list[Row] | Dump)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise CatalogError(str(exc)) from exc
    rows = decoded.products if isinstance(decoded, Dump) else decoded
    catalog = msgspec.json.encode([_product(index, row) for index, row in enumerate(rows)])
    Catalog(parse(catalog))  # what the sources would refuse is not written
    return msgspec.json.format(catalog, indent=2) + b"\n"


def _product(index: int, row: Row) -> Product:
    try:
        return _converted(row)
    except DecimalException as exc:
        raise CatalogError(f"`discountPercentage` cannot be undone - at `$[{index}]`") from exc
    except ValueError as exc:
        raise CatalogError(f"{exc} - at `$[{index}]`") from exc


def _converted(row: Row) -> Product:
    return Product(
        sku_id=row.sku,
        name=row.title,
        description=row.description,
        brand=row.brand,
        category=row.category,
        images=row.images,
        price=row.price,
        original_price=_original_price(row.price, row.discount),
        currency=CURRENCY,
        quantity=row.stock,
    )


def _original_price(price: msgspec.Raw, discount: msgspec.Raw) -> msgspec.Raw:
    """Undo the discount, a percentage, and round half up to cents."""
    percentage = Decimal(0) if discount == NO_AMOUNT else _decimal(discount)
    if percentage == 0:
        return NO_AMOUNT
    with localcontext(prec=60):  # an amount has up to 40 digits, one more division must not round it
        original = _decimal(price) * 100 / (100 - percentage)
        return msgspec.Raw(str(original.quantize(Decimal("0.01"), ROUND_HALF_UP)).encode())


def _decimal(number: msgspec.Raw) -> Decimal:
    return Decimal(bytes(number).decode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert the file FROM into the file TO; return 2 where FROM cannot be converted."""
    parser = argparse.ArgumentParser(prog="python -m bff.demo.convert", description=__doc__)
    parser.add_argument("source", metavar="FROM", type=Path, help="the dump: a JSON array of products")
    parser.add_argument("target", metavar="TO", type=Path, help="the catalogue to write, for `bff demo --catalog`")
    options = parser.parse_args(arguments)
    try:
        options.target.write_bytes(convert(options.source.read_bytes()))
    except (CatalogError, OSError) as exc:
        print(f"{options.source}: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
