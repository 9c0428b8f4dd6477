"""The contract: "Headers": Cache-Control, ETag and If-None-Match, Cache-Status, Server-Timing."""

import asyncio
import re
from typing import Any

from tests.harness import Answer, bff, patient, until
from tests.upstreams import Script, after, always, by_sku, hang, parts

PAGE, AGG = "/api/v1/products/1001", "/api/v1/products/agg/1001"
LONG: dict[str, Any] = {f"{name}__fresh_seconds": "600" for name in ("info", "price", "stock")}
ONCE: dict[str, Any] = {f"{name}__attempts": "1" for name in ("info", "price", "stock")}
SHORT: dict[str, Any] = {"price__fresh_seconds": "0.1", "price__revalidate_seconds": "0", "price__stale_seconds": "60"}


def control(answer: Answer) -> str:
    return answer.headers["cache-control"]


def status(answer: Answer, source: str = "price") -> str:
    """Return a source's member of Cache-Status, checked for their order."""
    members = answer.headers["cache-status"].split(", ")
    assert [member.split("; ")[0] for member in members] == ["bff-info", "bff-price", "bff-stock"]
    return dict(member.split("; ", 1) for member in members)[f"bff-{source}"]


async def test_max_age_is_until_the_first_parts_fresh_time_ends() -> None:
    async with bff(**{**LONG, "price__fresh_seconds": "100"}) as service:
        for _ in range(2):
            match = re.fullmatch(r"public, max-age=([0-9]+)", control(await service.page("1001")))
            assert match is not None
            assert 85 <= int(match[1]) <= 99


async def test_a_remembered_404_of_what_is_not_required_counts_as_a_part() -> None:
    async with bff(price=always("no", 404), price__not_found_seconds="50", **LONG) as service:
        await service.page("1001")
        match = re.fullmatch(r"public, max-age=([0-9]+)", control(await service.page("1001")))
    assert match is not None
    assert 40 <= int(match[1]) <= 49


async def test_less_than_a_second_a_revalidating_part_and_agg_are_no_cache() -> None:
    async with bff(stock__fresh_seconds="0.9") as service:
        assert control(await service.page("1001")) == "no-cache"
    async with bff(**{**LONG, "price__fresh_seconds": "0.1", "price__revalidate_seconds": "60"}) as service:
        await service.page("1001")
        service.price.script = hang
        await asyncio.sleep(0.2)
        answer = await service.page("1001")
        assert (answer.reasons["price"], control(answer)) == ("revalidating", "no-cache")
    async with bff(**LONG) as service:
        assert control(await service.get(AGG)) == "no-cache"
        assert control(await service.get(AGG)) == "no-cache"


async def test_all_else_is_no_store() -> None:
    async with bff(stock=always("no", 500), **LONG) as service:
        for target in (PAGE, AGG):
            assert control(await service.get(target)) == "no-store"
        assert control(await service.get("/no/such")) == "no-store"
    async with bff(info=always("no", 500)) as service:
        assert control(await service.page("1001")) == "no-store"
    async with bff(**SHORT, **ONCE) as service:
        await service.page("1001")
        service.price.script = always("no", 500)
        await asyncio.sleep(0.2)
        answer = await service.page("1001")
        assert (answer.states["price"], control(answer)) == ("stale", "no-store")


async def etag(**scripts: Any) -> str | None:
    """Return the ETag of a service of its own, a pod among others."""
    async with bff(**scripts) as service:
        tags = {(await service.get(target)).headers.get("etag") for target in (PAGE, AGG, PAGE)}
    assert len(tags) == 1
    return tags.pop()


async def test_the_etag_is_weak_and_the_same_on_every_pod_and_route() -> None:
    first = await etag()
    assert first is not None
    assert re.fullmatch(r'W/"[\x21\x23-\x7e]+"', first)
    assert await etag() == first
    assert await etag(price__fresh_seconds="1", info__headers={"X-A": "b"}) == first


async def test_the_etag_changes_with_each_part() -> None:
    changed: list[dict[str, Script]] = [
        {},
        {"info": parts("info", name="other")},
        {"price": parts("price", price=9.51)},
        {"stock": parts("stock", quantity=4)},
        {"stock": parts("stock", available=False)},
        {"price": always("no", 404)},
    ]
    tags = await asyncio.gather(*(etag(**scripts) for scripts in changed))
    assert None not in tags
    assert len(set(tags)) == len(changed)


async def test_incomplete_pages_have_no_etag_and_are_never_304() -> None:
    async with bff(stock=always("no", 500)) as service:
        answer = await service.get(PAGE, {"If-None-Match": "*"})
    assert (answer.status, "etag" in answer.headers) == (200, False)


async def test_a_stale_page_that_is_complete_has_the_same_etag() -> None:
    settings: dict[str, Any] = {"price__fresh_seconds": "0.1", "price__revalidate_seconds": "60"}
    async with bff(**settings) as service:
        first = await service.page("1001")
        service.price.script = hang
        await asyncio.sleep(0.2)
        second = await service.page("1001")
        assert second.reasons["price"] == "revalidating"
        assert second.headers["etag"] == first.headers["etag"]
        assert (await service.get(PAGE, {"If-None-Match": first.headers["etag"]})).status == 304


async def test_304_carries_every_header_of_the_200_but_type_and_length() -> None:
    async with bff(**LONG) as service:
        await service.page("1001")
        for target in (PAGE, AGG):
            full = await service.get(target)
            tag = full.headers["etag"]
            for text in (tag, tag.removeprefix("W/"), f'"x", {tag}', f'W/"a,b" , {tag},"z"', "*"):
                for method in ("GET", "HEAD"):
                    answer = await service.get(target, {"If-None-Match": text}, method=method)
                    assert (answer.status, answer.body) == (304, b"")
                    assert answer.headers.keys() == full.headers.keys() - {"content-type", "content-length"}
                    for name in ("etag", "vary"):
                        assert answer.headers[name] == full.headers[name]
                    assert control(answer).split("=")[0] == control(full).split("=")[0]
            for text in ('"x"', "", "W/", tag[:-1], tag.strip('W/"'), tag.swapcase() + "x", '"*"'):
                assert (await service.get(target, {"If-None-Match": text})).status == 200, text


async def test_cache_status_of_what_was_loaded_and_of_what_is_fresh() -> None:
    async with bff(**LONG) as service:
        first, second = await service.page("1001"), await service.page("1001")
    for source in ("info", "price", "stock"):
        assert status(first, source) == "fwd=miss; fwd-status=200; stored"
        match = re.fullmatch(r"hit; ttl=([0-9]+)", status(second, source))
        assert match is not None
        assert 500 <= int(match[1]) < 600


async def test_cache_status_of_a_404_when_it_is_remembered() -> None:
    async with bff(price=always("no", 404), price__not_found_seconds="50") as service:
        first, second = await service.page("1001"), await service.page("1001")
    assert status(first) == "fwd=miss; detail=not_found"
    match = re.fullmatch(r"hit; ttl=([0-9]+); detail=not_found", status(second))
    assert match is not None
    assert 40 <= int(match[1]) < 50


async def test_cache_status_of_what_is_stale() -> None:
    async with bff(**SHORT, **ONCE) as service:
        await service.page("1001")
        service.price.script = always("no", 500)
        await asyncio.sleep(1.3)
        match = re.fullmatch(r"fwd=stale; ttl=-([0-9]+); detail=unavailable", status(await service.page("1001")))
    assert match is not None
    assert 1 <= int(match[1]) < 60


async def test_cache_status_of_what_is_missing_by_its_reason() -> None:
    scripts = {"unavailable": always("no", 500), "rejected": always("no", 403), "garbled": always("no"),
               "overloaded": always("no", 429), "timeout": hang}  # fmt: skip
    async with bff(price=by_sku(scripts, hang), **ONCE, deadline_seconds="0.4") as service:
        for reason in scripts:
            assert status(await service.page(reason)) == f"fwd=miss; detail={reason}"


async def test_cache_status_of_a_load_that_was_joined() -> None:
    async with bff(price=after(0.3, parts("price"))) as service:
        first = asyncio.ensure_future(service.page("1001"))
        await until(lambda: _true(bool(service.price.seen)))
        second = await service.page("1001")
        found = [status(await first), status(second)]
    assert found == ["fwd=miss; fwd-status=200; stored", "fwd=miss; collapsed"]


async def test_cache_status_is_on_errors_too_and_what_was_not_asked_is_bypassed() -> None:
    async with bff(info=always("no", 404), info__not_found_seconds="60", **patient()) as service:
        assert status(await service.page("1001"), "info") == "fwd=miss; detail=not_found"
        await asyncio.sleep(0.1)
        answer = await service.get("/api/v1/products/1001", {})
        assert re.fullmatch(r"hit; ttl=5[0-9]; detail=not_found", status(answer, "info"))
    soon = {f"{name}__attempt_timeout_seconds": "0.3" for name in ("price", "stock")}
    async with bff(info=always("no", 404), price=hang, stock=hang, info__not_found_seconds="60",
                   **{**ONCE, **patient(), **soon}) as service:  # fmt: skip
        await service.page("1001")
        await until(lambda: _idle(service))
        answer = await service.page("1001")
        assert [status(answer, name) for name in ("price", "stock")] == ["fwd=bypass", "fwd=bypass"]
    async with bff(info=always("no", 500), info__attempts="1", **patient()) as service:
        assert status(await service.page("1001"), "info") == "fwd=miss; detail=unavailable"


async def test_server_timing_names_the_page_and_each_part() -> None:
    number = r"[0-9]+(\.[0-9]+)?"
    whole = rf"page;dur={number}, info;dur={number}, price;dur={number}, stock;dur={number}"
    async with bff(price=after(0.2, parts("price")), info=after(0.1, parts("info"))) as service:
        first, second = await service.page("1001"), await service.page("1001")
        timing = first.headers["server-timing"]
        assert re.fullmatch(whole, timing)
        times: dict[str, Any] = {
            name: float(text.removeprefix("dur=")) for name, text in (x.split(";") for x in timing.split(", "))
        }
        assert times["page"] >= times["price"] > times["info"] > times["stock"]
        assert times["price"] >= 199
        assert re.fullmatch(rf"page;dur={number}|{whole}", second.headers["server-timing"])
    async with bff(info=always("no", 500)) as service:
        assert re.fullmatch(whole, (await service.page("1001")).headers["server-timing"])


async def _true(found: bool) -> bool:  # noqa: FBT001 - what `until` looks at
    return found


async def _idle(service: Any) -> bool:
    sources = (await service.admin("/sources")).json
    return all(source["in_flight"] == 0 for source in sources.values())
