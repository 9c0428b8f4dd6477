"""The contract: `Idempotency-Key`: what was accepted once is answered again, and done once."""

import asyncio
import json
from typing import Any

from tests.contract.durable import (
    CHANGES,
    JSON,
    ask,
    changing,
    ends,
    has_its_database,
    keyed,
    look,
    reaches,
    reserve,
    selling,
    send,
)
from tests.contract.owners import Owners, Till
from tests.contract.test_jwts import KEYS, believing
from tests.contract.test_jwts import bearer as jwt_bearer
from tests.contract.test_problems import is_problem
from tests.harness import Answer, Bff, request
from tests.upstreams import always

RESERVE = "/api/v1/products/1001/reservations"
ROUTES: list[tuple[str, str, Any, Any]] = [
    (CHANGES, "writer", {"sku_id": "1001", "price": {"price": 8}}, {"sku_id": "1001", "price": {"price": 9}}),
    (RESERVE, "shop", {"quantity": 2}, {"quantity": 3}),
]


async def post(service: Bff, target: str, caller: str, body: Any, *keys: str) -> Answer:
    return await send(service, "POST", target, JSON, *map(keyed, keys), caller=caller, body=body)


def is_replay(answer: Answer, first: Answer) -> None:
    assert (answer.status, answer.body) == (first.status, first.body) and first.status == 202
    assert answer.headers["idempotent-replayed"] == "true"
    for name in ("location", "content-type", "cache-control"):
        assert answer.headers[name] == first.headers[name]


async def test_a_key_that_was_used_is_422_with_another_body_path_or_route() -> None:
    async with selling(Till()) as service:
        for target, caller, body, other in ROUTES:
            first = await post(service, target, caller, body, "k")
            answer = await post(service, target, caller, other, "k")
            is_problem(answer, 422, "key-reused", target)
            assert "idempotent-replayed" not in answer.headers
            is_replay(await post(service, target, caller, body, "k"), first)
        elsewhere = RESERVE.replace("1001", "1002")
        is_problem(await post(service, elsewhere, "shop", {"quantity": 2}, "k"), 422, "key-reused", elsewhere)
        both = await post(service, RESERVE, "both", {"quantity": 2}, "k")
        is_problem(await post(service, CHANGES, "both", ROUTES[0][2], "k"), 422, "key-reused", CHANGES)
        is_replay(await post(service, RESERVE, "both", {"quantity": 2}, "k"), both)
        is_replay(await post(service, RESERVE.replace("1001", "%31001"), "both", {"quantity": 2}, "k"), both)
        is_replay(await post(service, f"{RESERVE}?view=1", "both", {"quantity": 2}, "k"), both)


async def test_keys_are_apart_for_each_caller() -> None:
    async with selling(Till()) as service:
        for (target, one, body, other), two in zip(ROUTES, ("editor", "rival"), strict=True):
            first, second = await post(service, target, one, body, "k"), await post(service, target, two, other, "k")
            assert (first.status, second.status) == (202, 202)
            assert first.json["id"] != second.json["id"]
            is_replay(await post(service, target, one, body, "k"), first)
            is_replay(await post(service, target, two, other, "k"), second)


async def test_keys_of_jwts_are_apart_for_each_subject_whatever_its_token() -> None:
    body = json.dumps(ROUTES[0][2]).encode()

    async def ask_as(service: Bff, **claims: Any) -> Answer:
        headers = [JSON, keyed("k"), jwt_bearer("catalog:write", **claims)]
        return await request(service.run.public_url, "POST", CHANGES, headers, body)

    async with believing(always(KEYS)) as service:
        await has_its_database(service)
        first = await ask_as(service)
        is_replay(await ask_as(service, more="claims"), first)
        other = await ask_as(service, sub="other")
        assert (other.status, other.json["id"] == first.json["id"]) == (202, False)


THIRTY = "123456789012345678901234567890"
EQUAL: list[list[str]] = [
    ['{"sku_id":"1001","price":{"price":8,"currency":"EUR"}}',
     ' {"price" : {"currency":"EUR",\n"price":8 } ,"sku_id":\t"1001"}\r\n',
     '{"\\u0070rice":{"pric\\u0065":8,"currency":"\\u0045UR"},"sku_id":"\\u0031001"}'],
    ['{"sku_id":"1001","info":{"name":"\u00e9/\U0001f600"}}',
     '{"sku_id":"1001","info":{"name":"\\u00E9\\/\\ud83d\\uDE00"}}'],
    ['{"sku_id":"1001","stock":{"quantity":0},"priority":5,"timeout_seconds":60}',
     '{"timeout_seconds":6e1,"priority":5,"sku_id":"1001","stock":{"quantity":0}}'],
]  # fmt: skip
APART: list[tuple[str, str]] = [
    (f'{{"sku_id":"1001","price":{{"price":{THIRTY}}}}}', f'{{"sku_id":"1001","price":{{"price":{THIRTY[:-1]}1}}}}'),
    ('{"sku_id":"1","price":{"price":1e-20}}', '{"sku_id":"1","price":{"price":0.00000000000000000002}}'),
    ('{"sku_id":"1","stock":{"quantity":9007199254740991}}', '{"sku_id":"1","stock":{"quantity":9007199254740990}}'),
    ('{"sku_id":"1001","info":{"name":"a"}}', '{"sku_id":"1001","info":{"name":"a "}}'),
    ('{"sku_id":"1","info":{"name":"a","images":["a","b"]}}', '{"sku_id":"1","info":{"name":"a","images":["b","a"]}}'),
    ('{"sku_id":"1001","stock":{"quantity":1},"priority":4}', '{"sku_id":"1001","stock":{"quantity":1}}'),
    ('{"sku_id":"1001","stock":{"quantity":1},"timeout_seconds":61}', '{"sku_id":"1001","stock":{"quantity":1}}'),
    ('{"sku_id":"1001","stock":{"quantity":1}}', '{"sku_id":"1001","stock":{"quantity":1,"available":true}}'),
    ('{"sku_id":"1001","stock":{"quantity":1}}', '{"sku_id":"1002","stock":{"quantity":1}}'),
    ('{"sku_id":"1001","stock":{"quantity":1}}', '{"sku_id":"1001","stock":{"quantity":1},"info":{"name":"n"}}'),
]  # fmt: skip


async def test_bodies_that_are_equal_however_they_are_written_are_one_and_others_are_not() -> None:
    async with selling(Till()) as service:
        for number, (first, *others) in enumerate(EQUAL):
            accepted = await ask(service, first.encode(), f"equal{number}")
            assert accepted.status == 202
            for other in others:
                is_replay(await ask(service, other.encode(), f"equal{number}"), accepted)
        for number, bodies in enumerate(APART):
            statuses = [(await ask(service, body.encode(), f"apart{number}")).status for body in bodies]
            assert (statuses, bodies) == ([202, 422], bodies)
        accepted = await post(service, RESERVE, "shop", b'{"quantity":2}', "k")
        is_replay(await post(service, RESERVE, "shop", b' { "quant\\u0069ty" : 2 } \n', "k"), accepted)


async def test_of_equal_requests_at_once_one_is_accepted_and_the_others_are_told_so_or_to_wait() -> None:
    till, owners = Till(**{"1001": 100}), Owners()
    async with selling(till) as service:
        service.price.script = owners.price
        for target, caller, body, other in ROUTES:
            several = [post(service, target, caller, body if number % 10 else other, "k") for number in range(1, 101)]
            answers = await asyncio.gather(*several)
            accepted = [answer for answer in answers if answer.status == 202]
            assert {answer.status for answer in answers} <= {202, 409, 422}
            assert len({answer.body for answer in accepted}) == 1
            assert sum("idempotent-replayed" not in answer.headers for answer in accepted) == 1
            for answer in answers:
                if answer.status == 409:
                    is_problem(answer, 409, "key-in-use", target)
                if answer.status == 422:
                    is_problem(answer, 422, "key-reused", target)
            ended = {"succeeded", "confirmed"}
            await reaches(service, accepted[0].headers["location"], ended, caller)
        assert len(owners.price.effects) == 1
        assert [len(call["items"]) for call in till.calls] == [1]


async def test_what_was_refused_leaves_its_key_free() -> None:
    async with selling(Till()) as service:
        for target, caller, body, _ in ROUTES:
            wrong = [
                await post(service, target, caller, b"{", "k"), await post(service, target, caller, {}, "k"),
                await post(service, target, caller, {**body, "more": 1}, "k"),
                await send(service, "POST", target, keyed("k"), caller=caller, body=body),
                await post(service, target, caller, b" " * (1024 * 1024 + 1), "k"),
                await post(service, target, "owner", body, "k"),
            ]  # fmt: skip
            assert [answer.status for answer in wrong] == [422, 422, 422, 415, 413, 403]
            answer = await post(service, target, caller, body, "k")
            assert (answer.status, "idempotent-replayed" in answer.headers) == (202, False)


async def test_a_full_queue_leaves_the_key_free_and_does_not_keep_back_what_was_accepted() -> None:
    till, gate = Till(**{"1001": 100}), asyncio.Event()

    async def closed(seen: Any, writer: Any) -> None:
        await gate.wait()
        await till.sell(seen, writer)

    till.posts.append(closed)
    async with selling(till, reservations__max_queued="2") as service:
        accepted = [await reserve(service, 1, f"k{number}") for number in range(2)]
        full = await reserve(service, 1, "k2")
        is_problem(full, 503, "overloaded", RESERVE)
        assert int(full.headers["retry-after"]) >= 1
        is_replay(await reserve(service, 1, "k1"), accepted[1])
        is_problem(await reserve(service, 2, "k1"), 422, "key-reused", RESERVE)
        gate.set()
        for answer in accepted:
            await reaches(service, answer.headers["location"], ["confirmed"], "shop")
        other = await reserve(service, 7, "k2")  # with another body, too: nothing was accepted under it
        assert (other.status, "idempotent-replayed" in other.headers) == (202, False)


async def test_the_accepted_answer_is_given_again_as_it_was_once_the_work_has_ended() -> None:
    async with selling(Till(**{"1001": 5})) as service:
        service.price.script = Owners().price
        body = {"sku_id": "1001", "price": {"price": 8}}
        first = await ask(service, body, "k")
        assert (await ends(service, first))["state"] == "succeeded"
        again = await ask(service, body, "k")
        is_replay(again, first)
        assert again.json["state"] == "pending"
        sold = await reserve(service, 1, "k")
        await reaches(service, sold.headers["location"], ["confirmed"], "shop")
        await send(service, "DELETE", sold.headers["location"], caller="shop")
        await reaches(service, sold.headers["location"], ["released"], "shop")
        again = await reserve(service, 1, "k")
        is_replay(again, sold)
        assert again.json["state"] == "queued"


async def test_a_client_that_leaves_and_comes_again_finds_what_it_asked_for() -> None:
    owners = Owners()
    async with changing(owners) as service:
        body = {"sku_id": "1001", "price": {"price": 8}}
        for number in range(5):
            call = asyncio.ensure_future(ask(service, body, f"k{number}"))
            await asyncio.sleep(0.001 * number)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            answer = await ask(service, body, f"k{number}")
            while answer.status == 409:
                answer = await ask(service, body, f"k{number}")
            assert (await ends(service, answer))["state"] == "succeeded"
        assert len((await look(service, CHANGES))["items"]) == 5
        assert len(owners.price.effects) == 5
