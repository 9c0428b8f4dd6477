"""Every metric and its labels. Observers only: nothing here decides anything.

Counts on the way of a request are plain numbers in dictionaries, which a collector reads at the scrape: a labelled
counter of prometheus-client costs a microsecond each time, and a page counts fifteen things.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from bff.collectors import Counts, Gauge, Timings
from bff.durable.census import Census
from bff.durable.journal import CHANGE_ENDS
from bff.product.parts import SOURCES, Ok, Parts, SourceName
from bff.resilience.errors import AttemptTimeout, DeadlineExceeded
from bff.resilience.observe import Attempt
from clients.bulk import Found
from clients.errors import Garbled, Rejected, Unavailable

_BY_SOURCE = ("source",)
CIRCUIT_STATES = {"closed": 0, "half_open": 1, "open": 2}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
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
        self._requests = Counts("bff_requests_total", "Public requests.", ("route", "method", "status"))
        self._request_seconds = Timings(
            "bff_request_seconds", "From a request's arrival to its last byte.", ("route", "method")
        )
        self._parts = Counts("bff_parts_total", "Parts of pages.", ("source", "state", "reason"))
        self._attempts = Counts("bff_upstream_attempts_total", "Calls made to a source.", ("source", "outcome"))
        self._attempt_seconds = Timings("bff_upstream_attempt_seconds", "From a slot to the decoded body.", ("source",))
        self._strangers = Counts("bff_bulk_strangers_total", "Objects that nobody asked for.", ("source",))
        self._lookups = Counts("bff_cache_lookups_total", "Parts looked up.", ("source", "tier", "result"))
        self._views = Counts("bff_view_events_total", "Views of product pages.", ("outcome",))
        self._view_files = Counts("bff_view_files_removed_total", "View files removed to keep within the bound.", ())
        self._redis_failures = Counts("bff_redis_failures_total", "Failures of Redis; pages go on.", ("kind",))
        self._changes = Counts("bff_changes_total", "Changes that ended.", ("state",))
        self._reservations = Counts("bff_reservations_total", "Reservations that ended.", ("state", "reason"))
        self._reconciled = Counts("bff_durable_reconciled_total", "Work taken over that nobody did.", ("kind",))
        self._lag_seconds = 0.0
        lag_text = "The longest that a turn of the event loop was late, lately."
        lag = Gauge("bff_event_loop_lag_seconds", lag_text, (), lambda: {(): self._lag_seconds})
        self._hot_pages = self._ok_pages = self._misses = 0
        for outcome in ("written", "dropped", "failed"):
            self._views.add((outcome,), 0)
        for source in SOURCES:
            self._strangers.add((source,), 0)
        self._view_files.add((), 0)
        counts = (self._requests, self._parts, self._attempts, self._strangers, self._lookups, self._redis_failures)
        others = (self._request_seconds, self._attempt_seconds, self._views, self._view_files, lag)
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
        self._lag_seconds = seconds

    def watch(self, sources: Mapping[SourceName, Guarded]) -> None:
        """Read the gauges of the sources at each scrape."""
        states = "0 closed, 1 half open, 2 open."
        for gauge in (
            Gauge("bff_circuit_state", states, _BY_SOURCE, lambda: _each(sources, _circuit_state)),
            Gauge("bff_in_flight", "Calls that hold a slot.", _BY_SOURCE, lambda: _each(sources, _in_flight)),
        ):
            self.registry.register(gauge)

    def watch_redis(self, usable: Callable[[], bool], trusted: Callable[[], bool]) -> None:
        """Read at each scrape whether Redis is asked, and whether this pod is sure to hear of every change."""
        for kind in ("connect", "timeout", "refused", "lost"):
            self._redis_failures.add((kind,), 0)
        text = "1 while this pod is sure to hear of every change, and serves from memory."
        self.registry.register(Gauge("bff_redis_usable", "1 while pages ask Redis.", (), lambda: {(): usable()}))
        self.registry.register(Gauge("bff_redis_trusted", text, (), lambda: {(): trusted()}))

    def change_ended(self, state: str) -> None:
        """Count a change that came to its end."""
        self._changes.add((state,), 1)

    def reservations_ended(self, ended: Mapping[tuple[str, str], int]) -> None:
        """Count reservations that came to their end, by state and reason."""
        for (state, reason), count in ended.items():
            self._reservations.add((state, reason or "none"), count)

    def reconciled(self, kind: str, count: int) -> None:
        """Count work that nobody did any more: `change` or `batch`."""
        self._reconciled.add((kind,), count)

    def watch_durable(self, census: Callable[[], Census | None], usable: Callable[[], bool]) -> None:
        """Read at each scrape how much durable work there is; what has ended is counted where it is done."""
        for counts, labels in (
            *((self._changes, (state,)) for state in CHANGE_ENDS),
            *((self._reconciled, (each,)) for each in ("change", "batch")),
        ):
            counts.add(labels, 0)
        for own in (
            self._changes,
            self._reservations,
            self._reconciled,
            Gauge("bff_durable_queue", "Work accepted that has not ended.", ("kind",), lambda: _depths(census())),
            Gauge("bff_durable_oldest_seconds", "The age of what waits longest.", ("kind",), lambda: _ages(census())),
            Gauge("bff_durable_usable", "1 while the database can be had.", (), lambda: {(): usable()}),
        ):
            self.registry.register(own)

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


def _depths(census: Census | None) -> Mapping[tuple[str, ...], float]:
    if census is None:  # nothing is known: that is no 0
        return {}
    return {("change",): census.pending + census.running, ("reservation",): census.queued}


def _ages(census: Census | None) -> Mapping[tuple[str, ...], float]:
    if census is None:
        return {}
    return {("change",): census.oldest_change_seconds, ("reservation",): census.oldest_reservation_seconds}


def _outcome(attempt: Attempt) -> str:
    if attempt.error is None:
        return "not_found" if attempt.result is None else "ok"
    for kinds, outcome in _OUTCOMES:
        if isinstance(attempt.error, kinds):
            return outcome
    return "unavailable" if isinstance(attempt.error, Exception) else "cancelled"


def _each(sources: Mapping[SourceName, Guarded], value: Callable[[Guarded], float]) -> Mapping[tuple[str, ...], float]:
    return {(name,): value(source) for name, source in sources.items()}


def _circuit_state(source: Guarded) -> float:
    return CIRCUIT_STATES[source.state]


def _in_flight(source: Guarded) -> float:
    return source.in_flight
