"""What is scraped: our plain numbers read as prometheus-client's own metrics would."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bff.cache.entry import Entry
from bff.collectors import SECONDS
from bff.metrics import Metrics
from bff.product.parts import SOURCES, Ok
from bff.resilience.observe import Attempt
from clients.bulk import Found

OK = Ok(Entry(b"{}", b"", 0, 0, 0, 0, 0), "cache")
ROUTE = "/api/v1/products/{sku_id}"
labels = st.sampled_from([("r1", "GET", 200), ("r2", "GET", 200), ("r1", "HEAD", 404), ('"\\\n', "POST", 500)])
seconds = st.sampled_from(SECONDS) | st.sampled_from([0.0, 1e-9, 2.0000001, 1e9]) | st.floats(0, 3)


def lines(exposition: bytes, name: str) -> list[str]:
    """Return the lines that speak of one metric, series in order of their text."""
    found = [line for line in exposition.decode().splitlines() if name in line]
    return [line for line in found if line.startswith("#")] + sorted(line for line in found if not line.startswith("#"))


def theirs(kind: Any, name: str, text: str, names: list[str], **more: Any) -> tuple[CollectorRegistry, Any]:
    registry = CollectorRegistry()
    return registry, kind(name, text, names, registry=registry, **more)


@given(st.lists(st.tuples(labels, seconds), max_size=40))
def test_requests_read_as_prometheus_clients_own_counter_and_histogram(
    requests: list[tuple[tuple[str, str, int], float]],
) -> None:
    metrics = Metrics()
    timings, histogram = theirs(
        Histogram, "bff_request_seconds", "From a request's arrival to its last byte.", ["route", "method"],
        buckets=SECONDS,
    )  # fmt: skip
    counts, counter = theirs(Counter, "bff_requests_total", "Public requests.", ["route", "method", "status"])
    for (route, method, status), taken in requests:
        metrics.request(route, method, status, taken)
        histogram.labels(route, method).observe(taken)
        counter.labels(route, method, str(status)).inc()
    ours = metrics.exposition()
    assert lines(ours, "bff_request_seconds") == lines(generate_latest(timings), "bff_request_seconds")
    assert lines(ours, "bff_requests_total") == lines(generate_latest(counts), "bff_requests_total")


@given(st.lists(st.tuples(st.sampled_from(SOURCES), seconds), max_size=30))
def test_attempts_read_as_prometheus_clients_own_histogram(attempts: list[tuple[Any, float]]) -> None:
    metrics = Metrics()
    timings, histogram = theirs(
        Histogram, "bff_upstream_attempt_seconds", "From a slot to the decoded body.", ["source"], buckets=SECONDS
    )
    for source, taken in attempts:
        metrics.attempt(source, Attempt(b"{}", None, taken))
        histogram.labels(source).observe(taken)
    name = "bff_upstream_attempt_seconds"
    assert lines(metrics.exposition(), name) == lines(generate_latest(timings), name)


@pytest.mark.parametrize("bound", SECONDS)
def test_a_bucket_holds_what_is_at_most_its_bound(bound: float) -> None:
    metrics = Metrics()
    metrics.request(ROUTE, "GET", 200, bound)
    families = text_string_to_metric_families(metrics.exposition().decode())
    buckets = {
        float(sample.labels["le"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "bff_request_seconds_bucket"
    }
    assert buckets == {edge: float(edge >= bound) for edge in (*SECONDS, float("inf"))}


def test_counts_are_exposed_exactly_so() -> None:
    metrics = Metrics()
    metrics.page(dict.fromkeys(SOURCES, OK))
    metrics.looked_up("price", "miss")
    assert lines(metrics.exposition(), "bff_parts_total") == [
        "# HELP bff_parts_total Parts of pages.",
        "# TYPE bff_parts_total counter",
        *(f'bff_parts_total{{reason="none",source="{name}",state="ok"}} 1.0' for name in SOURCES),
    ]
    assert lines(metrics.exposition(), "bff_cache_lookups_total")[2:] == [
        'bff_cache_lookups_total{result="miss",source="price",tier="memory"} 1.0'
    ]


def test_a_count_that_began_at_nothing_is_there_from_the_start_where_its_labels_are_known() -> None:
    ours = Metrics().exposition()
    assert lines(ours, "bff_bulk_strangers_total")[2:] == [
        f'bff_bulk_strangers_total{{source="{name}"}} 0.0' for name in SOURCES
    ]
    assert lines(ours, "bff_view_files_removed_total")[2:] == ["bff_view_files_removed_total 0.0"]
    assert len(lines(ours, "bff_view_events_total")[2:]) == 3


@given(st.lists(st.integers(0, 3), max_size=6), st.integers(0, 5))
def test_a_page_from_memory_counts_as_one_whose_three_fresh_parts_were_looked_up(
    scrapes: list[int], others: int
) -> None:
    metrics, spelt_out = Metrics(), Metrics()

    def as_other_pages(target: Metrics, pages: int) -> None:
        for _ in range(pages):
            for name in SOURCES:
                target.looked_up(name, "fresh")
            target.page(dict.fromkeys(SOURCES, OK))

    as_other_pages(metrics, others)
    as_other_pages(spelt_out, others)
    for pages in scrapes:
        for _ in range(pages):
            metrics.hot_page()
        as_other_pages(spelt_out, pages)
        for name in ("bff_parts_total", "bff_cache_lookups_total"):
            assert lines(metrics.exposition(), name) == lines(spelt_out.exposition(), name)


def test_objects_that_nobody_asked_for_are_counted_by_their_source() -> None:
    metrics = Metrics()
    metrics.attempt("price", Attempt(Found(strangers=2), None, 0.1))
    metrics.attempt("price", Attempt(Found(strangers=1), None, 0.1))
    metrics.attempt("info", Attempt(Found(), None, 0.1))
    assert lines(metrics.exposition(), "bff_bulk_strangers_total")[2:] == [
        'bff_bulk_strangers_total{source="info"} 0.0',
        'bff_bulk_strangers_total{source="price"} 3.0',
        'bff_bulk_strangers_total{source="stock"} 0.0',
    ]
    assert lines(metrics.exposition(), "bff_upstream_attempts_total")[2:] == [
        'bff_upstream_attempts_total{outcome="ok",source="info"} 1.0',
        'bff_upstream_attempts_total{outcome="ok",source="price"} 2.0',
    ]
