"""Send a whole catalogue through the demo and compare every page to the last digit: `python -m bff.demo.verify FILE`.

Reads the file and the pages with the standard library alone, so that no decoder of the service vouches for itself.
"""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bff.demo.product import PARTS

_DEMO = (sys.executable, "-m", "bff", "demo", "--port", "0", "--admin-port", "0", "--sources-port", "0")
_STOP_SECONDS = 20.0


class Digits(str):
    """A number as it was written."""

    __slots__ = ()


@contextmanager
def demo(catalog: Path) -> Iterator[http.client.HTTPConnection]:
    """Run the demo over a catalogue and yield a connection to its public listener."""
    command = [*_DEMO, "--delays", "0,0,0", "--catalog", str(catalog)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        try:
            assert process.stdout is not None
            first = process.stdout.readline().split()
            if not first:
                raise SystemExit(process.wait())  # it has said why
            url = urlsplit(first[1])
            with closing(http.client.HTTPConnection(str(url.hostname), url.port, timeout=5)) as connection:
                yield connection
        finally:
            process.terminate()
            process.communicate(timeout=_STOP_SECONDS)


def differences(product: dict[str, Any], connection: http.client.HTTPConnection) -> list[str]:
    """Return how a product's page differs from what the catalogue says of it."""
    sku = product["sku_id"]
    connection.request("GET", f"/api/v1/products/{sku}")
    response = connection.getresponse()
    page = _read(response.read())
    if response.status != 200 or not page["meta"]["complete"]:
        return [f"{sku}: status {response.status}, {page.get('meta') or page.get('sources')}"]
    found = []
    for source in PARTS:
        expected = _expected(product, source)
        if not _same(page[source], expected):
            found.append(f"{sku}: {source} is {page[source]}, not {expected}")
    return found


def main(arguments: list[str]) -> int:
    """Compare all pages, say what differs, and return 0 where nothing does."""
    if len(arguments) != 1:
        print("usage: python -m bff.demo.verify FILE", file=sys.stderr)
        return 2
    catalog = Path(arguments[0])
    with demo(catalog) as connection:
        products = _read(catalog.read_bytes())
        found = [line for product in products for line in differences(product, connection)]
    for line in found:
        print(line)
    print(f"{len(products)} products compared through the whole path, {len(found)} differences")
    return 1 if found or not products else 0


def _read(text: bytes) -> Any:
    return json.loads(text, parse_float=Digits, parse_int=Digits)


def _expected(product: dict[str, Any], source: str) -> dict[str, Any]:
    part = {name: product[name] for name in PARTS[source] if product.get(name) is not None}
    if source == "stock":
        part["available"] = int(part["quantity"]) > 0
    return part


def _same(shown: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return (
            isinstance(shown, dict)
            and shown.keys() == expected.keys()
            and all(_same(shown[name], value) for name, value in expected.items())
        )
    if isinstance(expected, Digits) and "e" in expected.lower():  # with an exponent: an equal number
        return isinstance(shown, Digits) and Decimal(shown) == Decimal(expected)
    return type(shown) is type(expected) and bool(shown == expected)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
