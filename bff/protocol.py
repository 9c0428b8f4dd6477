"""uvicorn's HTTP protocol, and three things that it does not do.

An answer's head and body leave in one system call and one packet. And a question that can be answered at once is
answered where its head was parsed, before a scope, a cycle and a task are made for it: see `Quick`. And a request can
hear at once of its client's leaving: see `Connection`. Everything else goes uvicorn's way.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

Field = tuple[bytes, bytes]
QuickAnswer = tuple[int, list[Field], bytes]
Quick = Callable[[bytes, list[Field]], QuickAnswer | None]
"""Answers a GET by its target and its headers, names in lower case; None where it has to go the whole way."""

log = structlog.get_logger(__name__)

SCOPE_KEY = "bff.connection"
_WHOLE_WAY = frozenset({b"content-length", b"expect", b"origin", b"transfer-encoding", b"upgrade"})


class Coalesced:
    """A transport that keeps what is written in one turn together; in all else the one that it stands before."""

    __slots__ = ("_loop", "_parts", "_transport", "get_extra_info", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def __repr__(self) -> str:
        return f"<Coalesced {len(self._parts)} parts>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def write_whole(self, data: bytes) -> None:
        """Write a whole answer at once, behind what is kept: who does not read must be noticed before the next."""
        self._parts.append(data)
        self._flush()

    def close(self) -> None:
        """Write what was kept, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            if not self._transport.is_closing():  # the client may have left in this very turn
                self._transport.write(b"".join(parts))


class Connection(Protocol):
    """What a request's scope has of its connection, under SCOPE_KEY."""

    def watch(self, left: Callable[[], None] | None) -> None:
        """Have something done when the client leaves, or nothing any more."""


class HttpProtocol(HttpToolsProtocol):
    """One connection of a listener."""

    quick: Quick | None = None
    _coalesced: Coalesced
    _left: Callable[[], None] | None = None

    def watch(self, left: Callable[[], None] | None) -> None:
        """Have something done when the client leaves, or nothing any more."""
        self._left = left
        if left is not None and self.transport.is_closing():
            self.loop.call_soon(self._tell)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the socket."""
        super().connection_lost(exc)
        if self.scope is not None:
            self.scope.pop(SCOPE_KEY, None)  # type: ignore[misc] # else the two would hold each other
        self._tell()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take the socket."""
        self._coalesced = Coalesced(transport, self.loop)
        super().connection_made(self._coalesced)  # type: ignore[arg-type] # a transport in all that is used

    def on_headers_complete(self) -> None:
        """Answer at once where that can be done; else as uvicorn does."""
        answer = self._quick_answer()
        if answer is None:
            self.scope[SCOPE_KEY] = self  # type: ignore[literal-required] # a server may add its own
            super().on_headers_complete()
            return
        status, fields, body = answer
        self.cycle = _ANSWERED  # type: ignore[assignment] # what follows of the request finds it answered
        keep_alive = self.parser.should_keep_alive()
        if not keep_alive:
            fields.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % field for field in (*self.server_state.default_headers, *fields)]
        self._coalesced.write_whole(b"%b%b\r\n%b" % (STATUS_LINE[status], b"".join(lines), body))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _tell(self) -> None:
        if self._left is not None:
            left, self._left = self._left, None
            left()

    def _quick_answer(self) -> QuickAnswer | None:
        if self.quick is None or self.parser.get_method() != b"GET" or self.parser.get_http_version() != "1.1":
            return None
        if self.cycle is not None and not self.cycle.response_complete:
            return None  # the answer before it is still under way
        for name, _ in self.headers:
            if name in _WHOLE_WAY:
                return None
        if self.flow.write_paused or self.transport.is_closing():
            return None
        try:
            return type(self).quick(self.url, self.headers)  # type: ignore[misc] # it is there, and no method
        except Exception as exc:  # the parser would make a bad request of it; the application makes the answer
            log.error("a quick answer broke", exc_info=exc)
            return None


class _Answered:
    """A cycle that is over, as uvicorn's protocol looks at it between two requests."""

    response_complete = True

    class message_event:  # noqa: N801 - uvicorn's name for it
        """Nobody waits for it."""

        @staticmethod
        def set() -> None:
            """Wake nobody."""


_ANSWERED = _Answered()


def protocol(quick: Quick | None) -> type[HttpProtocol]:
    """Return the protocol of a listener."""
    return type("ListenerProtocol", (HttpProtocol,), {"quick": quick and staticmethod(quick)})
