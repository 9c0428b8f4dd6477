"""What the sample sources make of a write: what is stored, what is refused, and that a key is answered once."""

import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest

from tests.harness import Answer, request
from tests.service.test_commands import FREE_PORTS, command
from tests.service.test_demo_sources import NEVER_MS, Source, addresses, ended, running, started

INFO = b'{"sku_id":"1001","name":"n","images":["i"]}'
PRICE = b'{"sku_id":"1001","price":1234567890123456.7890,"original_price":2e3,"currency":"EUR"}'
STOCK = b'{"sku_id":"1001","quantity":5,"available":false}'
BODIES = {"info": INFO, "price": PRICE, "stock": STOCK}


async def put(source: Source, target: str, body: bytes, **headers: str) -> Answer:
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await request(source.url, "PUT", target, sent, body)


def of(sku: str, body: bytes = STOCK) -> bytes:
    return body.replace(b"1001", sku.encode())


async def test_what_is_written_is_answered_and_read_singly_and_in_bulk_from_then_on() -> None:
    async with running() as sources:
        for (name, body), source in zip(BODIES.items(), sources, strict=True):
            before = await source.get(f"/{name}/1001")
            answer = await put(source, f"/{name}/1001", body)
            single = await source.get(f"/{name}/1001")
            assert (answer.status, answer.body, single.body) == (200, body, body)
            assert answer.headers["etag"] == single.headers["etag"] != before.headers["etag"]
            bulk = await source.get(f"/{name}?skus=1002,1001")
            assert bulk.body.endswith(b"," + body + b"]")


async def test_a_generated_product_is_written_like_a_listed_one() -> None:
    async with running() as (_, _, stock):
        assert (await put(stock, "/stock/G7", of("G7"))).status == 200
        assert (await stock.get("/stock/G7")).body == of("G7")


@pytest.mark.parametrize("body", [of("none"), b"{"])
async def test_a_write_to_an_unknown_sku_is_a_404_and_creates_nothing(body: bytes) -> None:
    async with running() as (_, _, stock):
        assert (await put(stock, "/stock/none", body)).status == 404
        assert (await stock.get("/stock/none")).status == 404
        assert (await stock.get("/stock?skus=none")).body == b"[]"


WRONG = {
    "info": [b"", b"[]", b'{"sku_id":"1001"}', b'{"sku_id":"1001","name":7}', b'{"sku_id":"1001","name":"\xff"}'],
    "price": [
        b'{"sku_id":"1001","price":-1}',
        b'{"sku_id":"1001","price":"1"}',
        b'{"sku_id":"1001","price":1,"original_price":[]}',
        b'{"sku_id":"1001","price":1,"currency":"eur"}',
    ],
    "stock": [
        b'{"quantity":1}',
        b'{"sku_id":"1002","quantity":1}',
        b'{"sku_id":"1001","quantity":-1}',
        b'{"sku_id":"1001","quantity":1,"more":1}',
        b"[" * 100_000,
    ],
}


async def test_what_is_not_the_part_is_refused_and_changes_nothing() -> None:
    async with running() as sources:
        for (name, bodies), source in zip(WRONG.items(), sources, strict=True):
            before = await source.get(f"/{name}/1001")
            for body in bodies:
                assert (await put(source, f"/{name}/1001", body)).status == 422, body[:50]
            assert (await source.get(f"/{name}/1001")).body == before.body


async def test_an_etag_that_is_no_longer_so_is_a_412_and_changes_nothing() -> None:
    async with running() as (_, _, stock):
        first = (await stock.get("/stock/1001")).headers["etag"]
        assert (await put(stock, "/stock/1001", STOCK, if_match=f'"other", {first}')).status == 200
        for tag in (first, "W/" + (await stock.get("/stock/1001")).headers["etag"]):
            assert (await put(stock, "/stock/1001", STOCK.replace(b"5", b"6"), if_match=tag)).status == 412
        assert (await stock.get("/stock/1001")).body == STOCK
        assert (await put(stock, "/stock/1001", STOCK, if_match="*")).status == 200


async def test_a_key_gets_its_first_answer_again_and_writes_once() -> None:
    async with running() as (_, _, stock):
        first = await put(stock, "/stock/1001", STOCK, idempotency_key='"a"')
        other = STOCK.replace(b"5", b"6")
        assert (await put(stock, "/stock/1001", other, idempotency_key='"b"')).status == 200
        again = await put(stock, "/stock/1001", STOCK, idempotency_key='"a"')
        assert (again.status, again.body) == (first.status, first.body) == (200, STOCK)
        assert (await stock.get("/stock/1001")).body == other


async def test_a_refusal_is_a_keys_answer_too() -> None:
    async with running() as (_, _, stock):
        tag = (await stock.get("/stock/1001")).headers["etag"]
        for if_match in ('"other"', tag):
            answer = await put(stock, "/stock/1001", STOCK, idempotency_key='"a"', if_match=if_match)
            assert answer.status == 412


async def test_a_key_that_comes_with_another_write_is_refused() -> None:
    async with running() as (_, _, stock):
        assert (await put(stock, "/stock/1001", STOCK, idempotency_key='"a"')).status == 200
        for sku, body in (("1001", STOCK.replace(b"5", b"6")), ("1002", of("1002"))):
            assert (await put(stock, f"/stock/{sku}", body, idempotency_key='"a"')).status == 422
        assert (await stock.get("/stock/1001")).body == STOCK


async def test_a_write_that_was_failed_on_request_did_nothing_and_its_key_is_free() -> None:
    async with running() as (_, _, stock):
        await stock.set(error_rate=1.0)
        assert (await put(stock, "/stock/1001", STOCK, idempotency_key='"a"')).status == 500
        await stock.set()
        assert (await stock.get("/stock/1001")).body != STOCK
        assert (await put(stock, "/stock/1001", STOCK, idempotency_key='"a"')).status == 200


async def test_a_write_that_is_answered_with_garbage_is_done_and_one_that_is_refused_says_so() -> None:
    async with running() as (_, _, stock):
        await stock.set(garbage=True)
        answer = await put(stock, "/stock/1001", STOCK)
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)
        assert answer.status == 200
        assert (await put(stock, "/stock/none", of("none"))).status == 404
        await stock.set()
        assert (await stock.get("/stock/1001")).body == STOCK


@pytest.mark.parametrize("faults", [{"hang": True}, {"delay_ms": NEVER_MS}], ids=["hangs", "is late"])
async def test_a_source_that_hangs_or_is_late_answers_no_write(faults: dict[str, object]) -> None:
    async with running() as (_, _, stock):
        await stock.set(**faults)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await put(stock, "/stock/1001", STOCK)
        await stock.set()
        assert (await stock.get("/stock/1001")).body != STOCK


async def test_a_client_that_leaves_during_the_delay_leaves_no_trace_in_the_log() -> None:
    process = await started("--port", "0", "--delays", "0,0,100", "--with-parent")
    _, _, stock = map(Source, (await addresses(process)).values())
    port = int(stock.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PUT /stock/1001 HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(STOCK) + STOCK)
    await writer.drain()
    writer.close()
    for _ in range(2):  # each takes the delay, so that the write's is over
        assert (await stock.get("/stock/1001")).body != STOCK
    assert await ended(process, b"") == (0, "", "")


async def test_nothing_but_one_part_is_written_and_nothing_is_deleted() -> None:
    async with running() as (_, _, stock):
        assert (await put(stock, "/stock?skus=1001", STOCK)).status == 405
        assert (await request(stock.url, "DELETE", "/stock/1001")).status == 405


async def test_the_demo_says_how_to_write_and_takes_it(tmp_path: Path) -> None:
    options = ("--sources-port", "0", "--delays", "0,0,0")
    async with command("demo", *options, data=tmp_path, **FREE_PORTS) as process:
        assert process.stdout is not None
        said = (await process.stdout.readuntil(b"Ctrl-C")).decode()
        found = re.search(r"curl -i -X PUT (.*?)\\\n(.*)", said)
        assert found is not None
        url, *sent = shlex.split(found[1] + found[2])
        base, _, target = url.partition("/api")
        headers = [(name, value) for name, _, value in (text.partition(": ") for text in sent[1:-1:2])]
        answer = await request(base, "PUT", f"/api{target}", headers, sent[-1].encode())
        assert (answer.status, answer.json["quantity"]) == (200, 7)
        page = await request(base, "GET", "/api/v1/products/1001")
        assert page.json["stock"]["quantity"] == 7
        process.terminate()
        assert await process.wait() == 0
