"""One HTTP/1.1 connection: an exchange at a time, bounded in bytes, closed for good by a cancelled exchange.

Knows no pool, URL or deadline. Parsing is llhttp's (httptools); what is ours is the framing by close, the
bounds, and that nothing survives a cancellation: the socket is aborted before the CancelledError goes on.
"""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools

MAX_HEAD_BYTES = 64 * 1024
_CHUNKED_OVERHEAD = 8  # a one-byte chunk costs six bytes on the wire
_NO_BODY = frozenset({204, 304})


class ConnectionFailed(Exception):
    """The exchange could not be completed."""


class Malformed(Exception):
    """The answer is not well-formed HTTP, or is encoded in a way that was not offered."""


class TooLarge(Exception):
    """The answer exceeds its bound, decoded."""


@dataclass(slots=True)
class Answer:
    """A whole answer, decoded: its content coding is already undone."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Connection(asyncio.BufferedProtocol):
    """A connection to one origin, in one of three states: idle, busy, closed.

    buffer: where bytes arrive. Connections share one, since what arrives is parsed before anything else does; a
    flood on many of them costs no more memory than on one.
    """

    def __init__(self, on_lost: Callable[["Connection"], None], born: float, buffer: memoryview) -> None:
        self.born = born
        self.idle_since = born
        self.closed = False
        self.reusable = True
        self._on_lost = on_lost
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self._exchange: _Exchange | None = None

    def __repr__(self) -> str:
        state = "closed" if self.closed else "idle" if self._exchange is None else "busy"
        return f"<Connection {state}>"

    async def exchange(self, request: bytes, max_bytes: int) -> Answer:
        """Send one request and return its whole answer.

        Raises ConnectionFailed, Malformed or TooLarge; the connection is closed then, and when cancelled.
        """
        if self.closed or self._transport is None:  # between being connected, or taken from the pool, and now
            raise ConnectionFailed("closed")
        exchange = self._exchange = _Exchange(asyncio.get_running_loop().create_future(), max_bytes)
        self._transport.write(request)
        try:
            answer = await exchange.done
            self.reusable = exchange.keep_alive and not self.closed
        except BaseException:
            self.abort()
            raise
        finally:
            self._exchange = None
            exchange.release()
            del exchange  # from the frame, which an exception's traceback keeps
        return answer

    def abort(self) -> None:
        """Close the socket at once, unsent bytes and all."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand bytes to the exchange that they belong to."""
        if self._exchange is None or not self._exchange.feed(self._buffer[:nbytes]):
            self.abort()  # bytes that nobody asked for: what follows could be taken for another's answer

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange that was under way."""
        if self._exchange is not None:
            # Our own closing ends no answer well, even one that is framed by the connection's end.
            self._exchange.end_of_stream(well=exc is None and not self.closed)
        self.closed = True
        self._on_lost(self)


class _Exchange:
    """The parser's callbacks for one answer. None of them raises: each fails the future."""

    def __init__(self, done: asyncio.Future[Answer], max_bytes: int) -> None:
        self.done = done
        self.keep_alive = False
        self._parser = httptools.HttpResponseParser(self)
        self._max_bytes = max_bytes
        self._left = max_bytes
        self._wire_bytes = 0
        self._head_bytes = 0
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()  # and no list of chunks: a chunk of two bytes would cost forty
        self._inflate: zlib._Decompress | None = None
        self._head_done = False
        self._until_close = False

    def feed(self, data: memoryview) -> bool:
        """Take in bytes and return whether the connection may still be used."""
        if self.done.done():
            return False
        self._wire_bytes += len(data)
        self._parse(data)
        if not self._head_done and self._wire_bytes > MAX_HEAD_BYTES:
            self._fail(Malformed("head too large"))
        elif self._wire_bytes > MAX_HEAD_BYTES + _CHUNKED_OVERHEAD * self._max_bytes:
            self._fail(TooLarge("too many bytes on the wire"))
        return not self.done.done() or self.done.exception() is None

    def _parse(self, data: memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Malformed("switching protocols"))
        except httptools.HttpParserError as exc:
            # Bytes after a complete answer are the next exchange's danger, not this one's error.
            self.keep_alive = False
            self._fail(Malformed(type(exc).__name__))

    def end_of_stream(self, *, well: bool) -> None:
        """Complete an answer that is framed by the end of its connection, or fail."""
        if self._until_close and well:
            self._complete()
        else:
            self._fail(ConnectionFailed("broken off"))

    def release(self) -> None:
        """Let go of what was read: the parser and its callbacks hold each other until a collection."""
        del self._parser, self._inflate, self._body

    # httptools callbacks

    def on_message_begin(self) -> None:
        if self._head_done:  # something follows the answer: the next exchange must never see it
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fail(Malformed("head too large"))
        elif not self._head_done:  # else a trailer, which nobody needs
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer: the real one follows on the same parser
            return
        self._status = status
        self._head_done = True
        names = {name.lower(): value.strip().lower() for name, value in self._headers}
        transfer = names.get(b"transfer-encoding")
        self._until_close = transfer is None and b"content-length" not in names and status not in _NO_BODY
        self._open_body(transfer, names.get(b"content-encoding", b""))

    def on_body(self, data: bytes) -> None:
        if self.done.done():
            return
        if self._inflate is not None and self._inflate.eof:
            self._fail(Malformed("bytes after the end of a content coding"))
            return
        try:
            # One byte past the bound tells too large from just fitting.
            chunk = self._inflate.decompress(data, self._left + 1) if self._inflate else data
        except zlib.error:
            self._fail(Malformed("broken content coding"))
            return
        self._left -= len(chunk)
        self._body += chunk
        if self._left < 0:
            self._fail(TooLarge("body too large"))

    def on_message_complete(self) -> None:
        if not self._head_done:
            self._headers.clear()
            return
        self.keep_alive = self._parser.should_keep_alive() and not self.done.done()
        self._complete()

    # outcomes

    def _open_body(self, transfer: bytes | None, coding: bytes) -> None:
        if transfer not in (None, b"chunked"):
            self._fail(Malformed("unknown transfer coding"))
        elif coding in (b"gzip", b"x-gzip", b"deflate"):
            self._inflate = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # either header, told by itself
        elif coding not in (b"", b"identity"):
            self._fail(Malformed("unknown content coding"))

    def _complete(self) -> None:
        body = bytes(self._body)
        if self._inflate is not None and body and (not self._inflate.eof or self._inflate.unused_data):
            self._fail(Malformed("broken content coding"))
        elif not self.done.done():
            self.done.set_result(Answer(self._status, self._plain_headers(), body))

    def _plain_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers, without those that speak of a coding that is undone."""
        if self._inflate is None:
            return self._headers
        return [pair for pair in self._headers if pair[0].lower() not in (b"content-encoding", b"content-length")]

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
