"""Upstreams that a test plays: a real socket, and a script that writes whatever bytes it likes."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as an upstream saw it. headers: names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def sku(self) -> str:
        """The last segment of its path."""
        return self.target.partition("?")[0].rpartition("/")[2]

    @property
    def skus(self) -> list[str]:
        """Those that a bulk read asks for: `skus` of its query, else of its body."""
        query = parse_qs(urlsplit(self.target).query)
        return query["skus"][0].split(",") if "skus" in query else list(json.loads(self.body)["skus"])


Script = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Upstream:
    """A scripted upstream. script: may be replaced while it runs."""

    url: str
    script: Script
    seen: list[Seen] = field(default_factory=list)
    open_connections: int = 0
    accepted: int = 0

    @property
    def template(self) -> str:
        """Its URL with the placeholder, as settings want it."""
        return f"{self.url}/part/{{sku}}"


@asynccontextmanager
async def upstream(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    """Listen on a free port and answer by the script, request after request on each connection."""
    playing: Upstream
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        playing.open_connections += 1
        playing.accepted += 1
        writers.add(writer)
        try:
            while (seen := await _read(reader)) is not None:
                playing.seen.append(seen)
                await _until_left(playing.script(seen, writer), reader)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            playing.open_connections -= 1
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024, ssl=tls)
    playing = Upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", script)
    try:
        yield playing
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        await asyncio.sleep(0)


async def _until_left(answering: Awaitable[None], reader: asyncio.StreamReader) -> None:
    """Answer, and stop answering when the client leaves: a script may hang for ever."""
    task = asyncio.ensure_future(answering)
    while not task.done():
        await asyncio.wait({task}, timeout=0.02)
        if reader.at_eof() or reader.exception() is not None:
            task.cancel()
            await asyncio.wait({task})
            raise ConnectionResetError
    task.result()


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Seen(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def response(body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole response with a length."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


def part(source: str, sku: str, **fields: Any) -> str:
    """Return a part of the standard shape as JSON."""
    standard: dict[str, dict[str, Any]] = {
        "info": {"name": f"Product {sku}"},
        "price": {"price": 9.5},
        "stock": {"quantity": 3},
    }
    return json.dumps({"sku_id": sku, **standard[source], **fields})


def parts(source: str, **fields: Any) -> Script:
    """Answer every SKU with a part of its own."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(part(source, seen.sku, **fields)))

    return script


def always(body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> Script:
    """Answer everything alike."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(body, status, headers))

    return script


def raw(data: bytes, *, close: bool = True) -> Script:
    """Write these bytes, HTTP or not, and close."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if close:
            await writer.drain()
            writer.close()

    return script


def after(seconds: float, then: Script) -> Script:
    """Wait, then answer."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await then(seen, writer)

    return script


def in_turn(*scripts: Script) -> Script:
    """Answer the first request by the first script, the next by the next, and all later ones by the last."""
    left = list(scripts)

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(seen, writer)

    return script


def answering(body: Callable[[list[str]], bytes | str]) -> Script:
    """Answer bulk reads with what is made of the SKUs that they ask for."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(body(seen.skus)))

    return script


def bulk(source: str, *, absent: Collection[str] = (), **fields: Any) -> Script:
    """Answer bulk reads with a part for each SKU but the absent ones."""
    return answering(lambda skus: array(part(source, sku, **fields) for sku in skus if sku not in absent))


def array(items: Iterable[str]) -> str:
    """Return a JSON array of texts that are JSON."""
    return f"[{','.join(items)}]"


def by_sku(scripts: Mapping[str, Script], other: Script) -> Script:
    """Answer each SKU by its own script, and every one that has none by the other."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await scripts.get(seen.sku, other)(seen, writer)

    return script


async def hang(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def reset(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Close the connection without a word."""
    writer.transport.abort()
