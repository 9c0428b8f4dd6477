"""A way from one pod to Redis that can be cut: held, in one direction or both, or refused.

Held, nothing passes and nothing is lost: it is what a network does that drops packets, for TCP sends them again. So
what was sent arrives late, when the way is open again, even from a connection that was given up meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from enum import Enum

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 65536


class Way(Enum):
    """A direction."""

    TO_REDIS = "to Redis"
    TO_POD = "to the pod"


BOTH = (Way.TO_REDIS, Way.TO_POD)


class Proxy:
    """Passes bytes between whoever connects and a port of the loopback."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._open = {way: asyncio.Event() for way in Way}
        self._refusing = False
        self._passing: set[asyncio.Task[None]] = set()
        self.open()

    def __repr__(self) -> str:
        held = [way.value for way, event in self._open.items() if not event.is_set()]
        return f"<Proxy {len(self._passing)} connections{', refusing' if self._refusing else ''}, held: {held}>"

    def hold(self, ways: Iterable[Way] = BOTH) -> None:
        """Let nothing pass, on connections that there are and on new ones."""
        for way in ways:
            self._open[way].clear()

    def refuse(self) -> None:
        """Reset all connections, and new ones at once."""
        self._refusing = True
        self.reset()

    def open(self) -> None:
        """Let everything pass, what was held first."""
        self._refusing = False
        for event in self._open.values():
            event.set()

    def reset(self) -> None:
        """Reset all connections: what was held is lost."""
        for task in self._passing:
            task.cancel()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def close(self) -> None:
        """Reset all connections, and wait until they are gone."""
        self.refuse()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            beyond, onwards = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:  # Redis is away: so is the way to it
            writer.transport.abort()
            return
        pumps = [
            asyncio.ensure_future(self._pump(Way.TO_REDIS, reader, onwards)),
            asyncio.ensure_future(self._pump(Way.TO_POD, beyond, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            onwards.transport.abort()
            writer.transport.abort()
            raise
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            onwards.close()  # what was written to it still arrives
            writer.close()

    async def _pump(self, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK_BYTES):
            await self._open[way].wait()
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def proxying(target: int) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a port while the body runs."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.connected, LOOPBACK, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
