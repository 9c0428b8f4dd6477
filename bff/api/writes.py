"""The routes that write a part of a product to its owner."""

import asyncio

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from bff.api.auth import Refused, scoped
from bff.api.body import read_json
from bff.api.context import context_of
from bff.api.problems import problem
from bff.api.schema import PARTS, WRITE_RESPONSES, part_body
from bff.api.sku import SkuInPath
from bff.auth.bearer import Authenticator
from bff.product.parts import SOURCES, SourceName
from bff.product.writing import Declined, Failed, Outcome, Stored, Unanswered, Write, Writing
from clients.errors import Wrong
from clients.given import Given, read_given

_NO_STORE = {"cache-control": "no-store"}


def router(writing: Writing, authenticator: Authenticator) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1/products", tags=["writing"])
    for source in SOURCES:
        _declare(router, source, writing, authenticator)
    return router


def _declare(router: APIRouter, source: SourceName, writing: Writing, authenticator: Authenticator) -> None:
    # FastAPI calls a route's dependencies before it judges the path: who asks is known first.
    @router.put(
        f"/{{sku_id}}/{source}",
        response_class=Response,
        responses={200: {"model": PARTS[source], "description": "What its owner stored"}, **WRITE_RESPONSES},
        openapi_extra=part_body(source),
        dependencies=[Depends(scoped(authenticator, "catalog:write"))],
        summary=f"Write a product's {source}; it is nowhere served as it was before",
    )
    async def put_part(sku_id: SkuInPath, request: Request) -> Response:
        if not writing.takes(source):
            raise Refused("not-configured", f"The {source} service is not one that can be written to.")
        part = _given(source, await read_json(request), sku_id)
        write = Write(source, sku_id, part, context_of(request.scope).caller, _if_match(request))
        try:
            outcome = await writing.write(write)
        except asyncio.CancelledError:  # the grace of a stop is over; the write goes on without us
            outcome = Unanswered()
        return _answer(request, outcome)


def _given(source: SourceName, body: bytes, sku: str) -> Given:
    try:
        return read_given(source, body, sku)
    except Wrong as exc:
        errors = [
            {"type": "part", "loc": ("body", field) if field else ("body",), "msg": message}
            for field, message in exc.errors
        ]
        raise RequestValidationError(errors) from exc


def _if_match(request: Request) -> str | None:
    return ", ".join(request.headers.getlist("if-match")) or None


def _answer(request: Request, outcome: Outcome) -> Response:
    if isinstance(outcome, Stored):
        status = 200 if outcome.confirmed else 202
        return Response(outcome.part, status, _NO_STORE, media_type="application/json")
    if isinstance(outcome, Declined):
        return _declined(request, outcome.status)
    if isinstance(outcome, Unanswered):
        detail = "It was sent, and its owner has not answered: it may be stored or not. Repeat it."
        return problem(request.scope, "source-timeout", detail)
    if isinstance(outcome, Failed):
        open_detail = "Its owner failed, and did not say whether it is stored: repeat it."
        detail = open_detail if outcome.open else "Its owner refused it in a way that was not agreed."
        return problem(request.scope, "source-failed", detail)
    if outcome.why == "untold":
        return problem(request.scope, "overloaded", "Nothing was written: not every pod could be told.")
    return problem(request.scope, "source-unavailable", "Nothing was written: its owner could not be asked.")


def _declined(request: Request, status: int) -> Response:
    if status == 404:
        return problem(request.scope, "product-unknown", "Its owner knows no such product.")
    if status == 422:
        errors = [{"field": "body", "message": "was refused by its owner"}]
        return problem(request.scope, "body-invalid", "See errors.", errors=errors)
    detail = "What is stored is not what If-Match names." if status == 412 else "What is stored stands against it."
    return problem(request.scope, "conflict", detail, status=status)
