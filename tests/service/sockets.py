"""A connection, a pool or a transport of ours to an upstream that the test plays, each closed in the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from clients.connection import Connection
from clients.http import Transport
from clients.pool import BUFFER_BYTES, Origin, Pool
from tests.upstreams import Script, Upstream, upstream

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
LONGER_THAN_ANY = 10.0  # seconds: a test that hangs fails
FOR_EVER = 3600.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds; the test's own time ends what never does."""
    while not condition():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(
    script: Script, on_lost: Callable[[Connection], None] = lambda _: None
) -> AsyncIterator[tuple[Connection, Upstream]]:
    """Connect to an upstream that plays by the script."""
    async with asyncio.timeout(LONGER_THAN_ANY), upstream(script) as up:
        url = urlsplit(up.url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(on_lost, 0.0, memoryview(bytearray(BUFFER_BYTES))), str(url.hostname), url.port or 0
        )
        try:
            yield connection, up
        finally:
            connection.abort()


@asynccontextmanager
async def pooled(
    script: Script, *, max_age: float = FOR_EVER, max_idle: float = FOR_EVER
) -> AsyncIterator[tuple[Pool, Upstream]]:
    """Keep a pool to an upstream that plays by the script."""
    async with asyncio.timeout(LONGER_THAN_ANY), upstream(script) as up:
        url = urlsplit(up.url)
        pool = Pool(Origin(str(url.hostname), url.port or 0, None, max_age, max_idle), asyncio.get_running_loop())
        try:
            yield pool, up
        finally:
            await pool.aclose()


@asynccontextmanager
async def transported(script: Script) -> AsyncIterator[tuple[Transport, Upstream]]:
    """Keep a transport beside an upstream that plays by the script."""
    async with asyncio.timeout(LONGER_THAN_ANY), upstream(script) as up:
        transport = Transport()
        try:
            yield transport, up
        finally:
            await transport.aclose()
