"""The contract holds for a page that is asked for again and again: it is never older than its parts may be."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Answer, Bff, bff, until
from tests.upstreams import always, in_turn, parts

SOURCES = ("info", "price", "stock")
PAGE = "/api/v1/products/1001"
LONG: dict[str, Any] = {f"{name}__fresh_seconds": "600" for name in SOURCES}
FIELDS: dict[str, tuple[str, Any, Any]] = {
    "info": ("name", "before", "after"),
    "price": ("price", 1, 2),
    "stock": ("quantity", 1, 2),
}


def script(source: str, *, after: bool) -> Any:
    field, before_value, after_value = FIELDS[source]
    return parts(source, **{field: after_value if after else before_value})


async def warmed(service: Bff) -> Answer:
    for _ in range(3):
        answer = await service.get(PAGE)
    return answer


def value(answer: Answer, source: str) -> Any:
    return answer.json[source][FIELDS[source][0]]


def asked(service: Bff) -> dict[str, int]:
    return {name: len(getattr(service, name).seen) for name in SOURCES}


def short(source: str, seconds: str) -> dict[str, Any]:
    """Return settings by which this source alone is soon no longer fresh, and worth nothing after that."""
    own = {"fresh": seconds, "revalidate": "0", "stale": "0"}
    return {**LONG, **{f"{source}__{name}_seconds": text for name, text in own.items()}}


@pytest.mark.parametrize("source", SOURCES)
async def test_it_is_never_served_past_a_parts_fresh_time(source: str) -> None:
    async with bff(**short(source, "0.4")) as service:
        until_ = asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < until_:
            before = datetime.now(UTC)  # noqa: TID251 - the time of day is what as_of is told in
            answer = await service.get(PAGE)
            shown = datetime.fromisoformat(answer.json["meta"]["sources"][source]["as_of"])
            assert (before - shown).total_seconds() <= 0.4 + 0.001
            assert answer.states == dict.fromkeys(SOURCES, "ok")
        counts = asked(service)
    assert counts.pop(source) > 2
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("source", SOURCES)
async def test_past_a_parts_fresh_time_its_source_is_what_decides(source: str) -> None:
    settings = {**short(source, "0.3"), f"{source}__attempts": "1", f"{source}__required": False}
    async with bff(**settings) as service:
        await warmed(service)
        getattr(service, source).script = always("no", 500)
        await asyncio.sleep(0.4)
        answer = await service.get(PAGE)
    assert (answer.states[source], answer.reasons[source]) == ("missing", "unavailable")
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


@pytest.mark.parametrize("source", SOURCES)
async def test_it_is_never_served_after_an_invalidation_of_any_one_source(source: str) -> None:
    async with bff(**{source: script(source, after=False)}, **LONG) as service:
        first = await warmed(service)
        getattr(service, source).script = script(source, after=True)
        assert value(await service.get(PAGE), source) == FIELDS[source][1]
        body = {"sku_ids": ["1001"], "sources": [source]}
        assert (await service.admin("/cache/invalidate", "POST", body)).status == 204
        for _ in range(4):
            answer = await service.get(PAGE, {"If-None-Match": first.headers["etag"]})
            assert (answer.status, value(answer, source)) == (200, FIELDS[source][2])
        assert asked(service) == dict.fromkeys(SOURCES, 1) | {source: 2}


async def test_an_invalidation_of_another_sku_changes_nothing() -> None:
    async with bff(**LONG) as service:
        first = await warmed(service)
        await service.admin("/cache/invalidate", "POST", {"sku_ids": ["1002", "100"]})
        assert (await service.get(PAGE)).body == first.body
        assert asked(service) == dict.fromkeys(SOURCES, 1)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_refresh_that_brings_a_new_value_is_served_from_then_on(source: str) -> None:
    both = in_turn(script(source, after=False), script(source, after=True))
    async with bff(**{source: both}, **short(source, "2")) as service:
        first = await warmed(service)

        async def refreshed() -> bool:
            answer = await service.get(PAGE)
            assert answer.headers["cache-status"].count("; hit; ttl=") == 3
            return bool(value(answer, source) == FIELDS[source][2])

        await until(refreshed)
        for _ in range(5):
            answer = await service.get(PAGE, {"If-None-Match": first.headers["etag"]})
            assert (answer.status, value(answer, source)) == (200, FIELDS[source][2])
        assert answer.headers["etag"] != first.headers["etag"]


async def test_a_refresh_that_finds_the_product_gone_is_served_at_once() -> None:
    for source, status in (("info", 404), ("stock", 200)):
        settings = {**short(source, "2"), f"{source}__not_found_seconds": "60"}
        async with bff(**{source: in_turn(parts(source), always("no", 404))}, **settings) as service:
            await warmed(service)
            await until(lambda service=service, source=source: gone(service, source))  # type: ignore[misc]
            assert [(await service.get(PAGE)).status for _ in range(3)] == [status] * 3


async def gone(service: Bff, source: str) -> bool:
    return (await service.get(PAGE)).reasons[source] == "not_found"


async def test_a_value_is_refreshed_ahead_however_often_its_page_is_asked_for() -> None:
    async with bff(**short("price", "2")) as service:

        async def asked_again() -> bool:
            await service.get(PAGE)
            return len(service.price.seen) >= 3

        await until(asked_again)
        assert asked(service)["info"] == 1


async def test_a_value_that_is_revalidated_is_never_called_fresh_meanwhile() -> None:
    settings = {**LONG, "price__fresh_seconds": "0.4", "price__revalidate_seconds": "60"}
    async with bff(**settings, price=in_turn(parts("price"), always("no", 500)), price__attempts="1") as service:
        await warmed(service)
        await asyncio.sleep(0.5)
        answers = [await service.get(PAGE) for _ in range(3)]
    for answer in answers:
        assert answer.states["price"] == "stale"
        assert answer.headers["cache-control"] in ("no-cache", "no-store")


async def test_pages_that_are_not_whole_are_asked_for_each_time() -> None:
    async with bff(stock=always("no", 404), stock__not_found_seconds="600", **LONG) as service:
        answers = [await service.get(PAGE) for _ in range(5)]
        assert {answer.reasons["stock"] for answer in answers} == {"not_found"}
        assert "detail=not_found" in answers[-1].headers["cache-status"]
        assert await service.metric("bff_cache_lookups_total", source="stock", result="not_found") == 4
        assert asked(service) == dict.fromkeys(SOURCES, 1)
    async with bff(stock=always("no", 403), **LONG) as service:
        answers = [await service.get(PAGE) for _ in range(3)]
        assert asked(service)["stock"] == 3
        service.stock.script = parts("stock")
        assert (await service.get(PAGE)).states["stock"] == "ok"


async def test_a_cache_without_room_for_pages_answers_them_all_the_same() -> None:
    for name, bound in (("max_bytes", "2500"), ("max_entries", "3"), ("max_entries", "1")):
        async with bff(info=parts("info", description="x" * 1000), **{**LONG, f"cache__{name}": bound}) as service:
            for at in (*range(3), *range(3), 1, 1, 1):
                answer = await service.page(f"sku-{at}")
                assert (answer.status, answer.json["info"]["sku_id"]) == (200, f"sku-{at}")
