"""Clients that cost little: HTTP/1.1 kept alive, one request after the other."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

PATH = "/api/v1/products/"
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the seconds that its client waited for it."""

    status: int
    seconds: float
    head: bytes
    body: bytes


async def open_stream(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the listener at a URL."""
    return await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)


async def ask(url: str, skus: Iterable[str], *, clients: int = 1, header: str = "") -> list[Reply]:
    """Ask for the pages of products by so many clients at once; return the answers."""
    left = iter(skus)
    replies: list[Reply] = []

    async def client() -> None:
        reader, writer = await open_stream(url)
        with closing(writer):
            replies.extend([await _exchange(reader, writer, PATH + sku, header) for sku in left])

    await asyncio.gather(*(client() for _ in range(clients)))
    return replies


async def post(
    url: str, targets: Iterable[str], body: bytes, headers: Callable[[int], str], *, clients: int, rate: float = 0.0
) -> list[Reply]:
    """Post a body to each target by so many clients at once, as fast as they go or so many a second in all.

    headers: of the request of that number. With a rate a reply's seconds count from when it should have been sent.
    """
    left = enumerate(targets)
    replies: list[Reply] = []
    began = time.perf_counter()

    async def client() -> None:
        reader, writer = await open_stream(url)
        with closing(writer):
            for number, target in left:
                late = 0.0
                if rate:
                    due = began + number / rate
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                    late = time.perf_counter() - due
                head = f"{headers(number)}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                reply = await _exchange(reader, writer, target, head, "POST", body)
                replies.append(replace(reply, seconds=reply.seconds + late))

    await asyncio.gather(*(client() for _ in range(clients)))
    return replies


async def get(url: str, path: str) -> Any:
    """Return the JSON at a path."""
    reader, writer = await open_stream(url)
    with closing(writer):
        return json.loads((await _exchange(reader, writer, path, "")).body)


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str,
    header: str,
    method: str = "GET",
    content: bytes = b"",
) -> Reply:
    began = time.perf_counter()
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: bff\r\n{header}\r\n".encode() + content)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    return Reply(int(head.split(b" ", 2)[1]), time.perf_counter() - began, head, body)
