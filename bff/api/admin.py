"""The admin listener's application: health, metrics, state, invalidation. Nginx never exposes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import ASGIApp

from bff.api import errors
from bff.api.body import parsed, read
from bff.api.edge import HeadAsGet
from bff.api.sku import SkuInBody
from bff.metrics import CONTENT_TYPE, Metrics
from bff.product.fence import Fence
from bff.product.parts import SOURCES, SourceName
from bff.product.upstream import Upstream

MAX_SKUS = 1000


class Invalidation(BaseModel):
    """Which parts to forget: of these SKUs, all sources where none is named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sku_ids: Annotated[list[SkuInBody], Field(min_length=1, max_length=MAX_SKUS)]
    sources: Annotated[list[SourceName], Field(min_length=1)] | None = None


@dataclass(slots=True)
class Readiness:
    """Whether the service takes requests: not while it starts, nor while it drains."""

    ready: bool = False


@dataclass(frozen=True, slots=True)
class Admin:
    """What the admin routes need."""

    readiness: Readiness
    metrics: Metrics
    upstreams: dict[SourceName, Upstream]
    cache_figures: Callable[[], dict[str, dict[str, int]]]
    durable_figures: Callable[[], dict[str, Any]]
    fence: Fence


def admin_app(admin: Admin, edge: Callable[[ASGIApp], ASGIApp]) -> ASGIApp:
    """Return the application of the admin listener."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    errors.install(app)

    @app.get("/livez")
    async def livez() -> Response:
        return _text(200, "live")

    @app.get("/readyz")
    async def readyz() -> Response:
        return _text(200, "ready") if admin.readiness.ready else _text(503, "not ready")

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(admin.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    @app.get("/sources")
    async def sources() -> dict[str, Any]:
        return {name: _state(upstream) for name, upstream in admin.upstreams.items()}

    @app.get("/cache")
    async def cache() -> dict[str, dict[str, int]]:
        return admin.cache_figures()

    @app.get("/durable")
    async def durable() -> dict[str, Any]:
        return admin.durable_figures()

    @app.post("/cache/invalidate", status_code=204)
    async def invalidate(request: Request) -> Response:
        what = parsed(Invalidation, await read(request))  # whatever its type: it is operators who call this, with curl
        await admin.fence.forget(what.sku_ids, tuple(what.sources or SOURCES))
        return Response(status_code=204)

    return edge(HeadAsGet(app))


def _text(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, {"Content-Type": "text/plain"})


def _state(upstream: Upstream) -> dict[str, Any]:
    guard = upstream.guard
    return {
        "circuit": guard.circuit.state,
        "in_flight": guard.bulkhead.in_flight,
        "concurrency": guard.bulkhead.concurrency,
        "waiting": guard.bulkhead.waiting,
        "retry_budget": {"left": guard.budget.left, "ratio": guard.budget.ratio},
    }
