"""Play one upstream service over HTTP, and misbehave on request.

Its faults, set by `PUT /_faults`: answers late, failed, absent, lost or no JSON. What is written to it, and what the
stock service is told to deduct, lasts as long as its process. It knows no other source.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Annotated
from urllib.parse import unquote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from bff.demo.catalog import Catalog
from bff.demo.reservations import Reservations
from bff.demo.written import Answer, Written, etag
from bff.protocol import SCOPE_KEY

# No SKU begins with an underscore.
FAULTS_PATH = "/_faults"
DEDUCT_PATH = "/stock/_deduct"
RELEASE_PATH = "/stock/_release"
MAX_BODY_BYTES = 2 * 1024 * 1024
_READS = frozenset({"GET", "HEAD"})
_A_DAY_MS = 86_400_000
_NO_JSON = b"<!doctype html><title>This is no JSON</title>"


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source does wrong; the defaults are a source that is well."""

    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=_A_DAY_MS)] | None = None  # instead of the source's own
    error_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    hang: bool = False
    garbage: bool = False
    # Of what changes something: it is done, and the connection closed instead of an answer. Not shown where it is off.
    lose_answers: Annotated[float, msgspec.Meta(ge=0, le=1)] | msgspec.UnsetType = msgspec.UNSET


class Source:
    """An ASGI app that answers for one part: `/{name}/{sku}`, to be written too, and `/{name}?skus=`.

    The stock service answers `/stock/_deduct` and `/stock/_release` besides. Whatever the faults, `/_faults` are set,
    and `/{name}/_ledger` says what was really done.

    The delay is in seconds; the seed makes the same faults fail the same calls each time they are set.
    """

    def __init__(self, name: str, catalog: Catalog, delay_seconds: float = 0.0, seed: int = 0) -> None:
        self._name = name
        self._written = Written(name, catalog)
        self._reservations = Reservations(self._written) if name == "stock" else None
        self._delay_seconds = delay_seconds
        self._seed = seed
        self._replace(Faults())
        self._answers = Router(self._routes(), redirect_slashes=False)
        self._switches = Router(
            [
                Route(FAULTS_PATH, self._show),
                Route(FAULTS_PATH, self._set, methods=["PUT"]),
                Route(f"/{name}/_ledger", self._account),
            ],
            redirect_slashes=False,
        )

    def __repr__(self) -> str:
        return f"Source({self._name}, {self._faults})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, after the delay and with the faults that were in force when it came."""
        if scope["path"] in (FAULTS_PATH, f"/{self._name}/_ledger"):
            await self._switches(scope, receive, send)
            return
        faults = self._faults
        if faults.hang:
            await _until_the_client_leaves(receive)
            return
        delay_seconds = self._delay_seconds if faults.delay_ms is None else faults.delay_ms / 1000
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
        if scope["method"] not in _READS:
            try:
                scope["body"] = await _body(Request(scope, receive))
            except ClientDisconnect:  # during the delay, so that nothing is done and nobody is answered
                return
        scope["garbage"] = faults.garbage
        await self._answer(faults, scope, receive, send)

    async def _answer(self, faults: Faults, scope: Scope, receive: Receive, send: Send) -> None:
        failure = self._failure(faults, scope["method"])
        if failure is not None:
            await failure(scope, receive, send)
        elif self._loses(faults, scope["method"]):
            await self._answers(scope, receive, _to_nobody)
            await _hang_up(scope, receive)
        else:
            await self._answers(scope, receive, send)

    def _routes(self) -> list[Route]:
        routes = [
            Route(f"/{self._name}/{{sku}}", self._single),
            Route(f"/{self._name}/{{sku}}", self._put, methods=["PUT"]),
            Route(f"/{self._name}", self._bulk),
        ]
        if self._reservations is not None:
            for path, change in ((DEDUCT_PATH, self._reservations.deduct), (RELEASE_PATH, self._reservations.release)):
                routes.insert(0, Route(path, _posted(change), methods=["POST"]))
        return routes

    def _failure(self, faults: Faults, method: str) -> Response | None:
        if faults.error_rate and self._random.random() < faults.error_rate:
            return _json(b'{"detail":"failed on request"}', 500)
        if faults.garbage and method in _READS:  # a write is done all the same: a 200 says that it is
            return _json(_NO_JSON)
        return None

    def _loses(self, faults: Faults, method: str) -> bool:
        rate = faults.lose_answers
        return rate is not msgspec.UNSET and method not in _READS and self._random.random() < rate

    async def _single(self, request: Request) -> Response:
        part = self._written.part(request.path_params["sku"])
        if part is None:
            return _json(b'{"detail":"unknown SKU"}', 404)
        return _json(part, tag=etag(part))

    async def _put(self, request: Request) -> Response:
        sku, headers = request.path_params["sku"], request.headers
        key, if_match = headers.get("idempotency-key"), headers.get("if-match")
        response = _changed(request, lambda body: self._written.write(sku, body, key, if_match))
        if response.status_code == 200 and not request.scope["garbage"]:
            response.headers["etag"] = etag(bytes(response.body))
        return response

    async def _bulk(self, request: Request) -> Response:
        # No SKU has a comma in it, so one that a client has encoded as well separates like any other.
        skus = _query_value(request.scope["query_string"], b"skus=")
        if skus is None:
            return _json(b'{"detail":"`skus` is missing"}', 422)
        parts = (self._written.part(sku) for sku in dict.fromkeys(skus.split(",")))
        return _json(b"[" + b",".join(part for part in parts if part is not None) + b"]")

    async def _account(self, _request: Request) -> Response:
        return _json(msgspec.json.encode((self._reservations or self._written).ledger()))

    async def _show(self, _request: Request) -> Response:
        return _json(msgspec.json.encode(self._faults))

    async def _set(self, request: Request) -> Response:
        try:
            faults = msgspec.json.decode(await request.body(), type=Faults)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            return _json(msgspec.json.encode({"detail": str(exc)}), 422)
        self._replace(faults)
        return await self._show(request)

    def _replace(self, faults: Faults) -> None:
        self._faults = faults
        self._random = Random(self._seed)


def _posted(change: Callable[[bytes], Answer]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return _changed(request, change)

    return answer


def _changed(request: Request, change: Callable[[bytes], Answer]) -> Response:
    body = request.scope["body"]
    if body is None:
        return _json(b'{"detail":"too large"}', 413)
    status, answer = change(body)
    return _json(_NO_JSON if status == 200 and request.scope["garbage"] else answer, status)


async def _body(request: Request) -> bytes | None:
    """Read a body to its end, since who is still sending may hear no answer; None where it is too large."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
    return bytes(body) if size <= MAX_BODY_BYTES else None


async def _to_nobody(_message: Message) -> None:
    """Drop what would have been sent."""


async def _hang_up(scope: Scope, receive: Receive) -> None:
    scope[SCOPE_KEY].transport.abort()
    await _until_the_client_leaves(receive)  # the server answers itself for who returns before it has noticed


async def _until_the_client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _query_value(query: bytes, prefix: bytes) -> str | None:
    for pair in query.split(b"&"):
        if pair.startswith(prefix):
            return unquote(pair[len(prefix) :].decode("ascii", "replace"))
    return None


def _json(body: bytes, status: int = 200, tag: str | None = None) -> Response:
    headers = {"etag": tag} if tag else None
    return Response(body, status, headers, media_type="application/json")
