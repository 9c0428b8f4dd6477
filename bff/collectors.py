"""Plain numbers and gauges as Prometheus reads them at the scrape."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from bff.product.parts import SourceName

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 1.0, 2.0)
CIRCUIT_STATES = {"closed": 0, "half_open": 1, "open": 2}
_BOUNDS = (*map(floatToGoString, SECONDS), "+Inf")


class Guarded(Protocol):
    """What a source's gauges are read from."""

    @property
    def state(self) -> str:
        """The circuit's state."""

    @property
    def in_flight(self) -> int:
        """The calls that hold a slot."""


class Counts(Collector):
    """A counter, by its labels' values."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self.values: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._about = (name, text, labels)

    def add(self, labels: tuple[str, ...], count: int) -> None:
        """Count so many."""
        self.values[labels] += count

    def collect(self) -> Iterable[Metric]:
        """Return it for a scrape."""
        name, text, labels = self._about
        family = CounterMetricFamily(name, text, labels=labels)
        for values, count in self.values.items():
            family.add_metric(values, count)
        yield family


class Timings(Collector):
    """A histogram of seconds, by its labels' values."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self._about = (name, text, labels)

    def observe(self, labels: tuple[str, ...], seconds: float) -> None:
        """Count one that took so long."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * len(_BOUNDS)
        counts[bisect_left(SECONDS, seconds)] += 1
        self._sums[labels] += seconds

    def collect(self) -> Iterable[Metric]:
        """Return it for a scrape."""
        name, text, labels = self._about
        family = HistogramMetricFamily(name, text, labels=labels)
        for values, counts in self._counts.items():
            family.add_metric(values, list(zip(_BOUNDS, accumulate(counts), strict=True)), self._sums[values])
        yield family


class Lag(Collector):
    """The event loop's lag, as it was last reported."""

    seconds = 0.0

    def collect(self) -> Iterable[Metric]:
        """Return it for a scrape."""
        text = "The longest that a turn of the event loop was late, lately."
        yield GaugeMetricFamily("bff_event_loop_lag_seconds", text, value=self.seconds)


class Sources(Collector):
    """The gauges of every source."""

    def __init__(self, sources: dict[SourceName, Guarded]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """Return it for a scrape."""
        circuit = GaugeMetricFamily("bff_circuit_state", "0 closed, 1 half open, 2 open.", labels=["source"])
        in_flight = GaugeMetricFamily("bff_in_flight", "Calls that hold a slot.", labels=["source"])
        for name, source in self._sources.items():
            circuit.add_metric([name], CIRCUIT_STATES[source.state])
            in_flight.add_metric([name], source.in_flight)
        yield from (circuit, in_flight)


class Redis(Collector):
    """Whether Redis is asked, and whether this pod is sure to hear of every change."""

    def __init__(self, usable: Callable[[], bool], trusted: Callable[[], bool]) -> None:
        self._usable = usable
        self._trusted = trusted

    def collect(self) -> Iterable[Metric]:
        """Return it for a scrape."""
        yield GaugeMetricFamily("bff_redis_usable", "1 while pages ask Redis.", value=self._usable())
        text = "1 while this pod is sure to hear of every change, and serves from memory."
        yield GaugeMetricFamily("bff_redis_trusted", text, value=self._trusted())
