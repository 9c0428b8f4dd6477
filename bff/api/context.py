"""What is known of a request before it is routed."""

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec
from starlette.types import Scope

from clients.source import Caller

MAX_PATH = 256
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TIMEOUT = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_TRACESTATE = re.compile(r"[\x20-\x7e\t]{1,512}")
_KNOWN = frozenset({b"x-request-id", b"x-request-timeout-ms", b"traceparent", b"tracestate"})
_SCOPE_KEY = "bff.context"


class Context(msgspec.Struct):
    """One request's own facts.

    arrived: when it came, monotonic.
    timeout: the seconds that its caller gives it, None where it gives none.
    path: its path as it was sent, shortened.
    route: the template of the route that was taken, None where the router has chosen it.
    status: what it was answered, 0 until it is.
    complete: whether the page that was answered was complete, None for what is no page.
    """

    caller: Caller
    arrived: float
    timeout: float | None
    method: str
    path: str
    route: str | None = None
    status: int = 0
    complete: bool | None = None


def context_of(scope: Scope) -> Context:
    """Return the context that the edge has put into a request's scope."""
    context: Context = scope[_SCOPE_KEY]
    return context


def open_context(scope: Scope, now: float, getrandbits: Callable[[int], int]) -> Context:
    """Read a request's head, and put its context into the scope."""
    raw_path = scope.get("raw_path", scope["path"].encode())
    context = scope[_SCOPE_KEY] = read_head(scope["method"], raw_path, scope["headers"], now, getrandbits)
    return context


def read_head(
    method: str, raw_path: bytes, headers: Iterable[tuple[bytes, bytes]], now: float, getrandbits: Callable[[int], int]
) -> Context:
    """Return the context of a request."""
    # Most requests have none of these, and are through with this one line.
    known = [header for header in headers if header[0] in _KNOWN]
    timeout = next(values(known, b"x-request-timeout-ms"), None) if known else None
    return Context(
        _caller(known, getrandbits),
        now,
        int(timeout) / 1000 if timeout is not None and _TIMEOUT.fullmatch(timeout) else None,
        method,
        raw_path[:MAX_PATH].decode("latin-1"),
    )


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> Iterator[str]:
    """Return the values of a header, one for each time it was sent."""
    return (value.decode("latin-1") for key, value in headers if key == name)


def _caller(known: list[tuple[bytes, bytes]], getrandbits: Callable[[int], int]) -> Caller:
    made = f"{getrandbits(128) or 1:032x}"
    if not known:
        return Caller(made, made)  # one name for both: whoever looks for a request finds its trace
    request_id = next(values(known, b"x-request-id"), None)
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = made
    parents = list(values(known, b"traceparent"))
    match = _TRACEPARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    if match is None or (parents[0].startswith("00") and match[3]):
        return Caller(request_id, made)
    state = ",".join(values(known, b"tracestate"))
    return Caller(request_id, match[1], match[2], state if _TRACESTATE.fullmatch(state) else None)
