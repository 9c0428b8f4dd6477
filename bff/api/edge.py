"""The outermost layer of both listeners: a request's context, its id on the answer, its line and its count."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.api.context import Context, open_context, read_head
from bff.api.disconnect import CLIENT_LEFT
from bff.api.problems import problem, problem_answer
from bff.exchange import Answer
from bff.resilience.stack import Clock

SLOW_SECONDS = 0.5
_HEAD = "bff.head"

log = structlog.get_logger("bff.access")
Observer = Callable[[str, str, int, float], None]


class Edge:
    """A pure ASGI middleware. observed: takes route template, method, status and seconds."""

    def __init__(
        self, app: ASGIApp, clock: Clock, getrandbits: Callable[[int], int], observed: Observer, *, log_all: bool
    ) -> None:
        self._app = app
        self._clock = clock
        self._getrandbits = getrandbits
        self._observed = observed
        self._log_all = log_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; one that breaks is a 500 without a word about how."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = open_context(scope, self._clock(), self._getrandbits)
        answer = _Answer(send, context)
        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:  # the grace of a stop is over: this task ends here, and its client hears of it
            if not context.status:
                await send_answer(answer, self.stopped(context))
        except Exception as exc:
            told = self.broken(context, exc)
            if not context.status:
                await send_answer(answer, told)
        finally:
            self.done(context, context.route or _route(scope), context.status or CLIENT_LEFT)

    def open(self, raw_path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Context:
        """Return the context of a GET that is answered without passing through here."""
        return read_head("GET", raw_path, headers, self._clock(), self._getrandbits)

    def stopped(self, context: Context) -> Answer:
        """Return the answer to a request that is under way when the grace of a stop is over."""
        return problem_answer(context, "overloaded", "The service is stopping.")

    def broken(self, context: Context, error: Exception) -> Answer:
        """Return the answer to a request that broke; how is a matter of the log alone."""
        log.error("a request broke", request_id=context.caller.request_id, path=context.path, exc_info=error)
        return problem_answer(context, "internal", "It has been logged.")

    def done(self, context: Context, route: str, status: int) -> None:
        """Count an answer, and write its line."""
        seconds = self._clock() - context.arrived
        self._observed(route, context.method, status, seconds)
        if self._log_all or status >= 500 or context.complete is False or seconds >= SLOW_SECONDS:
            log.info(
                "request",
                request_id=context.caller.request_id,
                trace_id=context.caller.trace_id,
                method=context.method,
                path=context.path,
                status=status,
                seconds=round(seconds, 4),
                complete=context.complete,
            )


def _route(scope: Scope) -> str:
    """Return the template of the route that was taken; /openapi.json and its like are their own."""
    if "route" in scope:
        return str(scope["route"].path)
    return str(scope["path"]).rstrip() if "endpoint" in scope else "unmatched"


class _Answer:
    """Sends on, with the request's id on the head."""

    __slots__ = ("_context", "_send")

    def __init__(self, send: Send, context: Context) -> None:
        self._send = send
        self._context = context

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self._context.status = message["status"]
            message["headers"].append((b"x-request-id", self._context.caller.request_id.encode()))
        return self._send(message)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer as ASGI has it."""
    status, fields, body = answer
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def is_head(scope: Scope) -> bool:
    """Return whether what looks like a GET is a HEAD: for those whose bodies have no end of their own."""
    return _HEAD in scope


class HeadAsGet:
    """HEAD is GET without the body, on every route; FastAPI knows it on none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a HEAD as the GET that it stands for."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def head_only(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        as_get = {
            **scope,
            "method": "GET",
            _HEAD: True,
        }  # a copy: the server frames the answer by the method that was sent
        try:
            await self._app(as_get, receive, head_only)
        finally:
            scope.update({key: as_get[key] for key in ("route", "endpoint") if key in as_get})


class NoEncodedSlash:
    """An encoded slash is no part of any path here: decoded, it would be taken for a separator."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404 to a path with an encoded slash."""
        raw = scope.get("raw_path", b"")
        if b"%" in raw and b"%2f" in raw.lower():
            await problem(scope, "route-unknown", "No route has an encoded slash.")(scope, receive, send)
        else:
            await self._app(scope, receive, send)
