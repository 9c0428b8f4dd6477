"""What is known of a request before it is routed."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starlette.types import Scope

from clients.source import Caller

MAX_PATH = 256
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TIMEOUT = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_TRACESTATE = re.compile(r"[\x20-\x7e\t]{1,512}")
_SCOPE_KEY = "bff.context"


@dataclass(slots=True)
class Context:
    """One request's own facts.

    arrived: when it came, monotonic.
    timeout: the seconds that its caller gives it, None where it gives none.
    path: its path as it was sent, shortened.
    complete: whether the page that was answered was complete, None for what is no page.
    """

    caller: Caller
    arrived: float
    timeout: float | None
    method: str
    path: str
    complete: bool | None = None


def context_of(scope: Scope) -> Context:
    """Return the context that the edge has put into a request's scope."""
    context: Context = scope[_SCOPE_KEY]
    return context


def open_context(scope: Scope, now: float, getrandbits: Callable[[int], int]) -> Context:
    """Read a request's head, and put its context into the scope."""
    timeout = _first(scope, b"x-request-timeout-ms")
    context = scope[_SCOPE_KEY] = Context(
        caller=_caller(scope, getrandbits),
        arrived=now,
        timeout=int(timeout) / 1000 if timeout is not None and _TIMEOUT.fullmatch(timeout) else None,
        method=scope["method"],
        path=scope.get("raw_path", scope["path"].encode()).decode("latin-1")[:MAX_PATH],
    )
    return context


def values(scope: Scope, name: bytes) -> Iterator[str]:
    """Return the values of a request's header, one for each time it was sent."""
    return (value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _caller(scope: Scope, getrandbits: Callable[[int], int]) -> Caller:
    request_id = _first(scope, b"x-request-id")
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = f"{getrandbits(128):032x}"
    parents = list(values(scope, b"traceparent"))
    match = _TRACEPARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    if match is None or (parents[0].startswith("00") and match[3]):
        return Caller(request_id, f"{getrandbits(128) or 1:032x}")
    state = ",".join(values(scope, b"tracestate"))
    return Caller(request_id, match[1], match[2], state if _TRACESTATE.fullmatch(state) else None)


def _first(scope: Scope, name: bytes) -> str | None:
    return next(values(scope, name), None)
