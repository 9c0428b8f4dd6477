"""Every server of the comparison, started: `running`."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from benchmarks.numbers.client import PATH
from benchmarks.peers import javascript, nginx
from benchmarks.peers.check import answer_fault, page_fault, until
from benchmarks.peers.process import free_ports, started
from benchmarks.peers.upstreams import NAMES, Upstreams

PEERS = {
    "bff": "this service",
    "bff-client": "the same, its calls through httpx.AsyncClient",
    "usual": "FastAPI and httpx.AsyncClient",
    "fastify": "Fastify and undici",
    "fastify-batched": "the same, its calls joined by dataloader",
    "fastify-cached": "the same, with lru-cache for parts and pages",
    "nginx-lua": "nginx and Lua, parts checked",
    "nginx-lua-plain": "nginx and Lua, parts unchecked",
    "bare": "our listener, one fixed answer",
}
FRESH_SECONDS = (60.0, 5.0, 2.0)
_UPSTREAM = "upstream {name} {{ server {address}; keepalive 256; keepalive_requests 1000000000; }}\n"
_LOCATION = "location /ask/{name}/ {{ internal; proxy_pass http://{name}{path}; }}\n"
_SERVER = """
proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass_request_headers off;
proxy_connect_timeout 800ms; proxy_send_timeout 800ms; proxy_read_timeout 800ms;
server {{
    listen 127.0.0.1:{port} backlog=2048;
    {asked}
    location ~ "^/api/v1/products/(?<sku>[A-Za-z0-9][A-Za-z0-9._-]{{0,63}})$" {{ content_by_lua_file "{script}"; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. pids: the processes whose CPU time is its cost."""

    base: str
    pids: tuple[int, ...]

    def page(self, sku: str) -> str:
        """Return a page's URL."""
        return f"{self.base}{PATH}{sku}"


@dataclass(frozen=True, slots=True)
class Options:
    """What can be asked of a server, where it means anything to it. replay: what `record` wrote, for `bare`."""

    bulk: bool = False
    fresh: tuple[float, float, float] = FRESH_SECONDS
    settings: Mapping[str, Any] = field(default_factory=dict)
    replay: Path | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is started: what it asks, its port, a folder of its own, and what is asked of it."""

    upstreams: Upstreams
    port: int
    folder: Path
    options: Options


Command = tuple[list[str], dict[str, str]]


@asynccontextmanager
async def running(peer: str, upstreams: Upstreams, core: int, **options: Any) -> AsyncIterator[Server]:
    """Run a server of `PEERS` on a core until the body ends; it has answered a page by then. options: `Options`."""
    (port,) = free_ports(1)
    base = f"http://127.0.0.1:{port}"
    with TemporaryDirectory() as folder:
        command, environment = _COMMANDS[peer](Place(upstreams, port, Path(folder), Options(**options)))
        async with started(command, core, environment) as child:
            await until(child, partial(answer_fault if peer == "bare" else page_fault, base))
            yield Server(base, (await nginx.worker(child) if peer.startswith("nginx") else child.pid,))


def _bff(place: Place, module: str = "bff") -> Command:
    options, upstreams = place.options, place.upstreams
    own = {"port": place.port, "admin_port": 0, "data_dir": place.folder, "grace_seconds": 1}
    urls = {f"{name}__url": url for name, url in upstreams.single.items()}
    bulk = {f"{name}__bulk_url": url for name, url in upstreams.bulk.items()} if options.bulk else {}
    fresh = {f"{name}__fresh_seconds": seconds for name, seconds in zip(NAMES, options.fresh, strict=True)}
    settings = {**own, **urls, **bulk, **fresh, **options.settings}
    environment = {f"BFF_{name.upper()}": str(value) for name, value in settings.items()}
    return [sys.executable, "-m", module, "serve"], environment


def _usual(place: Place) -> Command:
    command = [sys.executable, "-m", "uvicorn", "benchmarks.peers.usual:app", "--port", str(place.port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return command, {f"{name.upper()}_URL": url for name, url in place.upstreams.single.items()}


def _fastify(place: Place, script: str, *, bulk: bool) -> Command:
    environment = {
        "NODE_ENV": "production",
        "PORT": str(place.port),
        "SINGLE": json.dumps(place.upstreams.single),
        "BULK": json.dumps(place.upstreams.bulk if bulk else None),
        "FRESH": json.dumps(dict(zip(NAMES, place.options.fresh, strict=True))),
    }
    return [*javascript.node(), str(javascript.FOLDER / script)], environment


def _fastify_cached(place: Place) -> Command:
    return _fastify(place, "cached.js", bulk=place.options.bulk)


def _nginx(place: Place, script: str) -> Command:
    urls = {name: urlsplit(url.removesuffix("{sku}")) for name, url in place.upstreams.single.items()}
    known = "".join(_UPSTREAM.format(name=name, address=url.netloc) for name, url in urls.items())
    asked = "".join(_LOCATION.format(name=name, path=url.path) for name, url in urls.items())
    server = _SERVER.format(port=place.port, asked=asked, script=nginx.LUA / script)
    return nginx.command(place.folder, known + server), {}


def _bare(place: Place) -> Command:
    assert place.options.replay is not None, "bare replays what `record` wrote"
    return [sys.executable, "-m", "benchmarks.peers.bare", str(place.options.replay), str(place.port)], {}


_COMMANDS: dict[str, Callable[[Place], Command]] = {
    "bff": _bff,
    "bff-client": partial(_bff, module="benchmarks.peers.through_client"),
    "usual": _usual,
    "fastify": partial(_fastify, script="plain.js", bulk=False),
    "fastify-batched": partial(_fastify, script="plain.js", bulk=True),
    "fastify-cached": _fastify_cached,
    "nginx-lua": partial(_nginx, script="page.lua"),
    "nginx-lua-plain": partial(_nginx, script="plain.lua"),
    "bare": _bare,
}
