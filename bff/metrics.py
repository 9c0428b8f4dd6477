"""Every metric and its labels. Observers only: nothing here decides anything.

Counts on the way of a request are plain numbers in dictionaries, which a collector reads at the scrape: a labelled
counter of prometheus-client costs a microsecond each time, and a page counts fifteen things.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from bff.product.parts import SOURCES, Ok, Parts, SourceName
from bff.resilience.errors import AttemptTimeout, DeadlineExceeded
from bff.resilience.observe import Attempt
from clients.bulk import Found
from clients.errors import Garbled, Rejected, Unavailable

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 1.0, 2.0)
_BOUNDS = (*map(floatToGoString, SECONDS), "+Inf")
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
        self._requests = _Counts("bff_requests_total", "Public requests.", ("route", "method", "status"))
        self._request_seconds = _Timings(
            "bff_request_seconds", "From a request's arrival to its last byte.", ("route", "method")
        )
        self._parts = _Counts("bff_parts_total", "Parts of pages.", ("source", "state", "reason"))
        self._attempts = _Counts("bff_upstream_attempts_total", "Calls made to a source.", ("source", "outcome"))
        self._attempt_seconds = _Timings(
            "bff_upstream_attempt_seconds", "From a slot to the decoded body.", ("source",)
        )
        self._strangers = _Counts("bff_bulk_strangers_total", "Objects that nobody asked for.", ("source",))
        self._lookups = _Counts("bff_cache_lookups_total", "Parts looked up.", ("source", "tier", "result"))
        self._views = _Counts("bff_view_events_total", "Views of product pages.", ("outcome",))
        self._view_files = _Counts("bff_view_files_removed_total", "View files removed to keep within the bound.", ())
        self._redis_failures = _Counts("bff_redis_failures_total", "Failures of Redis; pages go on.", ("kind",))
        self._lag = _Lag()
        self._hot_pages = self._ok_pages = self._misses = 0
        for outcome in ("written", "dropped", "failed"):
            self._views.add((outcome,), 0)
        for source in SOURCES:
            self._strangers.add((source,), 0)
        self._view_files.add((), 0)
        counts = (self._requests, self._parts, self._attempts, self._strangers, self._lookups, self._redis_failures)
        others = (self._request_seconds, self._attempt_seconds, self._views, self._view_files, self._lag)
        for own in (*counts, *others):
            registry.register(own)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a public request."""
        if method not in METHODS:
            method = "other"
        self._requests.values[route, method, str(status)] += 1
        self._request_seconds.observe((route, method), seconds)

    def missed(self, sources: Sequence[SourceName]) -> None:
        """Count look-ups of a product of which nothing is cached."""
        if len(sources) == len(SOURCES):
            self._misses += 1
            return
        for name in sources:
            self.looked_up(name, "miss")

    def page(self, parts: Parts) -> None:
        """Count the parts of a page."""
        for part in parts.values():
            if type(part) is not Ok:
                break
        else:
            self._ok_pages += 1
            return
        for name, part in parts.items():
            self._parts.values[name, part.state, part.reason or "none"] += 1

    def hot_page(self) -> None:
        """Count a page that was answered whole from memory: three look-ups and three parts, all fresh."""
        self._hot_pages += 1

    def attempt(self, source: SourceName, attempt: Attempt) -> None:
        """Count an attempt at a source."""
        self._attempts.values[source, _outcome(attempt)] += 1
        self._attempt_seconds.observe((source,), attempt.seconds)
        if isinstance(attempt.result, Found):
            self._strangers.values[source,] += attempt.result.strangers

    def looked_up(self, source: SourceName, result: str) -> None:
        """Count a look-up in the memory tier."""
        self._lookups.values[source, "memory", result] += 1

    def looked_up_in_redis(self, source: SourceName, result: str) -> None:
        """Count a look-up in the Redis tier."""
        self._lookups.values[source, "redis", result] += 1

    def redis_failed(self, kind: str) -> None:
        """Count a failure of Redis: `connect`, `timeout`, `refused` (it answered an error) or `lost`."""
        self._redis_failures.values[kind,] += 1

    def views(self, outcome: str, count: int) -> None:
        """Count view events."""
        self._views.add((outcome,), count)

    def view_file_removed(self) -> None:
        """Count a view file that was removed to keep within the bound."""
        self._view_files.add((), 1)

    def loop_lag(self, seconds: float) -> None:
        """Show the event loop's lag."""
        self._lag.seconds = seconds

    def watch(self, sources: dict[SourceName, Guarded]) -> None:
        """Read the gauges of the sources at each scrape."""
        self.registry.register(_Sources(sources))

    def watch_redis(self, usable: Callable[[], bool], trusted: Callable[[], bool]) -> None:
        """Read at each scrape whether Redis is asked, and whether this pod is sure to hear of every change."""
        for kind in ("connect", "timeout", "refused", "lost"):
            self._redis_failures.add((kind,), 0)
        self.registry.register(_Redis(usable, trusted))

    def exposition(self) -> bytes:
        """Return all metrics as Prometheus text."""
        counted = (
            (self._lookups, ("memory", "fresh"), self._hot_pages),
            (self._lookups, ("memory", "miss"), self._misses),
            (self._parts, ("ok", "none"), self._hot_pages + self._ok_pages),
        )
        self._hot_pages = self._ok_pages = self._misses = 0
        for counts, labels, count in counted:
            for name in SOURCES if count else ():
                counts.add((name, *labels), count)
        return generate_latest(self.registry)


class _Counts(Collector):
    """A counter, by its labels' values."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self.values: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._about = (name, text, labels)

    def add(self, labels: tuple[str, ...], count: int) -> None:
        self.values[labels] += count

    def collect(self) -> Iterable[Metric]:
        name, text, labels = self._about
        family = CounterMetricFamily(name, text, labels=labels)
        for values, count in self.values.items():
            family.add_metric(values, count)
        yield family


class _Timings(Collector):
    """A histogram of seconds, by its labels' values."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self._about = (name, text, labels)

    def observe(self, labels: tuple[str, ...], seconds: float) -> None:
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * len(_BOUNDS)
        counts[bisect_left(SECONDS, seconds)] += 1
        self._sums[labels] += seconds

    def collect(self) -> Iterable[Metric]:
        name, text, labels = self._about
        family = HistogramMetricFamily(name, text, labels=labels)
        for values, counts in self._counts.items():
            family.add_metric(values, list(zip(_BOUNDS, accumulate(counts), strict=True)), self._sums[values])
        yield family


class _Lag(Collector):
    """The event loop's lag, as it was last reported."""

    seconds = 0.0

    def collect(self) -> Iterable[Metric]:
        text = "The longest that a turn of the event loop was late, lately."
        yield GaugeMetricFamily("bff_event_loop_lag_seconds", text, value=self.seconds)


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


class _Redis(Collector):
    def __init__(self, usable: Callable[[], bool], trusted: Callable[[], bool]) -> None:
        self._usable = usable
        self._trusted = trusted

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("bff_redis_usable", "1 while pages ask Redis.", value=self._usable())
        text = "1 while this pod is sure to hear of every change, and serves from memory."
        yield GaugeMetricFamily("bff_redis_trusted", text, value=self._trusted())


def _outcome(attempt: Attempt) -> str:
    if attempt.error is None:
        return "not_found" if attempt.result is None else "ok"
    for kinds, outcome in _OUTCOMES:
        if isinstance(attempt.error, kinds):
            return outcome
    return "unavailable" if isinstance(attempt.error, Exception) else "cancelled"
