"""What the candidates are called with: upstreams on loopback that fail in one way each."""

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field

ANSWER = json.dumps({"sku_id": "1001", "price": 129.9, "original_price": 159.9, "currency": "EUR", "x": 1}).encode()
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"
BOMB_BYTES = 100_000_000
_GZIP = gzip.compress(bytes(BOMB_BYTES))


def response(body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@dataclass
class Upstream:
    """How many connections and requests it has, and the most requests that it had at once."""

    url: str = ""
    connections: int = 0
    requests: int = 0
    most: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)


Play = Callable[[int, asyncio.StreamWriter], Awaitable[None]]  # given which request of its connection it answers


@asynccontextmanager
async def upstream(play: Play) -> AsyncIterator[Upstream]:
    """Answer every request as played, and close the connection where the play leaves it closing."""
    state = Upstream()

    async def one(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        state.requests += 1
        state.most = max(state.most, state.requests)
        try:
            await play(number, writer)
            await writer.drain()
        finally:
            state.requests -= 1

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        state.writers.add(writer)
        number = 0
        try:
            while not writer.is_closing():
                await one(number, reader, writer)
                number += 1
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            state.connections -= 1
            state.writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield state
    finally:
        server.close()
        for writer in list(state.writers):
            writer.transport.abort()
        for _ in range(100):
            await asyncio.sleep(0.01 if state.connections else 0)


def always(data: bytes, *, close: bool = False) -> Play:
    async def play(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if close:
            await writer.drain()
            writer.close()

    return play


def after(seconds: float) -> Play:
    """Answer late, in steps, so that a client that has left is noticed."""

    async def play(_: int, writer: asyncio.StreamWriter) -> None:
        for _step in range(int(seconds / 0.01)):
            await asyncio.sleep(0.01)
            if writer.is_closing():
                raise ConnectionResetError
        writer.write(response(ANSWER))

    return play


hang = after(10)


async def drip(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _byte in range(1000):
        writer.write(b"x")
        await asyncio.sleep(0.02)
        if writer.is_closing():
            raise ConnectionResetError


async def reset_amid_body(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(HALF)
    await asyncio.sleep(0.05)
    linger = struct.pack("ii", 1, 0)  # a reset instead of an end
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def stale(number: int, writer: asyncio.StreamWriter) -> None:
    """Answer once, keep the connection, and close it when it is used again."""
    if number:
        writer.close()
    else:
        writer.write(response(ANSWER))


bomb = always(response(_GZIP, "Content-Encoding: gzip\r\n"))
large_header = always(response(ANSWER, f"X: {'x' * 1_000_000}\r\n"))


@contextmanager
def refusing() -> Iterator[str]:
    """A port that nobody listens on."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/"


@contextmanager
def full_backlog() -> Iterator[str]:
    """A socket that listens and takes no further connection: the kernel drops what would open one."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.settimeout(0)
            each.connect_ex(listening.getsockname())
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            for each in waiting:
                each.close()
