"""Plain numbers and gauges as Prometheus reads them at the scrape."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 1.0, 2.0)
_BOUNDS = (*map(floatToGoString, SECONDS), "+Inf")


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


class Gauge(Collector):
    """What is read at the scrape. read: returns values by their labels' values."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], read: Callable[[], Mapping[tuple[str, ...], float]]
    ) -> None:
        self._read = read
        self._about = (name, text, labels)

    def collect(self) -> Iterable[Metric]:
        """Return it for a scrape."""
        name, text, labels = self._about
        family = GaugeMetricFamily(name, text, labels=labels)
        for values, value in self._read().items():
            family.add_metric(values, value)
        yield family
