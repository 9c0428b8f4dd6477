"""Play one upstream service over HTTP, and misbehave on request.

Its faults, set by `PUT /_faults`: answers late, failed, absent or no JSON. What is written to it lasts as long as its
process. It knows no other source.
"""

import asyncio
from random import Random
from typing import Annotated
from urllib.parse import unquote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from bff.demo.catalog import Catalog
from bff.demo.written import Written, etag

FAULTS_PATH = "/_faults"
_A_DAY_MS = 86_400_000
_NO_JSON = b"<!doctype html><title>This is no JSON</title>"


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source does wrong; the defaults are a source that is well."""

    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=_A_DAY_MS)] | None = None  # instead of the source's own
    error_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    hang: bool = False
    garbage: bool = False


class Source:
    """An ASGI app that answers for one part: `/{name}/{sku}`, to be written too, `/{name}?skus=` and `/_faults`.

    The delay is in seconds; the seed makes the same faults fail the same calls each time they are set.
    """

    def __init__(self, name: str, catalog: Catalog, delay_seconds: float = 0.0, seed: int = 0) -> None:
        self._name = name
        self._written = Written(name, catalog)
        self._delay_seconds = delay_seconds
        self._seed = seed
        self._replace(Faults())
        self._answers = Router(
            [
                Route(f"/{name}/{{sku}}", self._single),
                Route(f"/{name}/{{sku}}", self._put, methods=["PUT"]),
                Route(f"/{name}", self._bulk),
            ],
            redirect_slashes=False,
        )
        self._switches = Router(
            [Route(FAULTS_PATH, self._show), Route(FAULTS_PATH, self._set, methods=["PUT"])],
            redirect_slashes=False,
        )

    def __repr__(self) -> str:
        return f"Source({self._name}, {self._faults})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, after the delay and with the faults that were in force when it came."""
        if scope["path"] == FAULTS_PATH:
            await self._switches(scope, receive, send)
            return
        faults = self._faults
        if faults.hang:
            await _until_the_client_leaves(receive)
            return
        delay_seconds = self._delay_seconds if faults.delay_ms is None else faults.delay_ms / 1000
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
        scope["garbage"] = faults.garbage
        await (self._failure(faults, scope["method"]) or self._answers)(scope, receive, send)

    def _failure(self, faults: Faults, method: str) -> Response | None:
        if faults.error_rate and self._random.random() < faults.error_rate:
            return _json(b'{"detail":"failed on request"}', 500)
        if faults.garbage and method != "PUT":  # a write is done all the same: a 200 says that it is
            return _json(_NO_JSON)
        return None

    async def _single(self, request: Request) -> Response:
        part = self._written.part(request.path_params["sku"])
        if part is None:
            return _json(b'{"detail":"unknown SKU"}', 404)
        return _json(part, tag=etag(part))

    async def _put(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:  # during the delay, so that nothing is stored and nobody is answered
            return Response(status_code=400)
        key, if_match = request.headers.get("idempotency-key"), request.headers.get("if-match")
        status, part = self._written.write(request.path_params["sku"], body, key, if_match)
        if status != 200:
            return _json(part, status)
        return _json(_NO_JSON) if request.scope["garbage"] else _json(part, tag=etag(part))

    async def _bulk(self, request: Request) -> Response:
        # No SKU has a comma in it, so one that a client has encoded as well separates like any other.
        skus = _query_value(request.scope["query_string"], b"skus=")
        if skus is None:
            return _json(b'{"detail":"`skus` is missing"}', 422)
        parts = (self._written.part(sku) for sku in dict.fromkeys(skus.split(",")))
        return _json(b"[" + b",".join(part for part in parts if part is not None) + b"]")

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
