"""The contract: every metric, its labels and their values."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

from tests.harness import Bff, bff, until
from tests.upstreams import always, by_sku, hang, parts, reset

PAGE, AGG = "/api/v1/products/{sku_id}", "/api/v1/products/agg/{sku_id}"
ONCE: dict[str, Any] = {f"{name}__attempts": "1" for name in ("info", "price", "stock")}
LENIENT: dict[str, Any] = {f"{name}__circuit__min_attempts": "100000" for name in ("info", "price", "stock")}
OUTCOMES: dict[str, Any] = {
    "ok": parts("price"),
    "not_found": always("no", 404),
    "timeout": hang,
    "unavailable": reset,
    "rejected": always("no", 403),
    "garbled": always("no"),
}


async def series(service: Bff) -> list[tuple[str, dict[str, str], float]]:
    text = (await service.admin("/metrics")).body.decode()
    return list(_parsed(text))


def _parsed(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        if match := re.fullmatch(r"(bff_[a-z_]+)(?:\{(.*)\})? (\S+)", line):
            yield match[1], dict(re.findall(r'([a-z_]+)="([^"]*)"', match[2] or "")), float(match[3])


async def counted(service: Bff, name: str, label: str) -> dict[str, float]:
    """Return a metric of price by one label's values, 0 left out."""
    found = await series(service)
    return {
        labels[label]: value
        for metric, labels, value in found
        if metric == name and labels.get("source") == "price" and value
    }


async def test_every_metric_has_its_labels_and_no_others() -> None:
    expected = {
        "bff_requests_total": {"route", "method", "status"},
        "bff_request_seconds_count": {"route", "method"},
        "bff_parts_total": {"source", "state", "reason"},
        "bff_upstream_attempts_total": {"source", "outcome"},
        "bff_upstream_attempt_seconds_count": {"source"},
        "bff_cache_lookups_total": {"source", "tier", "result"},
        "bff_circuit_state": {"source"},
        "bff_in_flight": {"source"},
        "bff_view_events_total": {"outcome"},
        "bff_event_loop_lag_seconds": set(),
    }
    async with bff() as service:
        await service.page("1001")
        found = await series(service)
    assert {name: set(labels) for name, labels, _ in found if name in expected} == expected
    sources = {labels["source"] for _, labels, _ in found if "source" in labels}
    assert sources == {"info", "price", "stock"}
    assert {labels["outcome"] for name, labels, _ in found if name == "bff_view_events_total"} == {
        "written", "dropped", "failed",
    }  # fmt: skip


async def test_public_requests_are_counted_by_template_method_and_status() -> None:
    async with bff(info=by_sku({"gone": always("no", 404), "down": always("no", 403)}, parts("info"))) as service:
        for method, target in (
            ("GET", "/api/v1/products/1001"), ("GET", "/api/v1/products/1002"), ("HEAD", "/api/v1/products/1001"),
            ("GET", "/api/v1/products/agg/1001"), ("GET", "/api/v1/products/gone"), ("GET", "/api/v1/products/down"),
            ("GET", "/api/v1/products/-"), ("GET", "/no/such/1"), ("GET", "/no/such/2"), ("GET", "/a%2Fb"),
            ("POST", "/api/v1/products/1001"), ("PURGE", "/api/v1/products/1001"), ("LOCK", "/x"),
            ("GET", "/openapi.json"),
        ):  # fmt: skip
            await service.get(target, method=method)
        await service.admin("/livez")
        found = {
            (labels["route"], labels["method"], labels["status"]): value
            for name, labels, value in await series(service)
            if name == "bff_requests_total"
        }
        seconds = {
            (labels["route"], labels["method"])
            for name, labels, _ in await series(service)
            if name == "bff_request_seconds_count"
        }
    assert found == {
        (PAGE, "GET", "200"): 2, (PAGE, "HEAD", "200"): 1, (AGG, "GET", "200"): 1, (PAGE, "GET", "404"): 1,
        (PAGE, "GET", "502"): 1, (PAGE, "GET", "422"): 1, ("unmatched", "GET", "404"): 3, (PAGE, "POST", "405"): 1,
        (PAGE, "other", "405"): 1, ("unmatched", "other", "404"): 1, ("/openapi.json", "GET", "200"): 1,
    }  # fmt: skip
    assert seconds == {(route, method) for route, method, _ in found}


async def test_parts_are_counted_once_a_part_and_page() -> None:
    async with bff(price=by_sku(dict(OUTCOMES), hang), **ONCE, **LENIENT, deadline_seconds="0.4") as service:
        for sku in OUTCOMES:
            await service.page(sku)
        await service.page("ok")
        found = {
            (labels["state"], labels["reason"]): value
            for name, labels, value in await series(service)
            if name == "bff_parts_total" and labels["source"] == "price"
        }
    assert found == {("ok", "none"): 2} | {("missing", reason): 1 for reason in list(OUTCOMES)[1:]}


async def test_attempts_are_counted_by_outcome() -> None:
    async with bff(price=by_sku(dict(OUTCOMES), hang), **ONCE, **LENIENT, deadline_seconds="0.4") as service:
        for sku in OUTCOMES:
            await service.page(sku)
        left = asyncio.ensure_future(service.page("left"))
        await until(lambda: _asked(service, "left"))
        left.cancel()
        await until(lambda: _counted_cancelled(service))
        assert await counted(service, "bff_upstream_attempts_total", "outcome") == dict.fromkeys(
            [*OUTCOMES, "cancelled"], 1
        )
        assert await service.metric("bff_upstream_attempt_seconds_count", source="price") == len(OUTCOMES) + 1


async def test_retries_are_attempts_of_their_own() -> None:
    async with bff(price=always("no", 503), price__attempts="3", **LENIENT) as service:
        await service.page("1001")
        assert await counted(service, "bff_upstream_attempts_total", "outcome") == {"unavailable": 3}


async def test_a_429_is_a_rejected_attempt() -> None:
    async with bff(price=always("no", 429), **ONCE) as service:
        await service.page("1001")
        assert await counted(service, "bff_upstream_attempts_total", "outcome") == {"rejected": 1}


async def test_lookups_are_counted_by_result() -> None:
    settings: dict[str, Any] = {
        "price__fresh_seconds": "0.3",
        "price__revalidate_seconds": "60",
        "price__not_found_seconds": "60",
    }
    script = by_sku({"gone": always("no", 404)}, parts("price"))
    async with bff(price=script, **settings) as service:
        await service.page("1001")
        await service.page("1001")
        await service.page("gone")
        await service.page("gone")
        assert await counted(service, "bff_cache_lookups_total", "result") == {"miss": 2, "fresh": 1, "not_found": 1}
        service.price.script = hang
        await asyncio.sleep(0.5)
        await service.page("1001")
        found = await counted(service, "bff_cache_lookups_total", "result")
        assert found == {"miss": 2, "fresh": 1, "not_found": 1, "stale": 1}


async def test_no_name_of_a_client_becomes_a_label() -> None:
    async with bff() as service:
        for at in range(5):
            await service.get(f"/api/v1/products/secret-{at}")
            await service.get(f"/secret/{at}")
            await service.get("/api/v1/products/1001", method=f"SECRET{at}")
        assert b"secret" not in (await service.admin("/metrics")).body.lower()


async def _asked(service: Bff, sku: str) -> bool:
    return any(seen.sku == sku for seen in service.price.seen)


async def _counted_cancelled(service: Bff) -> bool:
    return await service.metric("bff_upstream_attempts_total", source="price", outcome="cancelled") == 1
