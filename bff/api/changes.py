"""The routes of changes: accepted now, done later, followed and stopped."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from bff.api.auth import Refused, scoped
from bff.api.body import read_json
from bff.api.changerequest import read_asked
from bff.api.context import context_of
from bff.api.idempotency import accepted, in_use, key_name, key_of, reused
from bff.api.ids import PATTERN, Id
from bff.api.problems import problem
from bff.api.schema import SECURITY
from bff.api.workschema import CHANGE_BODY, CHANGE_RESPONSES, Change, Changes
from bff.auth.bearer import Authenticator
from bff.auth.caller import Principal
from bff.durable import journal
from bff.durable.changes import Ended, Order, Reused
from bff.durable.desk import Desk, InUse
from bff.product.loader import iso
from bff.product.parts import SOURCES
from bff.product.writing import Writing

PREFIX = "/api/v1/changes"
SCOPE = "catalog:write"
SECURED: dict[str, Any] = {"security": [{SECURITY: []}]}
_NO_STORE = {"cache-control": "no-store"}

State = Literal["pending", "running", "succeeded", "compensated", "failed", "cancelled", "timed_out"]


def router(desk: Desk, writing: Writing, authenticator: Authenticator, new_id: Callable[[], str]) -> APIRouter:
    """Return the routes. new_id: makes names whose order is that of time."""
    router = APIRouter(prefix=PREFIX, tags=["changes"])
    caller = Depends(scoped(authenticator, SCOPE))
    looks: dict[str, Any] = {"responses": CHANGE_RESPONSES, "dependencies": [caller], "openapi_extra": SECURED}

    @router.post("", status_code=202, response_class=Response, responses=CHANGE_RESPONSES, openapi_extra=CHANGE_BODY)
    async def ask(request: Request, principal: Annotated[Principal, caller]) -> Response:
        """Have parts of a product written: all of them or, by compensation, none."""
        if not any(writing.takes(source) for source in SOURCES):
            raise Refused("not-configured", "None of the services is one that can be written to.")
        body = await read_json(request)
        name = key_name(request)
        asked = read_asked(body, writing)
        key = key_of(request, principal, name, asked.told_apart_by)
        of = context_of(request.scope).caller
        order = Order(
            *(new_id(), asked.sku_id, key, asked.parts, asked.timeout_seconds, asked.priority),
            *(of.request_id, of.trace_id),
        )
        try:
            outcome = await desk.change(order)
        except InUse:
            return in_use(request)
        if isinstance(outcome, Reused):
            return reused(request)
        change = outcome.change
        return accepted(_encode(view(change)), f"{PREFIX}/{change.id}", replayed=outcome.replayed)

    @router.get("", response_model=Changes, **looks)
    async def several(
        state: State | None = None,
        limit: Annotated[int, BeforeValidator(_digits), Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(pattern=PATTERN)] = None,
    ) -> Response:
        """Changes, newest first; `next` is the cursor of those that follow, if any do."""
        found = await desk.changes(state, limit + 1, cursor)
        more = found[limit - 1].id if len(found) > limit else None
        return _json({"items": [view(change) for change in found[:limit]], "next": more})

    @router.get("/{id}", response_model=Change, **looks)
    async def one(id: Id, request: Request) -> Response:  # noqa: A002 - as the path has it
        """A change as it is."""
        change = await desk.find_change(id)
        return unknown(request) if change is None else _json(view(change))

    @router.delete("/{id}", status_code=202, **looks)
    async def stop(id: Id, request: Request) -> Response:  # noqa: A002 - as the path has it
        """Have no later step of a change begin, and undo those that are done."""
        outcome = await desk.cancel(id, f"asked for by request {context_of(request.scope).caller.request_id}")
        if outcome is None:
            return unknown(request)
        if isinstance(outcome, Ended):
            return problem(request.scope, "conflict", "It has ended.")
        return _json(view(outcome), 202)

    return router


def view(change: journal.Change) -> dict[str, Any]:
    """Return a change as it is shown."""
    return {
        "id": change.id,
        "sku_id": change.sku_id,
        "state": change.state,
        "steps": [
            {
                "name": step.name,
                "state": step.state,
                "attempts": step.attempts,
                "started_at": _time(step.started_at),
                "ended_at": _time(step.ended_at),
                "error": step.error,
            }
            for step in change.steps.values()
        ],
        "created_at": iso(change.created_at),
        "updated_at": iso(change.updated_at),
        "error": change.error,
    }


def _digits(text: Any) -> Any:
    if isinstance(text, str) and not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError("must be digits")
    return text


def unknown(request: Request) -> Response:
    """Answer a name that no change has."""
    return problem(request.scope, "route-unknown", "There is no such change.")


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)


def _encode(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document)


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(_encode(document), status, _NO_STORE, media_type="application/json")
