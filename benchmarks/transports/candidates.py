"""The candidates, each opened with the same slots and timeouts and called in the same way.

Peers are imported when opened: none of them is a dependency of the service.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

import httpx  # noqa: TID251 - the types that all candidates share

from clients import http

CONNECT, READ, POOL = 0.5, 0.4, 0.2  # seconds, for those who bound their own time
MAX_BYTES = 4 * 1024 * 1024
PLACEHOLDER = "{sku}"  # in no URL that is called here
HEADERS = (("Accept", "application/json"), ("Accept-Encoding", "gzip"))

Call = Callable[[str], Awaitable[int]]  # reads a URL to the end of its body and returns the body's length
Opened = AbstractAsyncContextManager[Call]


@dataclass(frozen=True)
class Candidate:
    """A way to call. bounded: whether it bounds its connections itself; else a semaphore in front does."""

    name: str
    open: Callable[[int], Opened]
    bounded: bool = True


def _client_options(module: Any, slots: int) -> dict[str, Any]:
    return {
        "timeout": module.Timeout(connect=CONNECT, read=READ, write=READ, pool=POOL),
        "limits": module.Limits(max_connections=slots, max_keepalive_connections=slots),
        "trust_env": False,
        "headers": dict(HEADERS),
    }


@asynccontextmanager
async def _client(module: Any, slots: int, transport: Any = None) -> AsyncIterator[Call]:
    async with module.AsyncClient(transport=transport, **_client_options(module, slots)) as client:

        async def call(url: str) -> int:
            return len((await client.get(url)).content)

        yield call


def _httpx(slots: int) -> Opened:
    return _client(httpx, slots)


def _httpx2(slots: int) -> Opened:
    return _client(import_module("httpx2"), slots)


def _over_aiohttp(slots: int) -> Opened:
    # A transport that is handed to a client does not see the client's limits.
    limits = httpx.Limits(max_connections=slots, max_keepalive_connections=slots, keepalive_expiry=5)
    return _client(httpx, slots, import_module("httpx_aiohttp").AiohttpTransport(limits=limits, trust_env=False))


def _pyreqwest(slots: int) -> Any:
    def seconds(value: float) -> timedelta:
        return timedelta(seconds=value)

    builder = import_module("pyreqwest.client").ClientBuilder().no_proxy().max_connections(slots)
    timed = builder.connect_timeout(seconds(CONNECT)).read_timeout(seconds(READ)).pool_timeout(seconds(POOL))
    return timed.gzip(enable=True).build()


def _over_pyreqwest(slots: int) -> Opened:
    ready_made = import_module("pyreqwest.compatibility.httpx").HttpxTransport
    return _client(httpx, slots, ready_made(_pyreqwest(slots)))


class OnPyreqwest(httpx.AsyncBaseTransport):
    """What one would write on pyreqwest oneself."""

    def __init__(self, slots: int) -> None:
        self._client = _pyreqwest(slots)
        theirs = import_module("pyreqwest.exceptions")
        names = ["ConnectTimeout", "ReadTimeout", "PoolTimeout", "Connect", "Read", "Decode"]
        ours = [httpx.ConnectTimeout, httpx.ReadTimeout, httpx.PoolTimeout, httpx.ConnectError, httpx.ReadError]
        self._base = theirs.PyreqwestError
        self._errors = dict(
            zip([getattr(theirs, f"{name}Error") for name in names], [*ours, httpx.DecodingError], strict=True)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        builder = self._client.request(request.method, str(request.url)).headers(request.headers.multi_items())
        try:
            response = await builder.build().send()
            body = bytes(await response.bytes())
        except self._base as exc:
            mapped = next(
                (ours for theirs, ours in self._errors.items() if isinstance(exc, theirs)), httpx.NetworkError
            )
            raise mapped(str(exc), request=request) from exc
        return httpx.Response(response.status, headers=list(response.headers.items()), content=body, request=request)

    async def aclose(self) -> None:
        await self._client.close()


@asynccontextmanager
async def _own_pyreqwest(slots: int) -> AsyncIterator[Call]:
    async with OnPyreqwest(slots) as transport:

        async def call(url: str) -> int:
            request = httpx.Request("GET", url, headers=list(HEADERS))
            return len((await transport.handle_async_request(request)).content)

        yield call


def _behind(slots: int, call: Call) -> Call:
    semaphore = asyncio.Semaphore(slots)

    async def bounded(url: str) -> int:
        async with semaphore:
            return await call(url)

    return bounded


@asynccontextmanager
async def _ours_over_client(slots: int) -> AsyncIterator[Call]:
    async with _client(httpx, slots, http.Transport()) as call:
        yield _behind(slots, call)


@asynccontextmanager
async def _ours(slots: int) -> AsyncIterator[Call]:
    async with http.Transport() as transport:
        targets: dict[str, http.Target] = {}  # taken apart once, as a source's template is
        headers = [(name.encode(), value.encode()) for name, value in HEADERS]

        async def call(url: str) -> int:
            target = targets.get(url) or targets.setdefault(url, http.Target(url, PLACEHOLDER))
            answer = await http.send(transport, target, b"", headers, max_bytes=MAX_BYTES)
            return len(answer.read())

        yield _behind(slots, call)


CANDIDATES = (
    Candidate("httpx", _httpx),
    Candidate("httpx2", _httpx2),
    Candidate("httpx over httpx-aiohttp", _over_aiohttp),
    Candidate("httpx over pyreqwest's", _over_pyreqwest),
    Candidate("own on pyreqwest", _own_pyreqwest),
    Candidate("httpx over ours", _ours_over_client, bounded=False),
    Candidate("ours", _ours, bounded=False),
)
