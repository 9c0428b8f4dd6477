"""FastAPI's own refusals as problems: no route, wrong method, invalid parameters and bodies."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from bff.api.auth import Refused
from bff.api.disconnect import CLIENT_LEFT
from bff.api.problems import Kind, problem
from bff.durable.database import Away
from bff.metrics import METHODS
from bff.product.fence import Untold

_MESSAGES = {
    "string_pattern_mismatch": "must be 1 to 64 letters, digits, dots, underscores and hyphens, the first no sign",
    "missing": "is needed",
    "extra_forbidden": "is not known",
    "json_invalid": "must be JSON",
}


def install(app: FastAPI) -> None:
    """Make every refusal of an app a problem."""
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(Exception)(_broken)
    app.exception_handler(Refused)(_refused)
    app.exception_handler(Untold)(_untold)
    app.exception_handler(Away)(_away)
    app.exception_handler(ClientDisconnect)(_left)  # in the middle of its body


async def _http(request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        allowed = ", ".join(_methods(request))
        return problem(request.scope, "method-not-allowed", f"Allowed: {allowed}.", [(b"allow", allowed.encode())])
    if error.status_code == 415:
        return problem(request.scope, "body-invalid", "It must say application/json.", status=415)
    if error.status_code == 413:
        return problem(request.scope, "too-large", "At most 1 MiB is read.")
    if error.status_code == 404:
        return problem(request.scope, "route-unknown", "See /openapi.json for what there is.")
    return problem(request.scope, "body-invalid", "The body could not be read.")


async def _refused(request: Request, error: Refused) -> Response:
    return problem(request.scope, error.kind, error.detail, error.fields)


async def _untold(request: Request, _error: Untold) -> Response:
    return problem(request.scope, "overloaded", "Not every pod could be told; ask again.")


async def _away(request: Request, _error: Away) -> Response:
    detail = "Its database is away. What was sent may be accepted or not: send it again, with the same key."
    return problem(request.scope, "overloaded", detail)


async def _broken(request: Request, _error: Exception) -> Response:
    return problem(request.scope, "internal", "It has been logged.")  # by the edge, to which it goes on


async def _left(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_LEFT)  # for the count; there is nobody to read it


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    in_path = any(item["loc"][0] == "path" for item in error.errors())
    kind: Kind = "sku-invalid" if in_path else "body-invalid"
    errors = [
        {
            "field": ".".join(str(step) for step in item["loc"][1:]) or "body",
            "message": _MESSAGES.get(item["type"], item["msg"].removeprefix("Value error, ")),
        }
        for item in error.errors()
    ]
    return problem(request.scope, kind, "See errors.", errors=errors)


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes of a path; the router itself looks at the first one alone."""
    routes = request.app.router.routes
    allowed = {
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    }
    return sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)
