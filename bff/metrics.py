"""Every metric and its labels. Observers only: nothing here decides anything.

Label children are made once, so that counting costs an addition; what is a state is read at the scrape.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from bff.product.parts import Parts, SourceName
from bff.resilience.errors import AttemptTimeout, DeadlineExceeded
from bff.resilience.observe import Attempt
from clients.errors import Garbled, Rejected, Unavailable

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 1.0, 2.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
CIRCUIT_STATES = {"closed": 0, "half_open": 1, "open": 2}
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_OUTCOMES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((AttemptTimeout, DeadlineExceeded), "timeout"),
    (Unavailable, "unavailable"),
    (Rejected, "rejected"),
    (Garbled, "garbled"),
)


class Guarded(Protocol):
    """What a source's gauges are read from."""

    @property
    def state(self) -> str:
        """The circuit's state."""

    @property
    def in_flight(self) -> int:
        """The calls that hold a slot."""


class Metrics:
    """The process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each, that nobody reads
        self.registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self._requests = Counter(
            "bff_requests_total", "Public requests.", ("route", "method", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "bff_request_seconds", "From a request's arrival to its last byte.", ("route", "method"),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._parts = Counter("bff_parts_total", "Parts of pages.", ("source", "state", "reason"), registry=registry)
        self._attempts = Counter(
            "bff_upstream_attempts_total", "Calls made to a source.", ("source", "outcome"), registry=registry
        )
        self._attempt_seconds = Histogram(
            "bff_upstream_attempt_seconds", "From a slot to the decoded body.", ("source",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._lookups = Counter(
            "bff_cache_lookups_total", "Parts looked up.", ("source", "tier", "result"), registry=registry
        )
        self._views = Counter("bff_view_events_total", "Views of product pages.", ("outcome",), registry=registry)
        self._view_files = Counter(
            "bff_view_files_removed_total", "View files removed to keep within the bound.", registry=registry
        )
        self._lag = Gauge(
            "bff_event_loop_lag_seconds", "The longest that a turn of the event loop was late, lately.",
            registry=registry,
        )  # fmt: skip
        for outcome in ("written", "dropped", "failed"):
            self._views.labels(outcome)
        self._child = lru_cache(maxsize=2048)(lambda metric, *labels: metric.labels(*labels))

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a public request."""
        method = method if method in METHODS else "other"
        self._child(self._requests, route, method, str(status)).inc()
        self._child(self._request_seconds, route, method).observe(seconds)

    def page(self, parts: Parts) -> None:
        """Count the parts of a page."""
        for name, part in parts.items():
            self._child(self._parts, name, part.state, part.reason or "none").inc()

    def attempt(self, source: SourceName, attempt: Attempt) -> None:
        """Count an attempt at a source."""
        self._child(self._attempts, source, _outcome(attempt)).inc()
        self._child(self._attempt_seconds, source).observe(attempt.seconds)

    def looked_up(self, source: SourceName, result: str) -> None:
        """Count a look-up in the memory tier."""
        self._child(self._lookups, source, "memory", result).inc()

    def views(self, outcome: str, count: int) -> None:
        """Count view events."""
        self._child(self._views, outcome).inc(count)

    def view_file_removed(self) -> None:
        """Count a view file that was removed to keep within the bound."""
        self._view_files.inc()

    def loop_lag(self, seconds: float) -> None:
        """Show the event loop's lag."""
        self._lag.set(seconds)

    def watch(self, sources: dict[SourceName, Guarded]) -> None:
        """Read the gauges of the sources at each scrape."""
        self.registry.register(_Sources(sources))

    def exposition(self) -> bytes:
        """Return all metrics as Prometheus text."""
        return generate_latest(self.registry)


class _Sources(Collector):
    def __init__(self, sources: dict[SourceName, Guarded]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        circuit = GaugeMetricFamily("bff_circuit_state", "0 closed, 1 half open, 2 open.", labels=["source"])
        in_flight = GaugeMetricFamily("bff_in_flight", "Calls that hold a slot.", labels=["source"])
        for name, source in self._sources.items():
            circuit.add_metric([name], CIRCUIT_STATES[source.state])
            in_flight.add_metric([name], source.in_flight)
        yield from (circuit, in_flight)


def _outcome(attempt: Attempt) -> str:
    if attempt.error is None:
        return "not_found" if attempt.result is None else "ok"
    for kinds, outcome in _OUTCOMES:
        if isinstance(attempt.error, kinds):
            return outcome
    return "unavailable" if isinstance(attempt.error, Exception) else "cancelled"
