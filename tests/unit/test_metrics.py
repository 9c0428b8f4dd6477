"""Every metric: its name, its bounded labels, and what is counted under which."""

import asyncio
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bff.cache.entry import Entry
from bff.metrics import METHODS, Metrics
from bff.product.parts import Missing, Ok, Stale
from bff.resilience.errors import AttemptTimeout, DeadlineExceeded
from bff.resilience.observe import Attempt
from clients.errors import Garbled, Postponed, Rejected, Throttled, Unavailable

ENTRY = Entry(b"{}", b"", 0, 0, 0, 0, 0)


@dataclass
class Gauge:
    state: str
    in_flight: int


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one name, by their labels' values."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in found}


def test_requests_are_counted_by_route_method_and_status() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.request("/api/v1/products/{sku_id}", "GET", 200, 0.01)
    metrics.request("unmatched", "GET", 404, 0.01)
    assert samples(metrics, "bff_requests_total") == {
        ("GET", "/api/v1/products/{sku_id}", "200"): 2,
        ("GET", "unmatched", "404"): 1,
    }
    assert samples(metrics, "bff_request_seconds_count") == {
        ("GET", "/api/v1/products/{sku_id}"): 2,
        ("GET", "unmatched"): 1,
    }


def test_methods_that_nobody_heard_of_are_one_label() -> None:
    metrics = Metrics()
    for number in range(50):
        metrics.request("unmatched", f"M{number}", 405, 0.0)
    for method in METHODS:
        metrics.request("unmatched", method, 405, 0.0)
    methods = {labels[0] for labels in samples(metrics, "bff_requests_total")}
    assert methods == METHODS | {"other"}


def test_each_part_of_a_page_is_counted_once() -> None:
    metrics = Metrics()
    metrics.page(
        {"info": Ok(ENTRY, "load"), "price": Stale(ENTRY, "timeout", "load"), "stock": Missing("circuit_open", "load")}
    )
    metrics.page({"info": Missing(None, "load")})
    assert samples(metrics, "bff_parts_total") == {
        ("none", "info", "ok"): 1,
        ("timeout", "price", "stale"): 1,
        ("circuit_open", "stock", "missing"): 1,
        ("none", "info", "missing"): 1,
    }


@pytest.mark.parametrize(
    ("attempt", "outcome"),
    [
        (Attempt(b"{}", None, 0.1), "ok"),
        (Attempt(None, None, 0.1), "not_found"),
        (Attempt(None, AttemptTimeout(), 0.1), "timeout"),
        (Attempt(None, DeadlineExceeded(), 0.1), "timeout"),
        (Attempt(None, Unavailable("x"), 0.1), "unavailable"),
        (Attempt(None, Rejected("x"), 0.1), "rejected"),
        (Attempt(None, Throttled("x"), 0.1), "rejected"),
        (Attempt(None, Postponed("x"), 0.1), "rejected"),
        (Attempt(None, Garbled("x"), 0.1), "garbled"),
        (Attempt(None, asyncio.CancelledError(), 0.1), "cancelled"),
    ],
)
def test_every_attempt_has_one_outcome(attempt: Attempt, outcome: str) -> None:
    metrics = Metrics()
    metrics.attempt("price", attempt)
    assert samples(metrics, "bff_upstream_attempts_total") == {(outcome, "price"): 1}
    assert samples(metrics, "bff_upstream_attempt_seconds_count") == {("price",): 1}


def test_a_bug_of_ours_is_no_cancellation() -> None:
    metrics = Metrics()
    metrics.attempt("price", Attempt(None, ValueError("a bug"), 0.1))
    assert samples(metrics, "bff_upstream_attempts_total") == {("unavailable", "price"): 1}  # as the page says


def test_lookups_and_views_are_counted() -> None:
    metrics = Metrics()
    metrics.looked_up("stock", "fresh")
    metrics.views("dropped", 3)
    metrics.view_file_removed()
    metrics.loop_lag(0.25)
    assert samples(metrics, "bff_cache_lookups_total") == {("fresh", "stock", "memory"): 1}
    assert samples(metrics, "bff_view_events_total") == {("written",): 0, ("dropped",): 3, ("failed",): 0}
    assert samples(metrics, "bff_view_files_removed_total") == {(): 1}
    assert samples(metrics, "bff_event_loop_lag_seconds") == {(): 0.25}


def test_states_are_read_at_the_scrape() -> None:
    metrics, gauge = Metrics(), Gauge("closed", 0)
    metrics.watch({"info": gauge})
    seen = []
    for gauge.state, gauge.in_flight in (("closed", 0), ("half_open", 1), ("open", 7)):
        seen.append((samples(metrics, "bff_circuit_state")["info",], samples(metrics, "bff_in_flight")["info",]))
    assert seen == [(0, 0), (1, 1), (2, 7)]


def test_there_are_no_series_of_creation_times() -> None:
    metrics = Metrics()
    metrics.request("/", "GET", 200, 0.0)
    assert b"_created" not in metrics.exposition()
