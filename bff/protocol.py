"""uvicorn's HTTP protocol, and three things that it does not do.

An answer's head and body leave in one system call and one packet. And a question may be taken where its head was parsed
and answered at once or by a callback, without a scope, a cycle and a task: see `Quick`. And a request can hear at once
of its client's leaving: see `Connection`. Everything else goes uvicorn's way.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bff.exchange import ANSWERED, Answer, Asker, Exchange, Field, Later
from bff.outbox import Coalesced, Outbox

Quick = Callable[[bytes, list[Field], Later], Answer | Exchange | None]
"""Takes a GET by its target and its headers, names in lower case, and by what makes an exchange of it.

Returns the answer, or the exchange that will be answered, or None where the request has to go the whole way.
"""

log = structlog.get_logger(__name__)

SCOPE_KEY = "bff.connection"
_WHOLE_WAY = frozenset({b"content-length", b"expect", b"origin", b"transfer-encoding", b"upgrade"})


class HttpProtocol(HttpToolsProtocol):
    """One connection of a listener."""

    quick: Quick | None = None
    outbox: Outbox
    cycle: Any  # uvicorn's, or what stands in for it
    _left: Callable[[], None] | None = None
    _made: Exchange | None = None
    _idle_since = math.inf
    _reading_head = False

    def watch(self, left: Callable[[], None] | None) -> None:
        """Have something done when the client leaves, or nothing any more."""
        self._left = left
        if left is not None and self.transport.is_closing():
            self.loop.call_soon(self._tell)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the socket."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self.scope is not None:
            self.scope.pop(SCOPE_KEY, None)  # type: ignore[misc] # else the two would hold each other
        self._tell()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take the socket."""
        kept = Coalesced(transport, self.outbox, self.loop)
        super().connection_made(kept)  # type: ignore[arg-type] # a transport in all that is used

    def on_message_begin(self) -> None:
        """Begin a request, without a scope: few need one."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._idle_since = math.inf
        self._reading_head = True

    def on_headers_complete(self) -> None:
        """Answer at once where that can be done; else as uvicorn does."""
        self._reading_head = False
        answer = self._quick_answer()
        if answer is None:
            self._go_the_whole_way()
        elif isinstance(answer, Exchange):
            self.cycle = answer  # what follows of the request finds it under way
        else:
            self.cycle = ANSWERED  # what follows of the request finds it answered
            self.answer(answer, keep_alive=self.parser.should_keep_alive())

    def answer(self, answer: Answer, *, keep_alive: bool) -> None:
        """Write an answer, and go on to what comes after it."""
        status, fields, body = answer
        if not keep_alive:
            fields.append((b"connection", b"close"))
        lines = b"\r\n".join(map(b": ".join, (*self.server_state.default_headers, *fields)))
        self.transport.write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[status], lines, body))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def later(self, asker: Asker) -> Exchange:
        """Return what the request whose head was just parsed is answered by, later."""
        self._made = Exchange(self, asker, keep_alive=self.parser.should_keep_alive())
        return self._made

    def on_response_complete(self) -> None:
        """Go on to the next request, or wait for one: as uvicorn does, but without a timer for each."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        if not self._reading_head:  # else the next request has begun to come already
            self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for so long; look again later where it was not."""
        self.timeout_keep_alive_task = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look_again_in(min(left, self.timeout_keep_alive))
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = math.inf  # something came

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _go_the_whole_way(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers = self.scope["headers"] = headers
        self.scope[SCOPE_KEY] = self  # type: ignore[literal-required] # a server may add its own
        super().on_headers_complete()

    def _tell(self) -> None:
        if self._left is not None:
            left, self._left = self._left, None
            left()

    def _quick_answer(self) -> Answer | Exchange | None:
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
            return type(self).quick(self.url, self.headers, self.later)  # type: ignore[misc] # it is there, and no method
        except Exception as exc:  # the parser would make a bad request of it; the application makes the answer
            log.error("a quick answer broke", exc_info=exc)
            if self._made is not None:
                self._made.withdraw()
            return None
        finally:
            self._made = None


def protocol(quick: Quick | None) -> type[HttpProtocol]:
    """Return the protocol of a listener."""
    return type("ListenerProtocol", (HttpProtocol,), {"quick": quick and staticmethod(quick), "outbox": Outbox()})
