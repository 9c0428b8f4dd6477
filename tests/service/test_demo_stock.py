"""What the sample stock service makes of deducts and releases, alone, at once and beside writes."""

import asyncio
import json
from typing import Any

from tests.harness import Answer, request
from tests.service.test_demo_sources import Source, running
from tests.service.test_demo_writes import STOCK, put

DEDUCT = "/stock/_deduct"
RELEASE = "/stock/_release"
MOST = 2**53 - 1
FULL = 128  # what the catalogue has of 1001


async def post(source: Source, target: str, body: Any) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await request(source.url, "POST", target, body=data)


def item(reservation_id: str, quantity: Any = 1, sku: str = "1001") -> dict[str, Any]:
    return {"reservation_id": reservation_id, "sku_id": sku, "quantity": quantity}


async def deduct(stock: Source, *items: dict[str, Any]) -> list[str]:
    answer = await post(stock, DEDUCT, {"batch_id": "batch", "items": items})
    assert answer.status == 200
    results = answer.json["results"]
    assert [result["reservation_id"] for result in results] == [each["reservation_id"] for each in items]
    return [result["status"] for result in results]


async def release(stock: Source, *ids: str) -> None:
    answer = await post(stock, RELEASE, {"items": [{"reservation_id": each} for each in ids]})
    assert answer.status == 200


async def quantity(stock: Source, sku: str = "1001") -> int:
    return int((await stock.get(f"/stock/{sku}")).json["quantity"])


async def ledger(source: Source, name: str = "stock") -> Any:
    return (await source.get(f"/{name}/_ledger")).json


async def account(stock: Source, sku: str = "1001") -> tuple[int, int, int]:
    """Return what the ledger says of a SKU, which must be true: nothing is taken but by deducts and writes."""
    found = await ledger(stock)
    first, now, deducted = (found["skus"][sku][name] for name in ("first", "quantity", "deducted"))
    writes = [write for write in found["writes"] if write["sku_id"] == sku]
    written = sum(write["part"]["quantity"] - write["before"]["quantity"] for write in writes)
    live = [one for one in found["reservations"].values() if one["status"] == "deducted" and not one["released"]]
    assert now == await quantity(stock, sku) == first + written - deducted
    assert deducted == sum(one["quantity"] for one in live if one["sku_id"] == sku)
    return first, now, deducted


# deducts


async def test_what_is_deducted_is_gone_from_single_and_bulk_reads_and_their_etag() -> None:
    async with running() as (_, _, stock):
        before = await stock.get("/stock/1001")
        assert await deduct(stock, item("a", 8)) == ["deducted"]
        after = await stock.get("/stock/1001")
        assert after.body == b'{"sku_id":"1001","quantity":120}'
        assert after.headers["etag"] != before.headers["etag"]
        assert (await stock.get("/stock?skus=1001")).body == b"[" + after.body + b"]"


async def test_each_item_of_a_batch_is_answered_by_itself_and_in_order() -> None:
    async with running() as (_, _, stock):
        await release(stock, "e")
        items = [item("a", FULL - 1), item("b", 2), item("c", 1), item("d", sku="none"), item("e"), item("f", sku="_")]
        said = ["deducted", "insufficient", "deducted", "unknown", "released", "unknown"]
        assert await deduct(stock, *items) == said
        assert await account(stock) == (FULL, 0, FULL)
        assert await deduct(stock) == []


async def test_a_generated_product_is_deducted_like_a_listed_one() -> None:
    async with running() as (_, _, stock):
        there = await quantity(stock, "G0")
        assert there > 0
        assert await deduct(stock, item("a", there, "G0"), item("b", 1, "G0")) == ["deducted", "insufficient"]
        assert await account(stock, "G0") == (there, 0, there)


async def test_an_id_gets_its_first_answer_again_and_takes_stock_once() -> None:
    async with running() as (_, _, stock):
        batch = [item("a", FULL), item("b", 1), item("c", sku="none")]
        first = await deduct(stock, *batch)
        assert first == ["deducted", "insufficient", "unknown"]
        assert await deduct(stock, *batch) == first
        await put(stock, "/stock/1001", STOCK)  # five again, and none of them for these
        assert await deduct(stock, *reversed(batch)) == first[::-1]
        assert await account(stock) == (FULL, 5, FULL)


async def test_an_id_that_is_twice_in_a_batch_is_answered_twice_and_takes_stock_once() -> None:
    async with running() as (_, _, stock):
        assert await deduct(stock, item("a", 100), item("a", 100)) == ["deducted", "deducted"]
        assert await account(stock) == (FULL, 28, 100)


async def test_an_id_that_comes_with_another_item_gets_its_first_answer_too() -> None:
    async with running() as (_, _, stock):
        assert await deduct(stock, item("a", 1)) == ["deducted"]
        assert await deduct(stock, item("a", FULL), item("a", 1, "none")) == ["deducted", "deducted"]
        assert await account(stock) == (FULL, 127, 1)


async def test_of_many_at_once_as_many_are_deducted_as_there_are() -> None:
    async with running() as (_, _, stock):
        await put(stock, "/stock/1001", STOCK.replace(b"5", b"30"))
        asked = [deduct(stock, item(f"id-{number}")) for number in range(100)]
        said = [status for (status,) in await asyncio.gather(*asked)]
        assert (said.count("deducted"), said.count("insufficient")) == (30, 70)
        assert await account(stock) == (FULL, 0, 30)


async def test_the_same_batch_many_times_at_once_takes_stock_once() -> None:
    async with running() as (_, _, stock):
        batch = [item("a", 3), item("b", 4)]
        assert await asyncio.gather(*(deduct(stock, *batch) for _ in range(30))) == [["deducted", "deducted"]] * 30
        assert await account(stock) == (FULL, 121, 7)


# releases


async def test_a_release_gives_back_once_what_was_deducted() -> None:
    async with running() as (_, _, stock):
        before = await stock.get("/stock/1001")
        await deduct(stock, item("a", 8), item("b", 1))
        for ids in (["a"], ["a"], ["a", "a"]):
            await release(stock, *ids)
        assert await account(stock) == (FULL, 127, 1)
        await release(stock, "b")
        after = await stock.get("/stock/1001")
        assert (after.body, after.headers["etag"]) == (before.body, before.headers["etag"])


async def test_a_released_id_that_is_deducted_again_gets_its_first_answer_and_takes_nothing() -> None:
    async with running() as (_, _, stock):
        await deduct(stock, item("a", 8))
        await release(stock, "a")
        assert await deduct(stock, item("a", 8)) == ["deducted"]
        assert await account(stock) == (FULL, FULL, 0)
        await release(stock, "a")
        assert await account(stock) == (FULL, FULL, 0)


async def test_a_release_that_overtakes_its_deduct_makes_it_released_for_ever() -> None:
    async with running() as (_, _, stock):
        await release(stock, "a")
        assert await deduct(stock, item("a"), item("b"), item("a", sku="none")) == ["released", "deducted", "released"]
        await release(stock, "a")
        assert await deduct(stock, item("a")) == ["released"]
        assert await account(stock) == (FULL, 127, 1)


async def test_a_release_of_what_was_not_deducted_gives_nothing_back() -> None:
    async with running() as (_, _, stock):
        batch = [item("a", FULL + 1), item("b", sku="none")]
        first = await deduct(stock, *batch)
        await release(stock, "a", "b")
        assert await deduct(stock, *batch) == first == ["insufficient", "unknown"]
        assert await quantity(stock) == FULL


async def test_deducts_and_releases_of_one_id_at_once_leave_nothing_taken_in_the_end() -> None:
    async with running() as (_, _, stock):
        ids = [f"id-{number}" for number in range(20)]
        deducts = (deduct(stock, *(item(each) for each in ids)) for _ in range(5))
        releases = (release(stock, *ids) for _ in range(5))
        await asyncio.gather(*(call for both in zip(deducts, releases, strict=True) for call in both))
        assert await quantity(stock) == FULL


# beside writes


async def test_a_write_is_the_owners_word_and_what_is_released_after_it_is_added_to_it() -> None:
    async with running() as (_, _, stock):
        await deduct(stock, item("a", 8))
        await put(stock, "/stock/1001", b'{"sku_id":"1001","quantity":50}')
        await deduct(stock, item("b", 20))
        assert await account(stock) == (FULL, 30, 28)
        await release(stock, "a", "b")
        assert await account(stock) == (FULL, 58, 0)


async def test_a_deduct_makes_an_etag_that_was_read_before_it_a_412() -> None:
    async with running() as (_, _, stock):
        tag = (await stock.get("/stock/1001")).headers["etag"]
        await deduct(stock, item("a"))
        assert (await put(stock, "/stock/1001", STOCK, if_match=tag)).status == 412
        await release(stock, "a")
        assert (await put(stock, "/stock/1001", STOCK, if_match=tag)).status == 200


async def test_a_write_that_is_repeated_after_a_deduct_does_not_undo_it() -> None:
    async with running() as (_, _, stock):
        for _ in range(2):
            answer = await put(stock, "/stock/1001", STOCK, idempotency_key="k")
            assert (answer.status, answer.body) == (200, STOCK)
            await deduct(stock, item("a", 2))
        assert await account(stock) == (FULL, 3, 2)


async def test_available_goes_with_the_quantity_where_the_owner_says_it() -> None:
    async with running() as (_, _, stock):
        await put(stock, "/stock/1001", b'{"sku_id":"1001","quantity":2,"available":true}')
        seen = []
        for call in (deduct(stock, item("a")), deduct(stock, item("b")), release(stock, "a")):
            await call
            seen.append((await stock.get("/stock/1001")).json)
        assert [(part["quantity"], part["available"]) for part in seen] == [(1, True), (0, False), (1, True)]


async def test_what_is_withdrawn_stays_so_while_it_is_deducted() -> None:
    async with running() as (_, _, stock):
        await put(stock, "/stock/1001", STOCK)
        await deduct(stock, item("a"))
        assert (await stock.get("/stock/1001")).body == STOCK.replace(b"5", b"4")


async def test_what_is_given_back_makes_no_quantity_that_a_part_cannot_have() -> None:
    async with running() as (_, _, stock):
        await deduct(stock, item("a"))
        await put(stock, "/stock/1001", STOCK.replace(b"5", str(MOST).encode()))
        await release(stock, "a")
        assert await quantity(stock) == MOST
        assert await deduct(stock, item("b", MOST)) == ["deducted"]
