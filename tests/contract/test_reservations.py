"""The contract: reservations, from their acceptance to a sale, a refusal or their way back."""

import asyncio
import json
import re
from typing import Any

from tests.contract.durable import GENEROUS_SECONDS, RESERVATIONS, gated, holds, look, reaches, reserve, selling, send
from tests.contract.owners import Till
from tests.contract.test_problems import is_problem
from tests.harness import Answer, Bff, until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
VIEW = {"id", "sku_id", "quantity", "state", "reason", "created_at", "updated_at"}


async def becomes(service: Bff, answer: Answer, *states: str, caller: str = "shop") -> Any:
    assert answer.status == 202, answer
    return await reaches(service, answer.headers["location"], states, caller)


async def give_back(service: Bff, answer: Answer) -> Answer:
    return await send(service, "DELETE", answer.headers["location"], caller="shop")


async def test_what_is_accepted_is_shown_at_once_and_as_it_goes_on() -> None:
    till, gate = Till(**{"1001": 5}), asyncio.Event()
    till.posts.append(gated(gate, till.sell))
    async with selling(till) as service:
        answer = await reserve(service, 2, "k")
        accepted = answer.json
        assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
        assert answer.headers["location"] == f"{RESERVATIONS}/{accepted['id']}"
        assert answer.headers["cache-control"] == "no-store"
        assert accepted.keys() == VIEW
        assert (accepted["sku_id"], accepted["quantity"]) == ("1001", 2)
        assert (accepted["state"], accepted["reason"]) == ("queued", None)
        assert TIME.fullmatch(accepted["created_at"]) and accepted["created_at"] == accepted["updated_at"]
        await holds(lambda: [seen for seen in service.stock.seen if seen.method == "POST"])
        assert await look(service, answer.headers["location"], "shop") == accepted
        gate.set()
        sold = await becomes(service, answer, "confirmed")
        assert {**sold, "updated_at": 0} == {**accepted, "state": "confirmed", "updated_at": 0}
        assert TIME.fullmatch(sold["updated_at"]) and sold["updated_at"] >= sold["created_at"]
        head = await send(service, "HEAD", answer.headers["location"], caller="shop")
        assert (head.status, head.body, head.headers["cache-control"]) == (200, b"", "no-store")
        assert till.left == {"1001": 3}


async def test_the_stock_service_is_asked_as_the_contract_has_it() -> None:
    till = Till(**{"1001": 5})
    async with selling(till, stock__headers={"X-Own": "own"}) as service:
        answer = await reserve(service, 2, "theirs")
        await becomes(service, answer, "confirmed")
        await give_back(service, answer)
        await becomes(service, answer, "released")
        deduct, release = [seen for seen in service.stock.seen if seen.method == "POST"]
        assert deduct.target == "/deduct"
        body = json.loads(deduct.body)
        assert body.keys() == {"batch_id", "items"} and body["batch_id"]
        assert body["items"] == [{"reservation_id": answer.json["id"], "sku_id": "1001", "quantity": 2}]
        assert release.target == "/release"
        assert json.loads(release.body) == {"items": [{"reservation_id": answer.json["id"]}]}
        for seen in (deduct, release):
            assert (seen.headers["content-type"], seen.headers["x-own"]) == ("application/json", "own")
            assert 1 <= int(seen.headers["x-request-timeout-ms"]) <= GENEROUS_SECONDS * 1000
            assert not {"authorization", "cookie"} & seen.headers.keys()
            assert "theirs" not in str(seen.headers)


async def test_the_bounds_of_a_quantity_are_taken() -> None:
    till = Till(**{"1001": 1_000_001})
    async with selling(till) as service:
        for number, quantity in enumerate((1, 1_000_000)):
            await becomes(service, await reserve(service, quantity, f"k{number}"), "confirmed")
        assert till.left == {"1001": 0}


async def test_what_the_stock_service_says_of_each_is_what_becomes_of_it() -> None:
    till = Till(**{"1001": 5, "1002": 1})
    async with selling(till) as service:
        wanted = [
            ("1001", 3, "confirmed", None), ("1001", 3, "rejected", "insufficient"),
            ("1001", 2, "confirmed", None), ("1002", 2, "rejected", "insufficient"),
            ("none", 1, "rejected", "unknown_sku"),
        ]  # fmt: skip
        answers = [await reserve(service, quantity, f"k{n}", sku=sku) for n, (sku, quantity, _, _) in enumerate(wanted)]
        for answer, (_, _, state, reason) in zip(answers, wanted, strict=True):
            found = await becomes(service, answer, "confirmed", "rejected")
            assert (found["state"], found["reason"]) == (state, reason)
        assert till.left == {"1001": 0, "1002": 1}
        for state, reason, count in (
            ("confirmed", "none", 2),
            ("rejected", "insufficient", 2),
            ("rejected", "unknown_sku", 1),
        ):
            assert await service.metric("bff_reservations_total", state=state, reason=reason) == count
        for answer, (_, _, state, _) in zip(answers, wanted, strict=True):
            if state == "rejected":
                location = answer.headers["location"]
                is_problem(await give_back(service, answer), 409, "conflict", location)


async def test_what_is_sold_is_on_the_page_once_it_is_confirmed_and_so_is_what_came_back() -> None:
    till = Till(**{"1001": 5, "1002": 5})
    async with selling(till) as service:
        for sku in ("1001", "1002"):
            for _ in range(2):
                assert (await service.page(sku)).json["stock"]["quantity"] == 5
        answer = await reserve(service, 2, "k")
        await becomes(service, answer, "confirmed")
        asked = len(service.stock.seen)
        for _ in range(2):
            assert (await service.page("1001")).json["stock"]["quantity"] == 3
        assert (await service.page("1002")).headers["cache-status"].count("hit") == 3  # another one is kept
        assert len(service.stock.seen) == asked + 1
        assert [len(up.seen) for up in (service.info, service.price)] == [2, 2]
        await give_back(service, answer)
        await becomes(service, answer, "released")
        assert (await service.page("1001")).json["stock"]["quantity"] == 5


async def test_a_confirmed_one_may_be_given_back_once_and_as_often_as_one_likes() -> None:
    till, gate = Till(**{"1001": 5}), asyncio.Event()
    async with selling(till) as service:
        answer = await reserve(service, 2, "k")
        confirmed = await becomes(service, answer, "confirmed")
        till.posts.append(gated(gate, till.sell))
        for _ in range(2):
            given = await give_back(service, answer)
            assert (given.status, given.headers["cache-control"]) == (202, "no-store")
            assert given.json == confirmed
        gate.set()
        released = await becomes(service, answer, "released")
        assert {**released, "updated_at": 0} == {**confirmed, "state": "released", "reason": None, "updated_at": 0}
        given = await give_back(service, answer)
        assert (given.status, given.json) == (202, released)
        assert till.left == {"1001": 5}
        assert till.releases == [answer.json["id"]]
        assert await service.metric("bff_reservations_total", state="released", reason="none") == 1


async def test_a_queued_one_is_given_back_without_ever_being_sold() -> None:
    till, gate = Till(**{"1001": 5}), asyncio.Event()
    till.posts.append(gated(gate, till.sell))
    async with selling(till) as service:
        first = await reserve(service, 1, "a")
        await holds(lambda: [seen for seen in service.stock.seen if seen.method == "POST"])
        second = await reserve(service, 1, "b")  # waits for the first batch of its SKU
        given = await give_back(service, second)
        assert (given.status, given.json["state"]) == (202, "queued")
        assert (await becomes(service, second, "released"))["reason"] is None
        assert till.releases == [second.json["id"]]
        assert till.calls == []
        gate.set()
        await becomes(service, first, "confirmed")
        assert [item["reservation_id"] for call in till.calls for item in call["items"]] == [first.json["id"]]
        assert till.left == {"1001": 4}


async def test_a_release_that_overtakes_its_deduction_loses_no_stock() -> None:
    till, gate = Till(**{"1001": 5}), asyncio.Event()
    till.posts.append(gated(gate, till.sell))
    async with selling(till) as service:
        answer = await reserve(service, 2, "k")
        await holds(lambda: [seen for seen in service.stock.seen if seen.method == "POST"])
        assert (await give_back(service, answer)).status == 202
        assert (await becomes(service, answer, "released"))["reason"] is None
        gate.set()
        await becomes(service, await reserve(service, 1, "l"), "confirmed")
        assert till.first[answer.json["id"]] == "released"
        assert till.left == {"1001": 4}
        assert (await look(service, answer.headers["location"], "shop"))["state"] == "released"


async def test_what_comes_meanwhile_is_merged_into_one_call_for_its_product() -> None:
    till, gate = Till(**{"1001": 100, "1002": 100}), asyncio.Event()
    till.posts.extend([gated(gate, till.sell)] * 2)
    async with selling(till) as service:
        first = [await reserve(service, 1, f"first{sku}", sku=sku) for sku in till.left]
        await holds(lambda: len([seen for seen in service.stock.seen if seen.method == "POST"]) == 2)
        several = [reserve(service, 1, f"k{n}", sku=("1001", "1002")[n % 2]) for n in range(40)]
        answers = await asyncio.gather(*several)
        gate.set()
        for answer in (*first, *answers):
            await becomes(service, answer, "confirmed")
        assert till.left == {"1001": 79, "1002": 79}
        assert sorted(len(call["items"]) for call in till.calls) == [1, 1, 20, 20]
        for call in till.calls:
            assert len({item["sku_id"] for item in call["items"]}) == 1
        for sku in till.left:
            ids = [item["reservation_id"] for call in till.calls for item in call["items"] if item["sku_id"] == sku]
            assert ids == sorted(ids)  # the oldest first


async def test_how_many_wait_and_for_how_long_is_shown_and_requests_are_counted_by_their_routes() -> None:
    till, gate = Till(**{"1001": 5}), asyncio.Event()
    till.posts.append(gated(gate, till.sell))
    async with selling(till) as service:
        answers = [await reserve(service, 1, f"k{number}") for number in range(3)]

        async def three_are_shown() -> bool:
            depth = await service.metric("bff_durable_queue", kind="reservation")
            age = await service.metric("bff_durable_oldest_seconds", kind="reservation")
            return depth == 3 and age > 0 and (await service.admin("/durable")).json["queued"] == 3

        await until(three_are_shown, GENEROUS_SECONDS)
        gate.set()
        for answer in answers:
            await becomes(service, answer, "confirmed")

        async def none_is_shown() -> bool:
            return await service.metric("bff_durable_queue", kind="reservation") == 0

        await until(none_is_shown, GENEROUS_SECONDS)
        route = {"route": "/api/v1/products/{sku_id}/reservations", "method": "POST", "status": "202"}
        assert await service.metric("bff_requests_total", **route) == 3
        assert await service.metric("bff_requests_total", route=f"{RESERVATIONS}/{{id}}", status="200") > 0
