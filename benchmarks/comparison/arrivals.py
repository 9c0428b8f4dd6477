"""An open loop: requests are due at random times whatever was answered, and late from the moment they were due.

Nothing waits for a free connection, so a server that stalls is charged for every request that was due meanwhile.
"""

import asyncio
import gc
import random
import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from benchmarks.numbers.client import Reply

LINES = 256
LEAD_SECONDS = 0.2
END_SECONDS = 5.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An answer, its time since it was due. late: how long after that the request was sent."""

    sku: str
    reply: Reply
    late: float


class Arrivals:
    """Requests for SKUs, at so many a second. template: the URL, with `{sku}`."""

    def __init__(self, template: str, rate: float, seed: int) -> None:
        parts = urlsplit(template)
        self._address = parts.hostname or "", parts.port or 80
        path = template.partition(parts.netloc)[2]
        self._request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
        self._rate, self._random = rate, random.Random(seed)
        self._idle: list[Line] = []
        self._waiting: deque[tuple[float, str]] = deque()
        self.done: list[Arrival] = []
        self.waited = 0
        self.broken = 0
        self._all = asyncio.Event()

    async def run(self, skus: Sequence[str]) -> None:
        """Send all the requests when they are due and wait for the answers; those that never came are `broken`."""
        loop = asyncio.get_running_loop()
        self.broken = len(skus)
        opened = [await loop.create_connection(partial(Line, self), *self._address) for _ in range(LINES)]
        gc.collect()
        gc.disable()  # a collection here would be charged to the server
        try:
            # A thread, since the loop's own timers count milliseconds.
            await asyncio.to_thread(self._tick, loop, skus)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self._all.wait()
        finally:
            gc.enable()
            for transport, _ in opened:
                transport.abort()

    def _tick(self, loop: asyncio.AbstractEventLoop, skus: Sequence[str]) -> None:
        due = time.perf_counter() + LEAD_SECONDS
        for sku in skus:
            due += self._random.expovariate(self._rate)
            if (ahead := due - time.perf_counter()) > 0:
                time.sleep(ahead)
            loop.call_soon_threadsafe(self._send, due, sku)

    def _send(self, due: float, sku: str) -> None:
        if self._idle:
            self._idle.pop().send(due, sku, self._request.format(sku=sku).encode())
        else:
            self.waited += 1
            self._waiting.append((due, sku))

    def answered(self, arrival: Arrival, line: "Line") -> None:
        """Keep an answer."""
        self.done.append(arrival)
        self.broken -= 1
        if not self.broken:
            self._all.set()
        self.free(line)

    def free(self, line: "Line") -> None:
        """Take a connection back; what waited for one goes first."""
        self._idle.append(line)
        if self._waiting:
            due, sku = self._waiting.popleft()
            self._idle.pop().send(due, sku, self._request.format(sku=sku).encode())


class Line(asyncio.Protocol):
    """A connection with at most one request on it."""

    transport: asyncio.Transport

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._read = b""
        self._due, self._sent, self._sku = 0.0, 0.0, ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # uvloop's is one in all but its base class
        self._arrivals.free(self)

    def send(self, due: float, sku: str, request: bytes) -> None:
        """Ask."""
        self._due, self._sku, self._sent = due, sku, time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if end else None
        if length is None or len(body) < int(length[1]):
            return
        now, self._read = time.perf_counter(), b""
        status = int(head.split(b" ", 2)[1])
        reply = Reply(status, now - self._due, head, body)
        self._arrivals.answered(Arrival(self._sku, reply, self._sent - self._due), self)
