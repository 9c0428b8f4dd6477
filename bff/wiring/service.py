"""How a service is put together."""

import io
import random
import secrets
import select
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from starlette.types import ASGIApp

from bff import looplag
from bff.api import changeevents, changes, events, reservations, writes
from bff.api.admin import Admin, Readiness, admin_app
from bff.api.edge import Edge
from bff.api.products import Products
from bff.api.public import public_app
from bff.api.quick import QuickPages
from bff.auth.bearer import Authenticator
from bff.auth.jwks import fetch
from bff.auth.jwts import Jwts
from bff.auth.keys import Keys
from bff.auth.tokens import Tokens
from bff.metrics import Metrics
from bff.product.fanout import Needs
from bff.product.fence import Fence
from bff.product.loader import iso
from bff.product.pages import Pages
from bff.product.parts import SOURCES, SourceName
from bff.product.upstream import Upstream
from bff.product.writing import Writing
from bff.protocol import Quick
from bff.resilience.alarms import Alarms
from bff.settings import AuthSettings, Settings
from bff.viewlog.recorder import Recorder
from bff.viewlog.shipper import Shipper
from bff.viewlog.sinks import Segments, Sink, Stdout
from bff.wiring.caching import Caching, caching
from bff.wiring.clocks import clock, wall_clock
from bff.wiring.durable import Durable, durable
from bff.wiring.sources import owner, source_client, upstream
from clients.source import Source

log = structlog.get_logger(__name__)

_VIEWS = "views"
STDOUT_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is put together, and what its life needs."""

    public: ASGIApp
    quick: Quick | None
    admin: ASGIApp
    readiness: Readiness
    shipper: Shipper
    caching: Caching
    upstreams: dict[SourceName, Upstream]
    sources: tuple[Source, ...]
    writing: Writing
    durable: Durable
    watch_loop_lag: Callable[[], Coroutine[Any, Any, None]]

    def drain(self) -> None:
        """Say that nothing more should come, and end what would not end by itself."""
        self.readiness.ready = False
        self.durable.desk.leave()
        log.info("draining")

    async def aclose(self) -> None:
        """Let durable steps and writes end, cancel what else is under way, and close every connection."""
        await self.durable.aclose()
        await self.writing.aclose()
        for each in self.upstreams.values():
            await each.aclose()
        for source in self.sources:
            await source.aclose()
        await self.caching.aclose()


def build(settings: Settings, *, works: bool, docs: bool = False, front: bool = True) -> Service:
    """Put a service together. works: whether it does durable work itself; docs, front: as `public_app` has them."""
    metrics = Metrics()
    alarms = Alarms(clock)
    shelf = caching(settings, alarms, metrics)
    sources = {name: source_client(name, getattr(settings, name)) for name in SOURCES}
    upstreams = {name: upstream(name, settings, sources[name], shelf, metrics) for name in SOURCES}
    metrics.watch({name: upstream.guard for name, upstream in upstreams.items()})
    recorder = Recorder(partial(metrics.views, "dropped"))
    readiness = Readiness()
    products = _products(settings, upstreams, shelf, metrics, recorder)
    edge = partial(_edge, settings, metrics.request)
    authenticator = _authenticator(settings.auth)
    writing = _writing(settings, sources, upstreams, shelf.fence)
    work = durable(settings, writing, shelf.fence, metrics, works=works)
    routers = [
        events.router(shelf.fence, authenticator),
        writes.router(writing, authenticator),
        changes.router(work.desk, writing, authenticator, work.new_id),
        changeevents.router(work.desk, authenticator, clock),
        reservations.router(work.desk, authenticator, work.new_id, sells=settings.stock.deduct_url is not None),
    ]
    public = public_app(products, settings.cors.origins, edge, routers=routers, docs=docs, front=front)
    return Service(
        public=public,
        quick=QuickPages(products, public) if front else None,
        admin=admin_app(
            Admin(readiness, metrics, upstreams, shelf.figures, work.figures, shelf.fence),
            partial(_edge, settings, _count_nothing),
        ),
        readiness=readiness,
        shipper=Shipper(recorder, _sink(settings, metrics), metrics.views),
        caching=shelf,
        upstreams=upstreams,
        sources=tuple(sources.values()),
        writing=writing,
        durable=work,
        watch_loop_lag=partial(looplag.watch, metrics.loop_lag, clock),
    )


def _products(
    settings: Settings,
    upstreams: dict[SourceName, Upstream],
    shelf: Caching,
    metrics: Metrics,
    recorder: Recorder,
) -> Products:
    required = frozenset(name for name in SOURCES if getattr(settings, name).required)
    needs = Needs(
        upstreams,
        shelf.tiers.memory,
        shelf.tiers.trust,
        required,
        clock,
        shelf.alarms,
        metrics.missed,
        metrics.page,
    )
    pages = Pages(needs, metrics.hot_page)
    return Products(pages, recorder.record, settings.deadline_seconds, clock, _now_text)


def _writing(
    settings: Settings, sources: dict[SourceName, Source], upstreams: dict[SourceName, Upstream], fence: Fence
) -> Writing:
    owners = {
        name: owner(name, getattr(settings, name), sources[name], upstreams[name].guard.circuit) for name in SOURCES
    }
    writable = {name: found for name, found in owners.items() if found is not None}
    return Writing(writable, fence, clock, partial(secrets.token_hex, 16))


def _authenticator(settings: AuthSettings) -> Authenticator:
    jwts: Jwts | None = None
    if settings.jwks_url is not None and settings.issuer is not None and settings.audience is not None:
        jwts = Jwts(settings.issuer, settings.audience, Keys(partial(fetch, settings.jwks_url, clock), clock))
    return Authenticator(Tokens(settings.tokens), jwts)


def _sink(settings: Settings, metrics: Metrics) -> Sink:
    if settings.view_log.sink == "stdout":
        stdout = io.FileIO(sys.stdout.fileno(), "wb", closefd=False)
        return Stdout(stdout, lambda: bool(select.select([], [stdout], [], STDOUT_WAIT_SECONDS)[1]))
    folder = settings.data_dir / _VIEWS
    return Segments(folder, settings.view_log.max_bytes, _file_stamp, metrics.view_file_removed)


def _edge(settings: Settings, observed: Callable[[str, str, int, float], None], app: ASGIApp) -> Edge:
    return Edge(app, clock, random.getrandbits, observed, log_all=settings.log.access == "all")


def _count_nothing(route: str, method: str, status: int, seconds: float) -> None:
    """Admin requests are not counted: their rate is the prober's and the scraper's."""


def _now_text() -> str:
    return iso(wall_clock())


def _file_stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
