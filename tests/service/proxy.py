"""A way from a pod to Redis with faults: those of `tests.consistency.proxy`, and two more.

Slow, each answer arrives so much later. Stranded, the connections that there are say nothing any more, and are not
closed either, while new ones pass: so it is where a machine between the two has died.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.consistency.proxy import CHUNK_BYTES, LOOPBACK, Proxy, Way
from tests.redis_server import RedisServer


class Faulty(Proxy):
    """slow_seconds: by how much each answer of Redis is later."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.slow_seconds = 0.0
        self._generation = 0

    @property
    def url(self) -> str:
        """Its address, as `BFF_REDIS_URL` wants it."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def strand(self) -> None:
        """Let nothing pass on the connections that there are, ever."""
        self._generation += 1

    async def _pump(self, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        born, last = self._generation, 0.0
        while data := await source.read(CHUNK_BYTES):
            await self._open[way].wait()
            if born != self._generation:
                await asyncio.Event().wait()
            loop = asyncio.get_running_loop()
            if way is Way.TO_POD and (self.slow_seconds or loop.time() < last):
                last = max(last, loop.time() + self.slow_seconds)  # the way is long, and nothing overtakes on it
                loop.call_at(last, sink.write, data)
            else:
                sink.write(data)
                await sink.drain()


@asynccontextmanager
async def faulty(server: RedisServer) -> AsyncIterator[Faulty]:
    """Run a proxy in front of a server while the body runs."""
    port = urlsplit(server.url).port
    assert port is not None
    proxy = Faulty(port)
    listening = await asyncio.start_server(proxy.connected, LOOPBACK, 0)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.close()
