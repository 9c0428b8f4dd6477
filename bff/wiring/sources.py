"""How a source is put together: its client, its guard, its loads."""

import asyncio
import random
import ssl
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import structlog

from bff.cache.entry import Lifetimes
from bff.environment import tls_context
from bff.headersfile import HeadersFile
from bff.metrics import Metrics
from bff.product.guard import Guard
from bff.product.jointly import Jointly
from bff.product.loader import Landings, Loading, Singly, Time
from bff.product.parts import SourceName
from bff.product.upstream import Upstream
from bff.product.writing import Owner
from bff.resilience.breaker import Breaker, BreakerPolicy, Circuit
from bff.resilience.budget import RetryBudget
from bff.resilience.bulkhead import Bulkhead
from bff.resilience.errors import AttemptTimeout
from bff.resilience.observe import Attempt, Observe
from bff.resilience.retry import Retry, RetryPolicy
from bff.resilience.stack import stack
from bff.resilience.timeout import Timeout
from bff.settings import PriceSettings, Settings, SourceSettings, StockSettings
from bff.wiring.caching import Caching
from bff.wiring.clocks import clock, wall_clock
from clients import amount, info, price, stock
from clients.bulk import Read
from clients.deduct import Deductor
from clients.errors import Garbled, Postponed, Rejected, Throttled, Unavailable, Unwritable, UpstreamError
from clients.http import Transport
from clients.shape import Shape
from clients.source import SKU, SKUS, Bulk, Contract, Source
from clients.write import Writer

log = structlog.get_logger(__name__)


def source_client(name: SourceName, settings: SourceSettings) -> Source:
    """Make the client that reads one source."""
    transport = _transport(settings, settings.url, settings.bulk_url or settings.url)
    return Source(_contract(name, settings), transport, _new_span)


def owner(name: SourceName, settings: SourceSettings, source: Source, circuit: Circuit) -> Owner | None:
    """Make what writes one source, None where its shape is none that can be written."""
    url = settings.write_url or settings.url
    try:
        # Connections of its own, each made for one write: no read gets one that a write has left in doubt.
        writer = Writer(
            name, _contract(name, settings), _transport(settings, url), _new_span, url=url, amounts=_back(settings)
        )
    except Unwritable as exc:
        log.info("a source cannot be written to", source=name, why=str(exc))
        return None
    return Owner(source, writer, circuit, settings.write_timeout_seconds)


def _transport(settings: SourceSettings, *urls: str) -> Transport:
    https = any(urlsplit(url).scheme == "https" for url in urls)
    tls: ssl.SSLContext | None = tls_context(settings) if https else None
    return Transport(tls=tls, max_age=settings.connection_seconds, max_idle=settings.idle_seconds)


def _contract(name: SourceName, settings: SourceSettings) -> Contract:
    return Contract(
        url=settings.url,
        read=_reader(name, settings),
        shape=Shape(settings.item, settings.map, settings.sku_check == "loose"),
        not_found=settings.not_found_status,
        max_bytes=settings.max_body_bytes,
        headers=_own_headers(settings),
        bulk=_bulk(settings),
    )


def _new_span() -> str:
    return f"{random.getrandbits(64) or 1:016x}"


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


def _back(settings: SourceSettings) -> amount.Back | None:
    """Return how the owner writes amounts, None where as we do."""
    if not isinstance(settings, PriceSettings) or settings.amounts == "number":
        return None
    way, _, places = settings.amounts.partition(":")
    return amount.to_minor(int(places)) if way == "minor" else amount.to_string


def upstream(name: SourceName, settings: Settings, source: Source, caching: Caching, metrics: Metrics) -> Upstream:
    """Put one source together with its guard, its cache and its loads."""
    own: SourceSettings = getattr(settings, name)
    cache = caching.tiers.of(name)
    guard = _guard(own, settings.attempt_seconds(own), partial(metrics.attempt, name))
    time = Time(settings.deadline_seconds, clock, wall_clock, random.random)
    lifetimes = Lifetimes(own.fresh_seconds, own.revalidate_seconds, own.stale_seconds, own.not_found_seconds)
    landings = Landings(name, cache, lifetimes, time)
    singly = Singly(source, guard.call, landings, time)
    loading: Loading = singly
    if (bulk := _bulk(own)) is not None:
        # An array cut short must not make products unknown; a source that has no other URL cannot be asked again.
        confirm = name == "info" and own.url.replace(SKU, SKUS) != bulk.url
        loading = Jointly(source, bulk.room, guard, landings, time, singly, confirm=confirm)
    loading = caching.loading(name, loading, lifetimes, time, metrics.looked_up_in_redis)
    return Upstream(name, loading, guard, cache, clock, metrics.looked_up)


def _guard(settings: SourceSettings, attempt_seconds: float, observed: Callable[[Attempt], None]) -> Guard:
    own = settings.circuit
    slow_seconds = own.slow_seconds or attempt_seconds
    circuit = Circuit(
        BreakerPolicy(own.failure_ratio, own.min_attempts, own.window_seconds, own.open_seconds, own.probes),
        clock,
    )
    budget = RetryBudget(settings.retry_ratio, settings.retry_floor, clock)
    bulkhead = Bulkhead(settings.concurrency, settings.queue, clock)
    again = RetryPolicy(settings.attempts, (AttemptTimeout, Unavailable, Postponed, Throttled), _asked_wait)
    retry = Retry(again, budget, clock, random.uniform, asyncio.sleep)
    layers = stack(
        # what an open circuit refuses is not tried again, and neither is a full queue
        retry,
        # before the queue: an open circuit waits for nothing
        Breaker(
            circuit,
            slow_seconds,
            clock,
            failures=(AttemptTimeout, Unavailable, Garbled, Throttled),
            answers=(Rejected,),
        ),
        # no slot is held during a pause between attempts
        bulkhead,
        # counts what was sent, and not what waited
        Observe(observed, clock),
        # an attempt has its time from its slot on
        Timeout(attempt_seconds, clock),
    )
    return Guard(layers, retry, circuit, bulkhead, budget)


def _asked_wait(error: BaseException) -> float:
    return error.retry_after if isinstance(error, UpstreamError) else 0.0


def deductor(settings: StockSettings) -> Deductor | None:
    """Make what sells stock, None where there is no service for it."""
    if settings.deduct_url is None or settings.release_url is None:
        return None
    transport = _transport(settings, settings.deduct_url, settings.release_url)
    return Deductor(settings.deduct_url, settings.release_url, transport, _own_headers(settings), _new_span)


def _own_headers(settings: SourceSettings) -> Callable[[], tuple[tuple[str, str], ...]]:
    own = settings.headers
    return HeadersFile(settings.headers_file, clock) if settings.headers_file else lambda: own
