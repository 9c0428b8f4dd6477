"""That the ledgers of the sample services say what was really done, and no more."""

from typing import Any

from bff.demo.ledger import Recent
from bff.demo.product import PARTS
from tests.service.test_demo_sources import NEVER_MS, running
from tests.service.test_demo_stock import FULL, deduct, item, ledger, release
from tests.service.test_demo_writes import BODIES, STOCK, of, put


async def test_the_ledger_of_a_service_that_did_nothing_is_empty() -> None:
    async with running() as sources:
        for name, source in zip(PARTS, sources, strict=True):
            await source.get(f"/{name}/1001")
            empty: dict[str, Any] = {"keys": [], "writes": [], "forgotten": 0}
            assert await ledger(source, name) == (
                empty if name != "stock" else {"skus": {}, "reservations": {}, **empty}
            )


async def test_the_ledger_says_of_each_id_what_was_answered_first_and_whether_it_is_released() -> None:
    async with running() as (_, _, stock):
        await release(stock, "early", "never")
        await deduct(stock, item("a", 2), item("b", 999), item("c", sku="none"), item("early", 3))
        await deduct(stock, item("a", 5), item("d"))
        await release(stock, "d")
        one = {"sku_id": "1001", "released": False}
        assert (await ledger(stock))["reservations"] == {
            "early": {"sku_id": "1001", "quantity": 3, "status": "released", "released": True},
            "never": {"sku_id": None, "quantity": None, "status": None, "released": True},
            "a": {**one, "quantity": 2, "status": "deducted"},
            "b": {**one, "quantity": 999, "status": "insufficient"},
            "c": {"sku_id": "none", "quantity": 1, "status": "unknown", "released": False},
            "d": {"sku_id": "1001", "quantity": 1, "status": "deducted", "released": True},
        }


async def test_the_ledger_has_every_sku_that_was_changed_and_no_other() -> None:
    async with running() as (_, _, stock):
        await deduct(stock, item("a"), item("b", 9999, "1002"), item("c", sku="none"))
        await put(stock, "/stock/G7", of("G7"))
        skus = (await ledger(stock))["skus"]
        assert skus.keys() == {"1001", "G7"}
        assert skus["1001"] == {"first": FULL, "quantity": 127, "deducted": 1}
        assert (skus["G7"]["quantity"], skus["G7"]["deducted"]) == (5, 0)


async def test_the_ledger_says_how_often_a_key_came_and_how_often_it_wrote() -> None:
    async with running() as (_, _, stock):
        for _ in range(3):
            await put(stock, "/stock/1001", STOCK, idempotency_key='"a"')
        await put(stock, "/stock/1002", of("1002"), idempotency_key='"a"')
        await put(stock, "/stock/none", of("none"), idempotency_key='"b"')
        await put(stock, "/stock/1001", STOCK, idempotency_key='"c"', if_match='"other"')
        assert (await ledger(stock))["keys"] == [
            {"key": '"a"', "sku_id": "1001", "asked": 4, "applied": 1},
            {"key": '"b"', "sku_id": "none", "asked": 1, "applied": 0},
            {"key": '"c"', "sku_id": "1001", "asked": 1, "applied": 0},
        ]


async def test_the_ledger_has_the_writes_of_each_source_in_the_order_in_which_they_were_done() -> None:
    async with running() as sources:
        for (name, body), source in zip(BODIES.items(), sources, strict=True):
            before = await source.get(f"/{name}/1001")
            await put(source, f"/{name}/1001", body, idempotency_key="a")
            await put(source, f"/{name}/1001", b"{")
            await put(source, f"/{name}/1001", before.body)
            await put(source, f"/{name}/1002", of("1002", body))
            written = await source.get(f"/{name}/_ledger")
            kept = (
                b'{"key":"a","sku_id":"1001","before":%b,"part":%b},{"key":null,"sku_id":"1001","before":%b,"part":%b}'
            )
            assert kept % (before.body, body, body, before.body) in written.body
            assert [write["sku_id"] for write in written.json["writes"]] == ["1001", "1001", "1002"]


async def test_a_ledger_is_read_whatever_the_faults() -> None:
    async with running((0, 0, NEVER_MS)) as (_, _, stock):
        for faults in ({"hang": True}, {"error_rate": 1.0}, {"garbage": True}, {"lose_answers": 1.0}):
            await stock.set(**faults)
            assert (await ledger(stock))["forgotten"] == 0


def test_what_is_kept_is_bounded_and_says_how_much_it_has_forgotten() -> None:
    kept: Recent[str, int] = Recent(2)
    for number, key in enumerate("abacd"):
        kept[key] = number
    assert (list(kept.items()), kept.forgotten) == ([("c", 3), ("d", 4)], 2)
