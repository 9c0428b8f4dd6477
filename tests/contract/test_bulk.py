"""The contract: `BULK_URL`: how a source is asked for many parts at once."""

import asyncio
import json
from typing import Any

from tests.contract.bulk import ALONE, BULK, FIRST, URL, found_together, have_missed, joined
from tests.harness import bff, request, until
from tests.upstreams import Seen, array, bulk, in_turn, part, parts, response

SKUS = [f"sku-{at}" for at in range(10)]
EVERY: dict[str, Any] = {f"{name}__bulk_url": URL for name in ("info", "price", "stock")}
POST: dict[str, Any] = {"price__bulk_method": "POST", "price__bulk_url": "/find"}


async def posted(body: Any, *skus: str, **settings: Any) -> tuple[Seen, Any]:
    """Return what a POST looked like, and price as the page has it."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(array(part("price", sku) for sku in skus or ["1001"])))

    async with bff(price=script, **{**POST, "price__bulk_body": body, **settings}) as service:
        answer = await service.page("1001")
        return service.price.seen[0], answer.json["price"]


async def test_a_lone_read_goes_through_it_with_one_sku() -> None:
    async with bff(info=bulk("info"), price=bulk("price"), stock=bulk("stock"), **EVERY) as service:
        answer = await service.page("1001")
        for up in (service.info, service.price, service.stock):
            assert [(seen.method, seen.target) for seen in up.seen] == [("GET", "/parts?skus=1001")]
    page = answer.json
    assert page["info"] == {"sku_id": "1001", "name": "Product 1001"}
    assert page["price"] == {"sku_id": "1001", "price": 9.5}
    assert page["stock"] == {"sku_id": "1001", "quantity": 3, "available": True}
    assert page["meta"]["complete"] is True


async def test_a_source_without_it_is_asked_one_by_one_beside_one_that_has_it() -> None:
    async with bff(price=bulk("price"), **BULK) as service:
        assert (await service.page("1001")).states == {"info": "ok", "price": "ok", "stock": "ok"}
        assert [service.info.seen[0].target, service.stock.seen[0].target] == ["/part/1001", "/part/1001"]


async def test_reads_that_wait_for_a_slot_become_one_call() -> None:
    async with joined(SKUS, bulk("price"), **ALONE) as together:
        answers = await together.answers()
        assert together.calls == [SKUS]
    assert {sku: answer.json["price"]["sku_id"] for sku, answer in answers.items()} == {sku: sku for sku in SKUS}
    assert {answer.headers["cache-status"].split(", ")[1] for answer in answers.values()} == {
        "bff-price; fwd=miss; fwd-status=200; stored"
    }


async def test_a_sku_that_several_pages_want_is_in_a_call_once() -> None:
    async with joined(["1001", "1002"], bulk("price"), **ALONE) as together:
        more = [asyncio.ensure_future(together.service.page("1001")) for _ in range(5)]
        await until(lambda: have_missed(together.service, 3 + len(more)))
        await together.answers()
        assert together.calls == [["1001", "1002"]]
        for page in more:
            assert (await page).states["price"] == "ok"


async def test_a_call_has_at_most_as_many_skus_as_are_set() -> None:
    async with joined(SKUS, bulk("price"), price__bulk_size="4", **ALONE) as together:
        await together.answers()
        assert sorted(map(len, together.calls), reverse=True) == [4, 4, 2]
        assert sorted(sku for call in together.calls for sku in call) == SKUS


async def test_a_size_of_one_asks_one_by_one() -> None:
    async with joined(SKUS[:3], bulk("price"), price__bulk_size="1", **ALONE) as together:
        await together.answers()
        assert sorted(together.calls) == [[sku] for sku in SKUS[:3]]


async def test_a_call_has_at_most_100_skus_where_nothing_is_set() -> None:
    skus = [f"sku-{at:03}" for at in range(130)]
    async with joined(skus, bulk("price"), **ALONE) as together:
        await together.answers()
        assert sorted(map(len, together.calls)) == [30, 100]


async def test_the_url_never_exceeds_4096_bytes() -> None:
    skus = [f"sku-{at:03}".ljust(64, "x") for at in range(100)]
    quotes = '"' * 200  # which a URL has to have encoded
    for url, least in (
        (URL, 2), ("/{skus}/parts?skus={skus}", 4), (f"/{'p' * 2000}?skus={{skus}}", 4),
        (f"/parts?q={quotes}&skus={{skus}}", 2),
    ):  # fmt: skip
        async with joined(skus, bulk("price"), price__bulk_url=url, **ALONE) as together:
            answers = await together.answers()
            assert {answer.states["price"] for answer in answers.values()} == {"ok"}
            seen = together.service.price.seen
            assert max(len(together.service.price.url + one.target) for one in seen) <= 4096
            assert len(together.calls) == least


async def test_skus_are_separated_by_commas_in_the_path_or_in_the_query() -> None:
    skus = ["A.b_c-9", "0", "x" * 64]
    for url in ("/of/{skus}/all?skus={skus}", "/all?first=1&skus={skus}&last=%2C"):
        async with joined(skus, bulk("price"), price__bulk_url=url, **ALONE) as together:
            await together.answers()
            (seen,) = (one for one in together.service.price.seen if not one.skus[0].startswith(FIRST))
        assert sorted(seen.skus) == sorted(skus)
        assert seen.target == url.replace("{skus}", ",".join(seen.skus))


async def test_a_post_has_the_skus_wherever_its_json_says_so() -> None:
    body = {"a": ["{skus}", {"b": "{skus}"}], "c": {"d": {"e": "{skus}"}}, "f": "{skus} and more", "g": '"{skus}"',
            "h": ["1", 2.50, None, True, "ü"], "i": "{sku}"}  # fmt: skip
    seen, price = await posted(body)
    assert price == {"sku_id": "1001", "price": 9.5}
    assert (seen.method, seen.target) == ("POST", "/find")
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["content-length"] == str(len(seen.body))
    assert json.loads(seen.body) == body | {"a": [["1001"], {"b": ["1001"]}], "c": {"d": {"e": ["1001"]}}}
    assert (await posted('"{skus}"'))[0].body == b'["1001"]'
    assert json.loads((await posted('{"ids": "\\u007bskus}"}'))[0].body) == {"ids": ["1001"]}


async def test_a_post_may_have_the_skus_in_its_url_too_or_there_alone() -> None:
    seen, _ = await posted({"skus": "{skus}"}, price__bulk_url="/find/{skus}?x={skus}")
    assert (seen.target, json.loads(seen.body)) == ("/find/1001?x=1001", {"skus": ["1001"]})
    seen, price = await posted({"query": "all"}, price__bulk_url="/find/{skus}")
    assert (seen.target, json.loads(seen.body), price["price"]) == ("/find/1001", {"query": "all"}, 9.5)


async def test_the_url_of_a_post_that_has_the_skus_keeps_within_4096_bytes_and_one_without_holds_any_number() -> None:
    skus = [f"sku-{at:03}".ljust(64, "x") for at in range(100)]

    async def sizes(url: str) -> list[int]:
        calls: list[list[str]] = []
        free = asyncio.Event()

        async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
            calls.append(json.loads(seen.body)["skus"])
            assert len(service.price.url + seen.target) <= 4096
            if len(calls) == 1:
                await free.wait()
            writer.write(response(array(part("price", sku) for sku in calls[-1])))

        settings = {**POST, "price__bulk_body": {"skus": "{skus}"}, "price__bulk_url": url, "price__concurrency": "1"}
        times = {"deadline_seconds": "30", "price__attempt_timeout_seconds": "30"}
        async with bff(price=script, **{**settings, **times}) as service:
            pages = [asyncio.ensure_future(service.page(sku)) for sku in skus]

            async def waiting() -> bool:
                return await service.metric("bff_cache_lookups_total", source="price", result="miss") == len(skus)

            await until(waiting)
            free.set()
            assert {(await page).states["price"] for page in pages} == {"ok"}
        assert sorted(sku for call in calls for sku in call) == skus
        return [len(call) for call in calls]

    assert max(await sizes("/find/{skus}")) < 64
    assert max(await sizes("/find")) >= 64


async def test_a_post_stays_a_read_and_is_tried_again() -> None:
    no = response("no", 503)

    async def down(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(no)

    script = in_turn(down, bulk("price"))
    async with bff(price=script, **POST, price__bulk_body={"skus": "{skus}"}) as service:
        assert (await service.page("1001")).states["price"] == "ok"
        assert [seen.method for seen in service.price.seen] == ["POST", "POST"]


async def test_skus_that_differ_in_case_are_asked_for_and_answered_apart() -> None:
    found = await found_together(["Ab", "aB", "ab"], bulk("price"), **ALONE)
    assert {sku: price["sku_id"] for sku, price in found.items()} == {"Ab": "Ab", "aB": "aB", "ab": "ab"}


async def test_one_that_was_read_in_bulk_is_kept_as_any_other() -> None:
    async with joined(SKUS, bulk("price"), price__fresh_seconds="60", **ALONE) as together:
        await together.answers()
        asked = len(together.service.price.seen)
        for sku in SKUS:
            answer = await together.service.page(sku)
            assert answer.headers["cache-status"].split(", ")[1].startswith("bff-price; hit; ttl=")
        assert len(together.service.price.seen) == asked


async def test_what_is_asked_by_head_or_viewed_is_read_in_bulk_too() -> None:
    async with bff(price=bulk("price"), **BULK) as service:
        await request(service.run.public_url, "HEAD", "/api/v1/products/1001")
        await service.get("/api/v1/products/agg/1002")
        assert [seen.skus for seen in service.price.seen] == [["1001"], ["1002"]]
        service.price.script = parts("price")
