"""The routes of reservations: accepted as fast as they come, sent on at a steady rate."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bff.api.auth import Refused, scoped
from bff.api.body import parsed, read_json
from bff.api.changes import SECURED
from bff.api.idempotency import accepted, in_use, key_name, key_of, reused
from bff.api.ids import Id
from bff.api.problems import problem
from bff.api.schema import request_body
from bff.api.sku import SkuInPath
from bff.api.workschema import KEY_PARAMETER, RESERVATION_RESPONSES, Reservation
from bff.auth.bearer import Authenticator
from bff.auth.caller import Principal
from bff.durable import journal
from bff.durable.changes import Reused
from bff.durable.desk import Desk, InUse
from bff.durable.reservations import Full, Wish
from bff.product.loader import iso

PREFIX = "/api/v1/reservations"
MOST = 1_000_000
_NO_STORE = {"cache-control": "no-store"}


class Quantity(BaseModel):
    """How many are wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    quantity: Annotated[int, Field(ge=1, le=MOST)]


def router(desk: Desk, authenticator: Authenticator, new_id: Callable[[], str], *, sells: bool) -> APIRouter:
    """Return the routes. new_id: makes names whose order is that of time. sells: whether stock can be deducted."""
    router = APIRouter(tags=["reservations"])
    known = scoped(authenticator, "reservations")
    body = {**request_body(Quantity), "parameters": [KEY_PARAMETER]}
    looks: dict[str, Any] = {"responses": RESERVATION_RESPONSES, "openapi_extra": SECURED}

    async def asking(request: Request) -> Principal:
        return await known(request)

    @router.post(
        "/api/v1/products/{sku_id}/reservations",
        status_code=202,
        response_class=Response,
        responses=RESERVATION_RESPONSES,
        openapi_extra=body,
    )
    async def reserve(
        sku_id: SkuInPath, request: Request, principal: Annotated[Principal, Depends(asking)]
    ) -> Response:
        """Reserve some of a product; it is on disk once this is answered."""
        _need(sells)
        sent = await read_json(request)
        name = key_name(request)
        quantity = parsed(Quantity, sent).quantity
        wish = Wish(new_id(), sku_id, quantity, key_of(request, principal, name, quantity))
        try:
            answer = await desk.reserve(wish)
        except InUse:
            return in_use(request)
        if isinstance(answer, Full):
            return problem(request.scope, "overloaded", "Too many reservations are waiting.")
        if isinstance(answer, Reused):
            return reused(request)
        found = answer.reservation
        return accepted(_encode(found), f"{PREFIX}/{found.id}", replayed=answer.replayed)

    @router.get(f"{PREFIX}/{{id}}", response_model=Reservation, **looks)
    async def one(principal: Annotated[Principal, Depends(asking)], id: Id, request: Request) -> Response:  # noqa: A002
        """A reservation of the caller's as it is."""
        _need(sells)
        found = await desk.find_reservation(principal.name, id)
        return _unknown(request) if found is None else _answer(found, 200)

    @router.delete(f"{PREFIX}/{{id}}", status_code=202, **looks)
    async def release(principal: Annotated[Principal, Depends(asking)], id: Id, request: Request) -> Response:  # noqa: A002
        """Give a reservation of the caller's back."""
        _need(sells)
        found = await desk.release(principal.name, id)
        if found is None:
            return _unknown(request)
        if found == "rejected":
            return problem(request.scope, "conflict", "It was rejected: there is nothing to give back.")
        return _answer(found, 202)

    return router


def view(reservation: journal.Reservation) -> dict[str, Any]:
    """Return a reservation as it is shown."""
    return {
        "id": reservation.id,
        "sku_id": reservation.sku_id,
        "quantity": reservation.quantity,
        "state": reservation.state,
        "reason": reservation.reason,
        "created_at": iso(reservation.created_at),
        "updated_at": iso(reservation.updated_at),
    }


def _need(sells: bool) -> None:  # noqa: FBT001 - it is what is needed
    if not sells:
        raise Refused("not-configured", "There is no service to deduct stock from.")


def _unknown(request: Request) -> Response:
    return problem(request.scope, "route-unknown", "There is no such reservation.")


def _encode(reservation: journal.Reservation) -> bytes:
    return msgspec.json.encode(view(reservation))


def _answer(reservation: journal.Reservation, status: int) -> Response:
    return Response(_encode(reservation), status, _NO_STORE, media_type="application/json")
