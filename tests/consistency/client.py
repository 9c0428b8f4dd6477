"""A client that costs little: HTTP/1.1 kept alive, one request after the other."""

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Broken(Exception):
    """There was no answer: refused, reset or out of time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; its head as it came."""

    status: int
    head: bytes
    body: bytes


class Connection:
    """A connection that is opened anew where it broke. seconds: how long an answer may take."""

    def __init__(self, url: str, seconds: float) -> None:
        self._host = urlsplit(url).hostname
        self._port = urlsplit(url).port
        self._seconds = seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, headers: str = "", body: bytes = b"") -> Answer:
        """Send a request and read its answer; raise Broken. headers: whole lines."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        data = f"{method} {path} HTTP/1.1\r\nHost: pod\r\n{headers}{length}\r\n".encode() + body
        try:
            async with asyncio.timeout(self._seconds):
                return await self._exchange(data)
        except TimeoutError as exc:
            self.close()
            raise Broken("no answer in time") from exc
        except (OSError, asyncio.IncompleteReadError) as exc:
            self.close()
            raise Broken("connection lost") from exc
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """Close it; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, data: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        if _CLOSE.search(head):
            self.close()
        return Answer(int(head.split(b" ", 2)[1]), head, body)
