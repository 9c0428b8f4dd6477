"""Sources that this process plays: a real socket each, and a script that writes what it likes."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from bff.demo.catalog import Catalog
from bff.demo.product import PARTS

TICK_SECONDS = 0.02
FLOOD = 65536
BOMB_BYTES = 2**28


class Peer(asyncio.Protocol):
    """A connection of the service to a source."""

    transport: asyncio.Transport

    def __init__(self, source: "Source") -> None:
        self._source = source
        self._unread = b""
        self.closed = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment] # uvloop's is one in all but its base class
        self._source.peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._source.peers.discard(self)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            sku = head.split(b" ", 2)[1].rpartition(b"/")[2].decode()
            self._source.asked[sku] += 1
            self._source.script(self, sku)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def keep_writing(self, data: bytes, pause: float) -> None:
        """Write the same again and again, as fast as the other side reads, until it leaves."""
        if self.closed:
            return
        if not self._paused:
            self.transport.write(data)
        asyncio.get_running_loop().call_later(pause, self.keep_writing, data, pause)


Script = Callable[[Peer, str], None]


class Source:
    """A source that is played. asked: how often, by SKU; script: may be replaced while it runs."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: Counter[str] = Counter()
        self.peers: set[Peer] = set()
        self.url = ""


Sources = dict[str, Source]


@asynccontextmanager
async def playing(script_of: Callable[[str], Script]) -> AsyncIterator[Sources]:
    """Play the three sources."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        sources = {name: Source(script_of(name)) for name in PARTS}
        for name, source in sources.items():
            server = await loop.create_server(partial(Peer, source), "127.0.0.1", 0, backlog=2048)
            stack.push_async_callback(server.wait_closed)
            stack.callback(_hang_up, source)
            stack.callback(server.close)
            source.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{name}/{{sku}}"
        yield sources


def templates(sources: Sources) -> dict[str, str]:
    """Return the URLs that the service is given."""
    return {name: source.url for name, source in sources.items()}


def _hang_up(source: Source) -> None:
    for peer in list(source.peers):
        peer.transport.abort()


def answer(body: bytes, status: int = 200, extra: str = "") -> bytes:
    """Return a whole answer."""
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


def well(name: str) -> Script:
    """Answer every SKU of the form G42 as the demo does, and no other."""
    catalog = Catalog.sample()

    def script(peer: Peer, sku: str) -> None:
        part = catalog.part(name, sku)
        peer.transport.write(answer(b"{}", 404) if part is None else answer(part))

    return script


def late(name: str, seconds: float) -> Script:
    """Answer after so long."""
    at_once = well(name)

    def later(peer: Peer, sku: str) -> None:
        if not peer.closed:
            at_once(peer, sku)

    def script(peer: Peer, sku: str) -> None:
        asyncio.get_running_loop().call_later(seconds, later, peer, sku)

    return script


def failing(peer: Peer, _sku: str) -> None:
    """Answer 500."""
    peer.transport.write(answer(b"no", 500))


def hang(peer: Peer, sku: str) -> None:
    """Never answer."""


def endless(start: bytes, more: bytes, pause: float) -> Script:
    """Begin an answer and never end it."""

    def script(peer: Peer, _sku: str) -> None:
        peer.transport.write(start)
        peer.keep_writing(more, pause)

    return script


def bomb() -> Script:
    """Answer little that unpacks to 256 MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(BOMB_BYTES // 2**20)) + packer.flush()
    whole = answer(packed, extra="Content-Encoding: gzip\r\n")

    def script(peer: Peer, _sku: str) -> None:
        peer.transport.write(whole)

    return script


def hostile() -> dict[str, Script]:
    """Return the ways in which a source can misbehave, by name."""
    ok = b"HTTP/1.1 200 OK\r\n"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (FLOOD, bytes(FLOOD))
    return {
        "hangs": hang,
        "drips its head": endless(ok + b"X-Drip: ", b"x", TICK_SECONDS),
        "drips its body": endless(ok + b"Content-Length: 60000\r\n\r\n", b" ", TICK_SECONDS),
        "floods its head": endless(ok, b"X-Flood: %b\r\n" % (b"x" * 1000) * 60, 0),
        "floods its body": endless(chunked, chunk, 0),
        "floods with interim answers": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, 0),
        "sends a gzip bomb": bomb(),
        "sends all but the end": endless(ok + b"Content-Length: 65000\r\n\r\n" + b" " * 64000, b"", TICK_SECONDS),
    }
