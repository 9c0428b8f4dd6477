"""The public listener's application."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

import bff
from bff.api import errors
from bff.api.edge import Edge, HeadAsGet, NoEncodedSlash
from bff.api.products import Front, Products
from bff.api.schema import SECURITY, Problem

CORS_SECONDS = 600
CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
CORS_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "X-Client",
    "X-Request-Id",
    "X-Request-Timeout-Ms",
    "traceparent",
    "tracestate",
)
CORS_EXPOSED = (
    "ETag",
    "Retry-After",
    "X-Request-Id",
    "Cache-Status",
    "Server-Timing",
    "Location",
    "Idempotent-Replayed",
    "Date",
    "Age",
)


class Cors(CORSMiddleware):
    """Starlette's, but a preflight is 204: a browser reads its headers, and nobody its text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight; one that is not allowed lacks the header that would allow it."""
        answer = super().preflight_response(request_headers)
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        return Response(status_code=204, headers=kept)


def public_app(
    products: Products,
    origins: tuple[str, ...],
    edge: Callable[[ASGIApp], Edge],
    *,
    routers: Sequence[APIRouter] = (),
    docs: bool = False,
    front: bool = True,
) -> Edge:
    """Return the application of the public listener.

    routers: routes besides the pages'. docs: whether /docs is there.
    front: whether pages are answered ahead of FastAPI; without it they are the same, later.
    """
    app = FastAPI(
        title="Product-detail BFF",
        version=bff.__version__,
        description=bff.__doc__ or "",
        docs_url="/docs" if docs else None,
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(app)
    for router in (products.router(), *routers):
        app.include_router(router)
    _describe_problems(app)
    served: ASGIApp = HeadAsGet(NoEncodedSlash(app))
    if front:
        served = Front(served, products)
    if origins:
        served = Cors(
            served,
            allow_origins=origins,
            allow_methods=CORS_METHODS,
            allow_headers=CORS_REQUEST_HEADERS,
            expose_headers=CORS_EXPOSED,
            max_age=CORS_SECONDS,
        )
    return edge(served)


def _describe_problems(app: FastAPI) -> None:
    """Add the one schema that no response model names to the OpenAPI document."""
    document = app.openapi()
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = document["components"]["schemas"]
    schemas |= schema.pop("$defs", {})
    schemas["Problem"] = schema
    document["components"]["securitySchemes"] = {SECURITY: {"type": "http", "scheme": "bearer"}}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
