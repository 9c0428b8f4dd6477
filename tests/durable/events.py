"""What happens to a change, as its event stream tells it, over a connection of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from tests.durable.asking import AUTHORIZED

SILENCE_SECONDS = 20.0  # a comment comes every 15 s
_GONE = (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError)


class NoStream(Exception):
    """There is none: the answer has this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def stream(url: str, change_id: str, after: int) -> AsyncIterator[dict[str, Any]]:
    """Give the events after a number as they come, until the stream ends or breaks; raise NoStream.

    An event has `id` and `event` besides its data.
    """
    try:
        async for event in _events(url, f"/api/v1/changes/{change_id}/events", f"Last-Event-ID: {after}\r\n"):
            yield event
    except _GONE:
        return


async def _events(url: str, path: str, headers: str) -> AsyncIterator[dict[str, Any]]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: pod\r\n{AUTHORIZED}{headers}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if (status := int(head.split(b" ", 2)[1])) != 200:
            raise NoStream(status)
        text = b""
        while chunk := await _chunk(reader):
            *events, text = (text + chunk).split(b"\n\n")
            for event in events:
                if not event.startswith(b":"):  # a comment
                    yield _event(event.decode())
    finally:
        writer.transport.abort()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SILENCE_SECONDS):
        size = int(await reader.readuntil(b"\r\n"), 16)
        return (await reader.readexactly(size + 2))[:-2]


def _event(text: str) -> dict[str, Any]:
    fields = dict(line.split(": ", 1) for line in text.split("\n"))
    return {**json.loads(fields["data"]), "id": int(fields["id"]), "event": fields["event"]}
