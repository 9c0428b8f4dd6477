"""Answers that are read as they come: connections that last, and streams of events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.contract.durable import GENEROUS_SECONDS, Header, bearer
from tests.harness import Answer, Bff


@asynccontextmanager
async def connected(service: Bff) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection to the public listener that lasts for several requests."""
    address = urlsplit(service.run.public_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def head_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read the head of an answer: its status, and its headers with names in lower case."""
    async with asyncio.timeout(GENEROUS_SECONDS):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split(" ")[1]), headers


async def answered(reader: asyncio.StreamReader) -> Answer:
    """Read an answer with a length, and no further."""
    status, headers = await head_of(reader)
    return Answer(status, headers, await reader.readexactly(int(headers.get("content-length", 0))))


@dataclass(frozen=True)
class Told:
    """An event of a stream."""

    id: int
    event: str
    data: dict[str, Any]


class Stream:
    """A stream of events that is being read. status, headers: of its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._rest = b""
        self.status = 0
        self.headers: dict[str, str] = {}

    async def begin(self) -> None:
        self.status, self.headers = await head_of(self._reader)

    async def next(self) -> Told | None:
        """Return the next event, None at a clean end of the answer."""
        async with asyncio.timeout(GENEROUS_SECONDS):
            while b"\n\n" not in self._rest:
                if not (chunk := await self._chunk()):
                    assert not self._rest, "cut off in the middle of an event"
                    return None
                self._rest += chunk
        block, _, self._rest = self._rest.partition(b"\n\n")
        if block.startswith(b":"):
            return await self.next()
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
        assert fields.keys() == {"id", "event", "data"}
        return Told(int(fields["id"]), fields["event"], json.loads(fields["data"]))

    async def rest(self) -> list[Told]:
        """Return what comes until the end."""
        told = []
        while (each := await self.next()) is not None:
            told.append(each)
        return told

    def close(self) -> None:
        self._writer.close()

    async def _chunk(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return await self._reader.read(65536)
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]


@asynccontextmanager
async def following(
    service: Bff, location: str, *headers: Header, method: str = "GET", caller: str = "writer"
) -> AsyncIterator[Stream]:
    """Follow a change."""
    lines = [f"{name}: {value}" for name, value in (("Host", "bff"), bearer(caller), *headers)]
    async with connected(service) as (reader, writer):
        writer.write(f"{method} {location}/events HTTP/1.1\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n")
        stream = Stream(reader, writer)
        await stream.begin()
        yield stream
