"""Load a catalogue file, refuse a wrong one, and hand out the parts of its products.

Every part is rendered once, here; it knows no HTTP and no faults.
"""

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Self

import msgspec

from bff.demo.generated import generate, is_generated
from bff.demo.product import PARTS, Product


class CatalogError(Exception):
    """A catalogue that cannot be served; the text names the product's index, as in `$[3]`, and its field."""


class Catalog:
    """The products that the sample sources serve.

    With `generated`, every SKU made of a G and 1 to 9 digits exists too; a listed product comes first.
    """

    def __init__(self, products: Iterable[Product], *, generated: bool = False) -> None:
        self._parts = _rendered(products)
        self._generated = generated

    @classmethod
    def sample(cls) -> Self:
        """Load the catalogue that comes with the package, and the generated products besides."""
        text = resources.files("bff.demo").joinpath("products.json").read_bytes()
        return cls(parse(text), generated=True)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Load a file, which is then all there is; raise CatalogError for a bad or unreadable one."""
        try:
            text = path.read_bytes()
        except OSError as exc:
            raise CatalogError(f"cannot be read: {exc.strerror}") from exc
        return cls(parse(text))

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return f"Catalog({len(self)} products, generated={self._generated})"

    @property
    def skus(self) -> tuple[str, ...]:
        """List the SKUs of the products that are written down, in the order of the file."""
        return tuple(self._parts)

    def part(self, source: str, sku: str) -> bytes | None:
        """Return the JSON object of one source's part, or None where the SKU is unknown."""
        parts = self._parts.get(sku)
        if parts is not None:
            return parts[source]
        if self._generated and is_generated(sku):
            return generate(sku).part(source)
        return None


def parse(text: bytes) -> list[Product]:
    """Read the products of a catalogue's JSON text; raise CatalogError where any is wrong."""
    try:
        return msgspec.json.decode(text, type=list[Product])
    except msgspec.ValidationError as exc:
        raise CatalogError(str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise CatalogError(f"is not JSON: {exc}") from exc


def _rendered(products: Iterable[Product]) -> Mapping[str, Mapping[str, bytes]]:
    parts: dict[str, Mapping[str, bytes]] = {}
    for index, product in enumerate(products):
        if product.sku_id in parts:
            raise CatalogError(f"`{product.sku_id}` is there a second time - at `$[{index}].sku_id`")
        parts[product.sku_id] = {source: product.part(source) for source in PARTS}
    return parts
