"""The contract: `PUT` of a part: what its owner made of it is said, and what was there before is gone."""

import asyncio
import json
from typing import Any

import pytest

from tests.contract.test_events import LONG, TOKENS
from tests.contract.test_problems import is_problem
from tests.harness import Answer, Bff, bff, request, until
from tests.upstreams import Script, Seen, always, hang, part, raw, reset, response

TYPE = ("Content-Type", "application/json")
WRITER = ("Authorization", "Bearer w-secret")
BEFORE: dict[str, dict[str, Any]] = {
    "info": {"name": "Product 1001"},
    "price": {"price": 9.5},
    "stock": {"quantity": 3},
}
AFTER: dict[str, dict[str, Any]] = {
    "info": {"name": "n", "images": ["i"]},
    "price": {"price": 7.25, "currency": "EUR"},
    "stock": {"quantity": 0, "available": False},
}
FAST: dict[str, Any] = {"price__write_timeout_seconds": "0.3"}
ALLOWED: dict[str, Any] = {"auth__tokens": TOKENS, **LONG}


def path(source: str, sku: str = "1001") -> str:
    return f"/api/v1/products/{sku}/{source}"


async def put(service: Bff, source: str, body: Any, *headers: tuple[str, str], target: str | None = None) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await request(service.run.public_url, "PUT", target or path(source), headers or (TYPE, WRITER), data)


def puts(up: Any) -> list[Seen]:
    return [seen for seen in up.seen if seen.method == "PUT"]


class Owner:
    """An owner that keeps what is written to it. answers: how, where not with what is stored."""

    def __init__(self, source: str, answers: Script | None = None) -> None:
        self.stored = part(source, "1001")
        self._answers = answers

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "PUT":
            self.stored = seen.body.decode()
            if self._answers is not None:
                await self._answers(seen, writer)
                return
        writer.write(response(self.stored))


def answering_puts(script: Script, source: str = "price") -> Script:
    """Answer reads as ever, and writes by the script; nothing is stored."""
    read = part(source, "1001")

    async def both(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await (script if seen.method == "PUT" else always(read))(seen, writer)

    return both


@pytest.mark.parametrize("source", AFTER)
async def test_what_is_written_is_stored_answered_and_on_the_page_from_then_on(source: str) -> None:
    async with bff(**{source: Owner(source)}, **ALLOWED) as service:
        for _ in range(2):  # the second is rendered
            assert BEFORE[source].items() <= (await service.page("1001")).json[source].items()
        answer = await put(service, source, AFTER[source])
        stored = {"sku_id": "1001", **AFTER[source]}
        assert (answer.status, answer.json) == (200, stored)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]
        for _ in range(2):
            assert (await service.page("1001")).json[source] == stored
        (seen,) = puts(getattr(service, source))
        assert (seen.target, json.loads(seen.body)) == ("/part/1001", stored)
        others = [up for name, up in (("info", service.info), ("price", service.price), ("stock", service.stock))
                  if name != source]  # fmt: skip
        assert [len(up.seen) for up in others] == [1, 1]


async def test_digits_go_to_the_owner_and_come_back_as_they_were_written() -> None:
    body = b'{"sku_id": "1001", "price": 12.30, "original_price": 1234567890123456.789012}'
    async with bff(price=Owner("price"), **ALLOWED) as service:
        answer = await put(service, "price", body)
        assert answer.body == body.replace(b" ", b"")
        assert answer.body in (await service.page("1001")).body


async def test_an_owner_that_shows_nothing_is_taken_to_have_stored_what_was_sent() -> None:
    nothing = raw(b"HTTP/1.1 204 X\r\n\r\n", close=False)
    async with bff(price=answering_puts(nothing), **ALLOWED) as service:
        answer = await put(service, "price", {"price": 7, "currency": None})
    assert (answer.status, answer.json) == (200, {"sku_id": "1001", "price": 7})


async def test_an_owner_may_store_something_else() -> None:
    async with bff(price=answering_puts(always(part("price", "1001", price=8), 201)), **ALLOWED) as service:
        assert (await put(service, "price", {"price": 7})).json["price"] == 8


async def test_each_write_has_a_key_and_says_on_whose_behalf_and_how_long() -> None:
    async with bff(price=Owner("price"), price__headers={"X-Own": "own"}, **ALLOWED) as service:
        for request_id in ("one", "two"):
            await put(service, "price", {"price": 7}, TYPE, WRITER, ("X-Request-Id", request_id), ("Cookie", "c"))
        first, second = puts(service.price)
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
    assert first.headers["x-request-id"] == "one"
    assert first.headers["x-own"] == "own"
    assert 4000 < int(first.headers["x-request-timeout-ms"]) <= 5000
    assert first.headers["content-type"] == "application/json"
    assert not {"authorization", "cookie", "if-match"} & first.headers.keys()


async def test_what_the_owner_must_still_hold_is_the_callers_word() -> None:
    async with bff(price=Owner("price"), **ALLOWED) as service:
        await put(service, "price", {"price": 7}, TYPE, WRITER, ("If-Match", '"a"'), ("If-Match", '"b"'))
        assert puts(service.price)[0].headers["if-match"] == '"a", "b"'


DECLINED = {404: "product-unknown", 409: "conflict", 412: "conflict", 422: "body-invalid"}
FAILED = {400: "source-failed", 429: "source-failed", 202: "source-failed", 302: "source-failed", 500: "source-failed"}


@pytest.mark.parametrize(("status", "kind"), {**DECLINED, **FAILED}.items())
async def test_what_the_owner_answers_otherwise_is_said(status: int, kind: str) -> None:
    async with bff(price=answering_puts(always('{"secret": 1}', status)), **ALLOWED) as service:
        before = await service.page("1001")
        answer = await put(service, "price", {"price": 7})
        is_problem(answer, status if status in DECLINED else 502, kind, path("price"))
        assert ("errors" in answer.json) == (status == 422)
        assert "secret" not in answer.body.decode()
        assert len(puts(service.price)) == 1
        assert (await service.page("1001")).json["price"] == before.json["price"]


async def test_an_owner_that_cannot_be_reached_was_told_nothing() -> None:
    async with bff(price__write_url="http://127.0.0.1:9/secret/{sku}", **ALLOWED) as service:
        answer = await put(service, "price", {"price": 7})
        is_problem(answer, 503, "source-unavailable", path("price"))
        assert int(answer.headers["retry-after"]) >= 1
        await service.page("1001")
        await service.page("1001")
        assert len(service.price.seen) == 1  # it is kept again


@pytest.mark.parametrize("script", [hang, reset], ids=["no answer", "broken off"])
async def test_a_write_without_an_answer_is_a_504_and_readers_ask_the_source_for_a_while(script: Script) -> None:
    async with bff(price=Owner("price", script), **ALLOWED, **FAST) as service:
        await service.page("1001")
        is_problem(await put(service, "price", {"price": 7}), 504, "source-timeout", path("price"))
        assert len(puts(service.price)) == 1
        assert (await service.page("1001")).json["price"]["price"] == 7

        async def kept() -> bool:
            await service.page("1001")
            asked = len(service.price.seen)
            await service.page("1001")
            return len(service.price.seen) == asked

        await until(kept)


async def test_readers_ask_the_source_while_nobody_knows_the_outcome() -> None:
    async with bff(price=Owner("price", reset), **ALLOWED) as service:
        await put(service, "price", {"price": 7})
        for asked in (2, 3):
            await service.page("1001")
            assert len(service.price.seen) == asked


async def test_nothing_is_written_while_the_circuit_is_open() -> None:
    own: dict[str, Any] = {"price__circuit__min_attempts": "1", "price__circuit__open_seconds": "60"}
    async with bff(price=always("", 500), **ALLOWED, **own) as service:
        await service.page("1001")
        assert await service.circuit("price") == "open"
        answer = await put(service, "price", {"price": 7})
        is_problem(answer, 503, "source-unavailable", path("price"))
        assert answer.headers["retry-after"]
        assert puts(service.price) == []
        assert (await put(service, "stock", {"quantity": 7})).status == 200


async def test_a_load_that_was_under_way_brings_nothing_back() -> None:
    owner, gate = Owner("price"), asyncio.Event()

    async def gated(seen: Seen, writer: asyncio.StreamWriter) -> None:
        answer = response(owner.stored)
        if seen.method == "GET" and len(service.price.seen) < 3:
            await gate.wait()
            writer.write(answer)
        else:
            await owner(seen, writer)

    async def reads(count: int) -> bool:
        return len(service.price.seen) == count

    # One load began before the write, and one while its owner had it.
    async with bff(price=gated, deadline_seconds="5", **ALLOWED) as service:
        first = asyncio.ensure_future(service.page("1001"))
        await until(lambda: reads(1))
        second = asyncio.ensure_future(service.page("1001"))
        assert (await put(service, "price", {"price": 7})).status == 200
        assert (await service.page("1001")).json["price"]["price"] == 7
        gate.set()
        await asyncio.gather(first, second)
        assert (await service.page("1001")).json["price"]["price"] == 7


async def test_a_write_goes_on_when_its_client_leaves() -> None:
    gate = asyncio.Event()

    async def gated(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(response(seen.body))

    async with bff(price=Owner("price", gated), **ALLOWED) as service:
        await service.page("1001")
        call = asyncio.ensure_future(put(service, "price", {"price": 7}))

        async def sent() -> bool:
            return bool(puts(service.price))

        await until(sent)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        gate.set()

        async def kept() -> bool:
            assert (await service.page("1001")).json["price"]["price"] == 7
            return (await service.page("1001")).headers["cache-status"].count("hit") == 3

        await until(kept)
        assert len(puts(service.price)) == 1
