"""The real service inside a test: real listeners, real HTTP, upstreams that the test plays."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from bff.environment import load
from bff.serve import Running, running
from bff.wiring.service import Service
from tests.upstreams import Script, Upstream, parts, upstream

SOURCES = ("info", "price", "stock")

with_front: ContextVar[bool] = ContextVar("with_front", default=True)
"""Whether pages are answered ahead of the routes that declare them, as in production; the answers are the same."""


@dataclass(frozen=True)
class Answer:
    """An answer. headers: names in lower case; a name that was sent twice is joined by a comma."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def reasons(self) -> dict[str, str | None]:
        """The reason of each source, on pages and on their errors."""
        shown = self.json.get("meta", self.json)["sources"]
        return {name: source["reason"] for name, source in shown.items()}

    @property
    def states(self) -> dict[str, str]:
        """The state of each source, on pages and on their errors."""
        shown = self.json.get("meta", self.json)["sources"]
        return {name: source["state"] for name, source in shown.items()}


async def request(
    url: str, method: str, target: str | bytes, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
) -> Answer:
    """Send a request as it stands, over a connection of its own, and read its answer."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    reader, writer = await asyncio.open_connection(host, port)
    try:
        path = target if isinstance(target, bytes) else target.encode()
        lines = [f"Host: {host}:{port}", "Connection: close", *(f"{name}: {value}" for name, value in headers)]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        writer.write(method.encode() + b" " + path + b" HTTP/1.1\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n")
        writer.write(body)
        return _answer(await reader.read())
    finally:
        writer.close()


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Look again and again until something holds; TimeoutError where it does not in a generous time."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.01)


def _answer(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return Answer(int(first.split(" ")[1]), headers, body)


@dataclass(frozen=True)
class Bff:
    """A service under test, and the upstreams behind it."""

    run: Running
    info: Upstream
    price: Upstream
    stock: Upstream
    data: Path

    @property
    def service(self) -> Service:
        """Its parts, for those who look behind the curtain."""
        return self.run.service

    async def get(self, target: str | bytes, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """Ask the public listener."""
        return await request(self.run.public_url, method, target, (headers or {}).items())

    async def page(self, sku: str, **headers: str) -> Answer:
        """Ask for a page; a header's underscores are hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.get(f"/api/v1/products/{sku}", sent)

    async def admin(self, target: str, method: str = "GET", body: Any = None) -> Answer:
        """Ask the admin listener."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = [("Content-Type", "application/json")] if data else []
        return await request(self.run.admin_url, method, target, headers, data)

    async def metric(self, name: str, **labels: str) -> float:
        """Return a metric's value, 0 where it has not been counted yet."""
        for line in (await self.admin("/metrics")).body.decode().splitlines():
            series, _, value = line.rpartition(" ")
            bare, _, rest = series.partition("{")
            if bare == name and all(f'{label}="{text}"' in rest for label, text in labels.items()):
                return float(value)
        return 0.0

    async def circuit(self, source: str) -> str:
        """Return the state of a source's circuit."""
        return str((await self.admin("/sources")).json[source]["circuit"])


def patient(seconds: float = 10) -> dict[str, Any]:
    """Return settings that give pages and sources so long: a busy machine must not look like a slow source."""
    return {"deadline_seconds": seconds, **{f"{name}__attempt_timeout_seconds": seconds for name in SOURCES}}


async def exchange(service: Bff, data: bytes) -> bytes:
    """Send bytes and read until the service closes."""
    parts = urlsplit(service.run.public_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


@asynccontextmanager
async def bff(
    *, info: Script | None = None, price: Script | None = None, stock: Script | None = None, **settings: Any
) -> AsyncIterator[Bff]:
    """Run the service over scripted upstreams; a source without a script answers every SKU.

    settings: without their prefix, in lower case, such as price__attempts=1; a URL that begins with a slash is one of
    the source's own upstream.
    """
    async with AsyncExitStack() as stack:
        scripts = {"info": info, "price": price, "stock": stock}
        ups = {name: await stack.enter_async_context(upstream(scripts[name] or parts(name))) for name in SOURCES}
        folder = Path(stack.enter_context(TemporaryDirectory()))
        environ = {f"BFF_{name.upper()}__URL": up.template for name, up in ups.items()}
        environ |= {"BFF_PORT": "0", "BFF_ADMIN_PORT": "0", "BFF_DATA_DIR": str(folder), "BFF_GRACE_SECONDS": "2"}
        environ |= {f"BFF_{name.upper()}": _placed(name, _text(value), ups) for name, value in settings.items()}
        run = await stack.enter_async_context(running(load(environ), front=with_front.get()))
        yield Bff(run, **ups, data=folder)


def _placed(name: str, value: str, ups: Mapping[str, Upstream]) -> str:
    source, _, setting = name.partition("__")
    return ups[source].url + value if setting.endswith("url") and value.startswith("/") else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)
