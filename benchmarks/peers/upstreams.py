"""The three services that every peer asks: nginx on a core of its own, which answers from memory for any SKU."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.numbers.client import get
from benchmarks.peers import nginx
from benchmarks.peers.check import SKU, until
from benchmarks.peers.process import free_ports, started

NAMES = ("info", "price", "stock")
PARTS = {
    "info": {
        "sku_id": "$sku",
        "name": "Everyday Kettle 1.7 l, brushed steel, $sku",
        "description": "A kettle for every day: boils a litre in under three minutes, keeps its lid shut when"
        " it is poured, switches itself off and is descaled in a quarter of an hour.",
    },
    "price": {"sku_id": "$sku", "price": 1299.95, "original_price": 1499.95},
    "stock": {"sku_id": "$sku", "quantity": 128, "available": True},
}
_SERVER = """
server {{
    listen 127.0.0.1:{port} backlog=4096;
    large_client_header_buffers 4 32k;
    location = /{name} {{ content_by_lua_block {{ require("source").many("{name}") }} }}
    location ~ ^/{name}/(?<sku>[A-Za-z0-9._-]+)$ {{ {single} }}
}}
"""
_AT_ONCE = "return 200 '{text}';"
_LATE = 'content_by_lua_block {{ require("source").one("{name}") }}'


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Where the services are, by name. single: with {sku}; bulk: with {skus}; pid: the worker that answers for all."""

    single: dict[str, str]
    bulk: dict[str, str]
    pid: int


@asynccontextmanager
async def upstreams(core: int, delays_ms: tuple[int, int, int] = (0, 0, 0)) -> AsyncIterator[Upstreams]:
    """Run the services; a delay is waited for before each answer."""
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    delays = dict(zip(NAMES, delays_ms, strict=True))
    http = _init(delays) + "".join(_server(name, ports[name], delays[name]) for name in NAMES)
    urls = {name: f"http://127.0.0.1:{ports[name]}/{name}" for name in NAMES}
    with TemporaryDirectory() as folder:
        async with started(nginx.command(Path(folder), http), core, {}) as child:
            await until(child, partial(_fault, urls))
            yield Upstreams(
                {name: f"{url}/{{sku}}" for name, url in urls.items()},
                {name: f"{url}?skus={{skus}}" for name, url in urls.items()},
                await nginx.worker(child),
            )


def _text(name: str) -> str:
    return json.dumps(PARTS[name], separators=(",", ":"))


def _init(delays: dict[str, int]) -> str:
    defined = (f"source.define('{name}', [==[{_text(name)}]==], {delays[name] / 1000})" for name in NAMES)
    return f'init_by_lua_block {{ local source = require "source"; {"; ".join(defined)} }}'


def _server(name: str, port: int, delay: int) -> str:
    single = (_LATE if delay else _AT_ONCE).format(name=name, text=_text(name))
    return _SERVER.format(name=name, port=port, single=single)


async def _fault(urls: dict[str, str]) -> str | None:
    for name, url in urls.items():
        one, two = (json.loads(_text(name).replace("$sku", sku)) for sku in (SKU, f"{SKU}b"))
        if await get(url, f"/{name}/{SKU}") != one or await get(url, f"/{name}?skus={SKU},{SKU}b") != [one, two]:
            return f"the {name} upstream does not answer as it should"
    return None
