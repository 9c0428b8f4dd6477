"""What the sample stock service refuses, how it fails on request, and how a service is put in front of it."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bff.demo import screen
from bff.demo.launch import environment
from bff.demo.product import PARTS
from bff.demo.reservations import MAX_ITEMS
from bff.demo.source import MAX_BODY_BYTES
from tests.harness import request, until
from tests.service.test_demo_sources import NEVER_MS, WELL, Source, addresses, ended, running, started
from tests.service.test_demo_stock import DEDUCT, FULL, RELEASE, account, deduct, item, ledger, post, quantity
from tests.service.test_demo_writes import STOCK, put

# bodies


WRONG_DEDUCTS: dict[str, Any] = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"batch_id":"\xff","items":[]}',
    "deep": b"[" * 100_000,
    "an array": [],
    "no batch": {"items": []},
    "no items": {"batch_id": "b"},
    "items that are none": {"batch_id": "b", "items": {}},
    "more than is known": {"batch_id": "b", "items": [], "more": 1},
    "an item that is none": {"batch_id": "b", "items": ["a"]},
    "an empty id": {"batch_id": "b", "items": [item("")]},
    "an id that is too long": {"batch_id": "b", "items": [item("a" * 256)]},
    "an id that is no text": {"batch_id": "b", "items": [item("a\n")]},
    "an id that is a lone surrogate": {"batch_id": "b", "items": [item("\ud800")]},
    "an item of more": {"batch_id": "b", "items": [{**item("a"), "more": 1}]},
    "an item without a SKU": {"batch_id": "b", "items": [{"reservation_id": "a", "quantity": 1}]},
    **{
        f"{number} pieces": {"batch_id": "b", "items": [item("a", number)]} for number in (0, -1, 1.5, "1", True, 2**53)
    },
    "too many": {"batch_id": "b", "items": [item(f"{number}") for number in range(MAX_ITEMS + 1)]},
}


WRONG_RELEASES: dict[str, Any] = {
    "nothing": b"",
    "an array": [],
    "no items": {},
    "an item that is none": {"items": ["a"]},
    "an empty id": {"items": [{"reservation_id": ""}]},
    "an item of more": {"items": [{"reservation_id": "a", "sku_id": "1001"}]},
    "a batch": {"batch_id": "b", "items": [{"reservation_id": "a"}]},
    "too many": {"items": [{"reservation_id": f"{number}"} for number in range(MAX_ITEMS + 1)]},
}


@pytest.mark.parametrize(
    ("target", "bodies", "good"),
    [(DEDUCT, WRONG_DEDUCTS, item("good")), (RELEASE, WRONG_RELEASES, {"reservation_id": "good"})],
    ids=["deducts", "releases"],
)
async def test_what_is_no_batch_is_refused_with_all_that_is_good_in_it(
    target: str, bodies: dict[str, Any], good: dict[str, Any]
) -> None:
    async with running() as (_, _, stock):
        for name, body in bodies.items():
            if isinstance(body, dict) and isinstance(body.get("items"), list):
                body = {**body, "items": [good, *body["items"]]}
            assert (await post(stock, target, body)).status == 422, name
        assert await quantity(stock) == FULL
        assert (await ledger(stock))["reservations"] == {}


async def test_a_batch_as_large_as_it_may_be_is_answered() -> None:
    async with running() as (_, _, stock):
        said = await deduct(stock, *(item(f"{number:0100}") for number in range(MAX_ITEMS)))
        assert said.count("deducted") == FULL


@pytest.mark.parametrize("target", [DEDUCT, RELEASE, "/stock/1001"])
async def test_a_body_that_is_too_large_is_a_413_and_does_nothing(target: str) -> None:
    async with running() as (_, _, stock):
        body = b" " * MAX_BODY_BYTES + STOCK
        method = "PUT" if target == "/stock/1001" else "POST"
        assert (await request(stock.url, method, target, body=body)).status == 413
        assert await quantity(stock) == FULL


async def test_only_the_stock_service_deducts_and_only_by_post() -> None:
    async with running() as (info, price, stock):
        for name, source in (("info", info), ("price", price)):
            for call in ("_deduct", "_release"):
                assert (await post(source, f"/{name}/{call}", b"{}")).status == 405
                assert (await post(source, f"/stock/{call}", b"{}")).status == 404
        assert [(await stock.get(path)).status for path in (DEDUCT, RELEASE)] == [404, 404]
        assert [(await put(stock, path, STOCK)).status for path in (DEDUCT, RELEASE)] == [404, 404]


# faults


async def test_a_call_that_was_failed_on_request_did_nothing() -> None:
    async with running() as (_, _, stock):
        await deduct(stock, item("a", 8))
        await stock.set(error_rate=1.0)
        assert (await post(stock, DEDUCT, {"batch_id": "b", "items": [item("b")]})).status == 500
        assert (await post(stock, RELEASE, {"items": [{"reservation_id": "a"}]})).status == 500
        await stock.set()
        assert await account(stock) == (FULL, 120, 8)
        assert "b" not in (await ledger(stock))["reservations"]


async def test_a_call_that_is_answered_with_garbage_is_done_and_one_that_is_refused_says_so() -> None:
    async with running() as (_, _, stock):
        await stock.set(garbage=True)
        calls = ((DEDUCT, {"batch_id": "b", "items": [item("a", 8)]}), (RELEASE, {"items": [{"reservation_id": "b"}]}))
        for target, body in calls:
            answer = await post(stock, target, body)
            with pytest.raises(json.JSONDecodeError):
                json.loads(answer.body)
            assert answer.status == 200
            assert (await post(stock, target, b"{")).status == 422
        await stock.set()
        assert await deduct(stock, item("a", 8), item("b")) == ["deducted", "released"]
        assert await account(stock) == (FULL, 120, 8)


@pytest.mark.parametrize("faults", [{"hang": True}, {"delay_ms": NEVER_MS}], ids=["hangs", "is late"])
async def test_a_service_that_hangs_or_is_late_answers_no_call_and_does_nothing_for_who_left(
    faults: dict[str, Any],
) -> None:
    async with running() as (_, _, stock):
        await stock.set(**faults)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await deduct(stock, item("a"))
        await stock.set()
        assert await quantity(stock) == FULL


async def exchanged(source: Source, method: str, target: str, body: bytes) -> bytes:
    """Send a request and return all that comes before the connection is closed."""
    host, _, port = source.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        head = f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        return await reader.read()
    finally:
        writer.close()


async def test_what_is_done_and_whose_answer_is_lost_gets_no_byte_and_is_answered_when_asked_again() -> None:
    async with running() as (_, _, stock):
        await stock.set(lose_answers=1.0)
        batch = json.dumps({"batch_id": "b", "items": [item("a", 2), item("b", 1)]}).encode()
        ids = json.dumps({"items": [{"reservation_id": "b"}]}).encode()
        for method, target, body in (("PUT", "/stock/1001", STOCK), ("POST", DEDUCT, batch), ("POST", RELEASE, ids)):
            assert await exchanged(stock, method, target, body) == b""
        assert (await stock.get("/stock/1001")).body == STOCK.replace(b"5", b"3")
        await stock.set()
        assert await deduct(stock, item("a", 2), item("b", 1)) == ["deducted", "deducted"]
        assert await account(stock) == (FULL, 3, 2)


async def test_answers_are_lost_at_the_rate_that_was_set() -> None:
    async with running() as (_, _, stock):
        rounds = []
        for _ in range(2):
            await stock.set(lose_answers=0.5)
            rounds.append([await exchanged(stock, "PUT", "/stock/1001", STOCK) == b"" for _ in range(40)])
            await stock.set(lose_answers=0.0)
            assert (await put(stock, "/stock/1001", STOCK)).status == 200
    assert rounds[0] == rounds[1]
    assert 10 < sum(rounds[0]) < 30


@pytest.mark.parametrize("rate", ["1.1", "-0.1", "null", "true", '"1"'])
async def test_a_rate_of_lost_answers_is_a_share(rate: str) -> None:
    async with running() as (_, _, stock):
        answer = await request(stock.url, "PUT", "/_faults", body=b'{"lose_answers": %b}' % rate.encode())
        assert answer.status == 422
        assert (await stock.get("/_faults")).json == WELL


async def test_no_trace_in_the_log_is_left_by_lost_answers_whoever_closes_first() -> None:
    process = await started("--port", "0", "--delays", "0,0,100", "--with-parent")
    _, _, stock = map(Source, (await addresses(process)).values())
    await stock.set(lose_answers=1.0)
    host, _, port = stock.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}" % DEDUCT.encode())
    await writer.drain()
    writer.close()
    assert await exchanged(stock, "PUT", "/stock/1001", STOCK) == b""

    async def is_written() -> bool:
        return bool((await ledger(stock))["writes"])

    await until(is_written)
    assert await ended(process, b"") == (0, "", "")


# what a service in front of it is told


def test_a_service_in_front_is_told_where_everything_is() -> None:
    assert environment({name: f"http://{name}" for name in PARTS}) == {
        "BFF_INFO__URL": "http://info/info/{sku}",
        "BFF_PRICE__URL": "http://price/price/{sku}",
        "BFF_STOCK__URL": "http://stock/stock/{sku}",
        "BFF_STOCK__DEDUCT_URL": f"http://stock{DEDUCT}",
        "BFF_STOCK__RELEASE_URL": f"http://stock{RELEASE}",
    }


@pytest.mark.parametrize("token", ["the-token", None])
def test_the_demo_says_how_to_change_and_to_book_where_there_is_a_token(token: str | None) -> None:
    urls = {name: f"http://{name}" for name in PARTS}
    said = screen.text(
        "http://public",
        "http://admin",
        urls,
        (1, 2, 3),
        sku="TEA-1",
        sample=False,
        views=Path("here/views"),
        token=token,
    )
    calls = re.findall(r"curl -i (\S+/(?:changes|reservations)) ((?:.*\\\n)*.*)", said)
    expected = ["http://public/api/v1/changes", "http://public/api/v1/products/TEA-1/reservations"] if token else []
    assert [url for url, _ in calls] == expected
    assert "see here/views" in said
    assert "1001" not in said
    for _, rest in calls:
        assert "Bearer the-token" in rest
        assert "Idempotency-Key: " in rest
        body = re.search(r"-d '(.*)'", rest)
        assert body is not None
        assert json.loads(body[1])
