"""The one place where things are made and put together."""

import asyncio
import io
import random
import select
import ssl
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from bff import looplag
from bff.api.admin import Admin, Readiness, admin_app
from bff.api.edge import Edge
from bff.api.products import Products
from bff.api.public import public_app
from bff.api.quick import QuickPages
from bff.cache.entry import Lifetimes
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Tiers
from bff.environment import tls_context
from bff.headersfile import HeadersFile
from bff.metrics import Metrics
from bff.product.fanout import Needs
from bff.product.guard import Guard
from bff.product.jointly import Jointly
from bff.product.loader import Landings, Loading, Singly, Time, iso
from bff.product.pages import Pages
from bff.product.parts import SOURCES, SourceName
from bff.product.upstream import Upstream
from bff.protocol import Quick
from bff.resilience.alarms import Alarms
from bff.resilience.breaker import Breaker, BreakerPolicy, Circuit
from bff.resilience.budget import RetryBudget
from bff.resilience.bulkhead import Bulkhead
from bff.resilience.errors import AttemptTimeout
from bff.resilience.observe import Attempt, Observe
from bff.resilience.retry import Retry, RetryPolicy
from bff.resilience.stack import stack
from bff.resilience.timeout import Timeout
from bff.settings import PriceSettings, Settings, SourceSettings
from bff.viewlog.recorder import Recorder
from bff.viewlog.shipper import Shipper
from bff.viewlog.sinks import Segments, Sink, Stdout
from clients import amount, info, price, stock
from clients.bulk import Read
from clients.errors import Garbled, Postponed, Rejected, Throttled, Unavailable, UpstreamError
from clients.http import Transport
from clients.shape import Shape
from clients.source import SKU, SKUS, Bulk, Contract, Source

_clock = time.monotonic
_wall_clock = time.time
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
    cache: Tiers
    upstreams: dict[SourceName, Upstream]
    sources: tuple[Source, ...]
    watch_loop_lag: Callable[[], Coroutine[Any, Any, None]]

    async def aclose(self) -> None:
        """Cancel what is under way and close every connection."""
        for upstream in self.upstreams.values():
            await upstream.aclose()
        for source in self.sources:
            await source.aclose()


def build(settings: Settings, *, docs: bool = False, front: bool = True) -> Service:
    """Put a service together. docs, front: as `public_app` has them."""
    metrics = Metrics()
    cache = _cache(settings)
    sources = {name: source_client(name, getattr(settings, name)) for name in SOURCES}
    upstreams = {name: _upstream(name, settings, sources[name], cache, metrics) for name in SOURCES}
    metrics.watch({name: upstream.guard for name, upstream in upstreams.items()})
    recorder = Recorder(partial(metrics.views, "dropped"))
    readiness = Readiness()
    products = _products(settings, upstreams, cache, metrics, recorder)
    edge = partial(_edge, settings, metrics.request)
    public = public_app(products, settings.cors.origins, edge, docs=docs, front=front)
    return Service(
        public=public,
        quick=QuickPages(products, public) if front else None,
        admin=admin_app(
            Admin(readiness, metrics, upstreams, partial(_invalidate, cache)),
            partial(_edge, settings, _count_nothing),
        ),
        readiness=readiness,
        shipper=Shipper(recorder, _sink(settings, metrics), metrics.views),
        cache=cache,
        upstreams=upstreams,
        sources=tuple(sources.values()),
        watch_loop_lag=partial(looplag.watch, metrics.loop_lag, _clock),
    )


def source_client(name: SourceName, settings: SourceSettings) -> Source:
    """Make the client of one source."""
    https = "https" in {urlsplit(url).scheme for url in (settings.url, settings.bulk_url or settings.url)}
    tls: ssl.SSLContext | None = tls_context(settings) if https else None
    transport = Transport(tls=tls, max_age=settings.connection_seconds, max_idle=settings.idle_seconds)
    own = settings.headers
    contract = Contract(
        url=settings.url,
        read=_reader(name, settings),
        shape=Shape(settings.item, settings.map, settings.sku_check == "loose"),
        not_found=settings.not_found_status,
        max_bytes=settings.max_body_bytes,
        headers=HeadersFile(settings.headers_file, _clock) if settings.headers_file else lambda: own,
        bulk=_bulk(settings),
    )
    return Source(contract, transport, lambda: f"{random.getrandbits(64) or 1:016x}")


def _bulk(settings: SourceSettings) -> Bulk | None:
    if settings.bulk_url is None:
        return None
    body = settings.bulk_body if settings.bulk_method == "POST" else None
    return Bulk(settings.bulk_url, body, settings.bulk_items, settings.bulk_size, settings.max_bulk_bytes)


def _reader(name: SourceName, settings: SourceSettings) -> Read:
    if not isinstance(settings, PriceSettings):
        return info.read if name == "info" else stock.read
    kinds: dict[str, Callable[[], amount.Reader]] = {"number": lambda: amount.number, "string": lambda: amount.string}
    way, _, places = settings.amounts.partition(":")
    return partial(price.read, amounts=amount.minor(int(places)) if way == "minor" else kinds[way]())


def _cache(settings: Settings) -> Tiers:
    return Tiers(MemoryTier(SOURCES, settings.cache.max_entries, settings.cache.max_bytes), SOURCES)


def _upstream(name: SourceName, settings: Settings, source: Source, cache: Tiers, metrics: Metrics) -> Upstream:
    own: SourceSettings = getattr(settings, name)
    guard = _guard(own, settings.attempt_seconds(own), partial(metrics.attempt, name))
    time = Time(settings.deadline_seconds, _clock, _wall_clock, random.random)
    lifetimes = Lifetimes(own.fresh_seconds, own.revalidate_seconds, own.stale_seconds, own.not_found_seconds)
    landings = Landings(name, cache.of(name), lifetimes, time)
    singly = Singly(source, guard.call, landings, time)
    loading: Loading = singly
    if (bulk := _bulk(own)) is not None:
        # An array cut short must not make products unknown; a source that has no other URL cannot be asked again.
        confirm = name == "info" and own.url.replace(SKU, SKUS) != bulk.url
        loading = Jointly(source, bulk.room, guard, landings, time, singly, confirm=confirm)
    return Upstream(name, loading, guard, cache.of(name), _clock, metrics.looked_up)


def _guard(settings: SourceSettings, attempt_seconds: float, observed: Callable[[Attempt], None]) -> Guard:
    own = settings.circuit
    slow_seconds = own.slow_seconds or attempt_seconds
    circuit = Circuit(
        BreakerPolicy(own.failure_ratio, own.min_attempts, own.window_seconds, own.open_seconds, own.probes),
        _clock,
    )
    budget = RetryBudget(settings.retry_ratio, settings.retry_floor, _clock)
    bulkhead = Bulkhead(settings.concurrency, settings.queue, _clock)
    again = RetryPolicy(settings.attempts, (AttemptTimeout, Unavailable, Postponed, Throttled), _asked_wait)
    retry = Retry(again, budget, _clock, random.uniform, asyncio.sleep)
    layers = stack(
        # what an open circuit refuses is not tried again, and neither is a full queue
        retry,
        # before the queue: an open circuit waits for nothing
        Breaker(
            circuit,
            slow_seconds,
            _clock,
            failures=(AttemptTimeout, Unavailable, Garbled, Throttled),
            answers=(Rejected,),
        ),
        # no slot is held during a pause between attempts
        bulkhead,
        # counts what was sent, and not what waited
        Observe(observed, _clock),
        # an attempt has its time from its slot on
        Timeout(attempt_seconds, _clock),
    )
    return Guard(layers, retry, circuit, bulkhead, budget)


def _asked_wait(error: BaseException) -> float:
    return error.retry_after if isinstance(error, UpstreamError) else 0.0


def _products(
    settings: Settings, upstreams: dict[SourceName, Upstream], cache: Tiers, metrics: Metrics, recorder: Recorder
) -> Products:
    required = frozenset(name for name in SOURCES if getattr(settings, name).required)
    needs = Needs(upstreams, cache.memory, required, _clock, Alarms(_clock), metrics.missed, metrics.page)
    pages = Pages(needs, metrics.hot_page)
    return Products(pages, recorder.record, settings.deadline_seconds, _clock, _now_text)


def _sink(settings: Settings, metrics: Metrics) -> Sink:
    if settings.view_log.sink == "stdout":
        stdout = io.FileIO(sys.stdout.fileno(), "wb", closefd=False)
        return Stdout(stdout, lambda: bool(select.select([], [stdout], [], STDOUT_WAIT_SECONDS)[1]))
    folder = settings.data_dir / _VIEWS
    return Segments(folder, settings.view_log.max_bytes, _file_stamp, metrics.view_file_removed)


def _edge(settings: Settings, observed: Callable[[str, str, int, float], None], app: ASGIApp) -> Edge:
    return Edge(app, _clock, random.getrandbits, observed, log_all=settings.log.access == "all")


async def _invalidate(cache: Tiers, skus: list[str], sources: tuple[SourceName, ...]) -> None:
    for source in sources:
        await cache.invalidate(source, skus)


def _count_nothing(route: str, method: str, status: int, seconds: float) -> None:
    """Admin requests are not counted: their rate is the prober's and the scraper's."""


def _now_text() -> str:
    return iso(_wall_clock())


def _file_stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
