"""Versions as parts carry them: info is called `v17`, costs 17, and there are 17 of it in stock."""

import json
from collections.abc import Iterator

import msgspec

from tests.consistency.history import Shown

SOURCES = ("info", "price", "stock")


class _Info(msgspec.Struct):
    name: str

    @property
    def version(self) -> int:
        return int(self.name.removeprefix("v"))


class _Price(msgspec.Struct):
    version: int = msgspec.field(name="price")


class _Stock(msgspec.Struct):
    version: int = msgspec.field(name="quantity")


class _Source(msgspec.Struct):
    state: str
    reason: str | None


class _Meta(msgspec.Struct):
    sources: dict[str, _Source]


class _Page(msgspec.Struct):
    info: _Info | None
    price: _Price | None
    stock: _Stock | None
    meta: _Meta


_PARTS: dict[str, type[_Info | _Price | _Stock]] = {"info": _Info, "price": _Price, "stock": _Stock}
_PAGE = msgspec.json.Decoder(_Page)


def written(source: str, sku: str, version: int) -> bytes:
    """Return a part as JSON."""
    fields: dict[str, dict[str, str | int]] = {
        "info": {"name": f"v{version}"},
        "price": {"price": version},
        "stock": {"quantity": version},
    }
    return json.dumps({"sku_id": sku, **fields[source]}).encode()


def version_of(source: str, body: bytes) -> int:
    """Return the version of a part; ValueError where it is none."""
    return msgspec.json.decode(body, type=_PARTS[source]).version


def shown(body: bytes) -> Iterator[Shown]:
    """Return the parts that a page shows; ValueError where it is none."""
    page = _PAGE.decode(body)
    for source, part in (("info", page.info), ("price", page.price), ("stock", page.stock)):
        if part is not None:
            told = page.meta.sources[source]
            yield Shown(source, part.version, told.state, told.reason)
