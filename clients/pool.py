"""The connections to one origin: the freshest idle one first, none older or idler than it may be.

Bounds no number of connections: the caller's bulkhead does, and a second bound would only be a second queue.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from clients.connection import Answer, Connection

BUFFER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections lead to, and how long they live, in seconds."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    max_age: float
    max_idle: float


class Pool:
    """Connections of one origin; `open` holds every one that is not closed."""

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self._origin = origin
        self._loop = loop
        self._idle: deque[Connection] = deque()  # oldest release first
        self._reaper: asyncio.TimerHandle | None = None
        self._closed = False
        self._none_open = asyncio.Event()
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self.open: set[Connection] = set()

    def __repr__(self) -> str:
        return f"<Pool {len(self._idle)} idle of {len(self.open)}>"

    async def exchange(self, request: bytes, max_bytes: int) -> Answer:
        """Send a request over an idle or a new connection and return its answer.

        It is sent once: a kept connection that the other side closes just then fails the exchange, and trying
        again is the business of whoever counts the tries.
        Raises OSError where no connection could be made, and what Connection.exchange raises.
        """
        connection = self._take_idle() or await self._connect()
        answer = await connection.exchange(request, max_bytes)
        self._release(connection)
        return answer

    async def exchange_anew(self, request: bytes, max_bytes: int, sending: Callable[[], None]) -> Answer:
        """Send a request over a connection made for it alone, and return its answer.

        For what must not be in doubt without need: a kept connection may have been closed by the other side before
        anything is written to it, and whether that was so cannot be told afterwards from an answer lost.
        sending: called just before the first byte is written; not called where none is.
        Raises as `exchange` does.
        """
        connection = await self._connect()
        if not connection.closed:  # else the exchange writes nothing, and says so
            sending()
        try:
            return await connection.exchange(request, max_bytes)
        finally:
            connection.abort()

    async def aclose(self) -> None:
        """Close every connection, busy ones too."""
        if self._reaper is not None:
            self._reaper.cancel()
        self._closed = True
        for connection in self.open:
            connection.abort()
        while self.open:  # the event loop closes the sockets in its next turns
            self._none_open.clear()
            await self._none_open.wait()

    async def _connect(self) -> Connection:
        origin = self._origin
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._lost, self._loop.time(), self._buffer), origin.host, origin.port, ssl=origin.tls
        )
        if not connection.closed:
            self.open.add(connection)
        if self._closed:
            connection.abort()
        return connection

    def _take_idle(self) -> Connection | None:
        oldest_birth = self._loop.time() - self._origin.max_age
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and connection.born > oldest_birth:
                return connection
            connection.abort()
        return None

    def _release(self, connection: Connection) -> None:
        if not connection.reusable:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = self._loop.call_later(self._origin.max_idle, self._reap)

    def _reap(self) -> None:
        self._reaper = None
        last = self._loop.time() - self._origin.max_idle
        while self._idle and self._idle[0].idle_since <= last:
            self._idle.popleft().abort()
        if self._idle:
            self._reaper = self._loop.call_at(self._idle[0].idle_since + self._origin.max_idle, self._reap)

    def _lost(self, connection: Connection) -> None:
        self.open.discard(connection)
        if not self.open:
            self._none_open.set()
        if connection in self._idle:
            self._idle.remove(connection)
