"""The services that own the parts, all three in one: versions, read and written at a random moment of a call.

That one is read early and answered late is what makes the races: meanwhile it is written, and what arrives is old.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from tests.consistency.history import Key
from tests.consistency.parts import version_of, written

READ_SECONDS = 0.3
WRITE_SECONDS = 0.05
HANGING = (1.1, 2.5)  # in times of the caller's patience
LOST_SHARE = 0.3
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Owner:
    """What the three services hold. patience_seconds: of those who write; a call that hangs takes longer."""

    def __init__(self, random: Random, patience_seconds: float) -> None:
        self.url = ""
        self._random = random
        self._patience_seconds = patience_seconds
        self._versions: dict[Key, int] = {}
        self._hanging = 0

    def __repr__(self) -> str:
        return f"<Owner of {len(self._versions)} parts, {self._hanging} writes to hang>"

    def hang(self) -> None:
        """Let the next write hang until its caller has given up: it may be done before, later or never."""
        self._hanging += 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection. A write goes on when its caller leaves: he is not there to stop it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                method, target, _ = head.decode("ascii").split(" ", 2)
                status, answer = await self._answer(method, target, body)
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """Answer `/SOURCE/SKU`, and reads of `/SOURCE?skus=SKU,SKU`."""
        path, _, query = target.partition("?")
        _, source, *sku = path.split("/")
        if method == "PUT":
            return await self._write((source, sku[0]), version_of(source, body))
        skus = query.removeprefix("skus=").split(",") if query else sku
        early, late = self._moments(self._random.uniform(0, READ_SECONDS))
        await asyncio.sleep(early)
        values = [written(source, each, self._versions.get((source, each), 1)) for each in skus]
        await asyncio.sleep(late)
        return 200, b"[%b]" % b",".join(values) if query else values[0]

    async def _write(self, key: Key, version: int) -> tuple[int, bytes]:
        seconds, lost = self._random.uniform(0, WRITE_SECONDS), False
        if self._hanging:
            self._hanging -= 1
            seconds = self._random.uniform(*HANGING) * self._patience_seconds
            lost = self._random.random() < LOST_SHARE
        early, late = self._moments(seconds)
        await asyncio.sleep(early)
        # A write that another one has overtaken is refused: versions only grow. The same one again is what it was.
        accepted = not lost and version >= self._versions.get(key, 1)
        if accepted:
            self._versions[key] = version
        await asyncio.sleep(late)
        return (200, written(*key, version)) if accepted else (409, b"{}")

    def _moments(self, seconds: float) -> tuple[float, float]:
        """Return how long a call takes before and after the moment when the value is read or written."""
        early = self._random.uniform(0, seconds)
        return early, seconds - early


@asynccontextmanager
async def owning(random: Random, patience_seconds: float) -> AsyncIterator[Owner]:
    """Run an owner on a free port while the body runs."""
    owner = Owner(random, patience_seconds)
    serving: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(owner.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)
    owner.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield owner
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
