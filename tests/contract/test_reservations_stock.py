"""The contract: reservations over a stock service that fails, and those that wait: for how long, how many, how fast."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.contract.durable import gated, holds, look, reserve, selling
from tests.contract.owners import Till
from tests.contract.test_problems import is_problem
from tests.contract.test_reservations import becomes, give_back
from tests.harness import Bff
from tests.upstreams import Script, Seen, always, hang, raw, reset, response

SHORT: dict[str, Any] = {"stock__write_timeout_seconds": "0.5"}


def posts(service: Bff, target: str) -> list[Seen]:
    return [seen for seen in service.stock.seen if (seen.method, seen.target) == ("POST", target)]


def telling(till: Till, told: Any) -> Script:
    """Sell, and answer with what is made of the results."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(json.dumps(told(till.done(seen)["results"]))))

    return script


def twice(results: list[Any]) -> dict[str, Any]:
    return {"results": [*results, *({**result, "status": "insufficient"} for result in results)]}


def garbled(till: Till) -> dict[str, Script]:
    return {
        "no JSON": till.then(always("{")), "nothing": till.then(always("")), "an array": till.then(always("[]")),
        "no results": till.then(always("{}")), "null": till.then(always('{"results": null}')),
        "text": till.then(always("\ufffe")), "not UTF-8": till.then(always(b'{"results": ["\xff"]}')),
        "deep": till.then(always("[" * 100_000)), "none": telling(till, lambda results: {"results": []}),
        "others": telling(till, lambda results: {"results": [{"reservation_id": "x", "status": "deducted"}]}),
        "a number": telling(till, lambda results: {"results": [{**each, "status": 1} for each in results]}),
        "a new word": telling(till, lambda results: {"results": [{**each, "status": "sold"} for each in results]}),
        "no status": telling(till, lambda results: {"results": [{**each, "status": None} for each in results]}),
        "no objects": telling(till, lambda results: {"results": [1, None, "x", []]}),
        "two things": telling(till, twice),
    }  # fmt: skip


def broken(till: Till) -> dict[str, Script]:
    return {
        "500": always("", 500), "503": always("", 503), "404": always("", 404), "400": always("", 400),
        "429": always("", 429, {"Retry-After": "60"}),
        "201": till.then(always("", 201)), "204": till.then(raw(b"HTTP/1.1 204 X\r\n\r\n")),
        "302": always("", 302, {"Location": "/deduct"}), "reset": till.then(reset), "hang": till.then(hang),
        "500, done": till.then(always("", 500)), "garbage": till.then(raw(b"\x00\xff\r\n\r\n")),
        "half": till.then(raw(b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n{")),
    }  # fmt: skip


async def test_an_item_is_sent_again_until_it_is_answered_and_sold_once() -> None:
    till = Till()
    scripts = garbled(till) | broken(till)
    left = {f"s{number}": script for number, script in enumerate(scripts.values())}
    till.left = dict.fromkeys(left, 5)

    async def once(seen: Seen, writer: asyncio.StreamWriter) -> None:
        sku = json.loads(seen.body)["items"][0].get("sku_id") if seen.method == "POST" else None
        await (left.pop(sku) if sku in left else till)(seen, writer)

    async with selling(till, **SHORT) as service:
        service.stock.script = once
        answers = await asyncio.gather(*(reserve(service, 2, sku, sku=sku) for sku in till.left))
        for name, answer in zip(scripts, answers, strict=True):
            found = await becomes(service, answer, "confirmed", "rejected")
            assert (found["state"], name) == ("confirmed", name)
            sent = [seen for seen in posts(service, "/deduct") if answer.json["id"] in seen.body.decode()]
            assert len(sent) >= 2, name
            assert len({json.dumps(json.loads(seen.body)["items"]) for seen in sent}) == 1
        assert set(till.left.values()) == {3}
        assert len(till.deducted) == len(scripts)
        assert await service.metric("bff_reservations_total", state="confirmed", reason="none") == len(scripts)


async def test_of_a_batch_only_what_was_not_answered_is_sent_again() -> None:
    till, gate = Till(**{"1001": 5}), asyncio.Event()
    till.posts.extend([gated(gate, till.sell), telling(till, lambda results: {"results": results[1:]})])
    async with selling(till) as service:
        first = await reserve(service, 1, "a")
        await holds(lambda: posts(service, "/deduct"))
        answers = [await reserve(service, 1, f"k{number}") for number in range(3)]
        gate.set()
        for answer in (first, *answers):
            await becomes(service, answer, "confirmed")
        sent = [[item["reservation_id"] for item in call["items"]] for call in till.calls]
        ids = [answer.json["id"] for answer in answers]
        assert sent == [[first.json["id"]], ids, ids[:1]]
        assert till.left == {"1001": 1}


async def test_a_release_is_sent_again_until_it_is_answered() -> None:
    till = Till(**{"1001": 5})
    async with selling(till, **SHORT) as service:
        answer = await reserve(service, 2, "k")
        await becomes(service, answer, "confirmed")
        till.posts.extend([always("", 500), till.then(reset), till.then(hang)])
        assert (await give_back(service, answer)).status == 202
        await becomes(service, answer, "released")
        assert len(posts(service, "/release")) >= 4
        assert till.left == {"1001": 5}


async def test_what_waits_too_long_is_given_back_first_and_then_expired() -> None:
    till, gate = Till(**{"1001": 5}), asyncio.Event()
    states: list[str] = []

    async with selling(till, reservations__max_age_seconds="0.5", **SHORT) as service:

        async def away(seen: Seen, writer: asyncio.StreamWriter) -> None:
            if seen.method != "POST":
                await till(seen, writer)
            elif seen.target == "/deduct":
                await till.then(hang)(seen, writer)
            else:
                states.append((await look(service, answer.headers["location"], "shop"))["state"])
                await gated(gate, till.sell)(seen, writer)

        service.stock.script = away
        answer = await reserve(service, 2, "k")
        await holds(lambda: states)
        assert states[0] == "queued"
        assert till.left == {"1001": 3}  # deducted it was, and nobody knew
        gate.set()
        found = await becomes(service, answer, "rejected")
        assert found["reason"] == "expired"
        assert till.left == {"1001": 5}
        assert (await give_back(service, answer)).status == 409
        assert await service.metric("bff_reservations_total", state="rejected", reason="expired") == 1
        again = await reserve(service, 2, "k")
        assert (again.status, again.json["state"], again.headers["idempotent-replayed"]) == (202, "queued", "true")


async def test_a_sale_is_never_expired() -> None:
    till = Till(**{"1001": 5})
    async with selling(till, reservations__max_age_seconds="0.3") as service:
        answer = await reserve(service, 2, "k")
        sold = await becomes(service, answer, "confirmed", "rejected")
        await asyncio.sleep(0.6)
        assert await look(service, answer.headers["location"], "shop") == sold
        assert till.releases == ([] if sold["state"] == "confirmed" else [sold["id"]])


async def test_a_full_queue_refuses_at_once_and_has_room_again_once_some_are_answered() -> None:
    till, gate = Till(**{"1001": 50}), asyncio.Event()
    till.posts.append(gated(gate, till.sell))
    async with selling(till, reservations__max_queued="3") as service:
        several = await asyncio.gather(*(reserve(service, 1, f"k{number}") for number in range(10)))
        accepted = [answer for answer in several if answer.status == 202]
        assert len(accepted) == 3
        for answer in several:
            if answer.status != 202:
                is_problem(answer, 503, "overloaded", "/api/v1/products/1001/reservations")
                assert int(answer.headers["retry-after"]) >= 1
                assert "location" not in answer.headers
        other = await reserve(service, 1, "other", sku="1002", caller="rival")
        assert other.status == 503  # it is one queue, whoever waits for what
        assert (await give_back(service, accepted[-1])).status == 202
        gate.set()
        for answer in accepted[:-1]:
            await becomes(service, answer, "confirmed")
        await becomes(service, accepted[-1], "released")
        again = await asyncio.gather(*(reserve(service, 1, f"l{number}") for number in range(3)))
        assert [answer.status for answer in again] == [202] * 3
        for answer in again:
            await becomes(service, answer, "confirmed")


async def test_no_more_are_sent_than_the_rate_allows_whatever_they_are_of() -> None:
    till = Till(**{f"s{number}": 100 for number in range(3)})
    async with selling(till, reservations__rate="0.001") as service:
        answers = await asyncio.gather(*(reserve(service, 1, f"k{n}", sku=f"s{n % 3}") for n in range(30)))
        await holds(lambda: till.deducted)
        for turn in range(3):  # of looking for more
            await becomes(service, await reserve(service, 1, f"l{turn}"), "queued")
            await asyncio.sleep(0.1)
        assert len(till.deducted) == 1
        states = [(await look(service, answer.headers["location"], "shop"))["state"] for answer in answers]
        assert sorted(states) == ["confirmed"] + ["queued"] * 29


async def test_a_rate_is_kept_without_bursts_and_all_are_sent_in_the_end() -> None:
    till = Till(**{f"s{number}": 100 for number in range(3)})
    async with selling(till, reservations__rate="50") as service:
        answers = await asyncio.gather(*(reserve(service, 1, f"k{n}", sku=f"s{n % 3}") for n in range(30)))
        for answer in answers:
            await becomes(service, answer, "confirmed")
        assert max(len(call["items"]) for call in till.calls) <= 5  # a tenth of a second's
        assert sum(len(call["items"]) for call in till.calls) == 30


async def test_what_was_accepted_is_sold_once_after_a_stop(tmp_path: Path) -> None:
    till = Till(**{"1001": 50})
    till.posts.append(till.then(hang))  # it is deducted, and the answer is lost in the stop
    kept = {"data_dir": str(tmp_path), "stock__write_timeout_seconds": "1"}
    async with selling(till, **kept) as service:
        answers = [await reserve(service, 1, "k0")]
        await holds(lambda: posts(service, "/deduct"))
        answers += [await reserve(service, 1, f"k{number}") for number in range(1, 10)]
        assert (await give_back(service, answers[-1])).status == 202
    async with selling(till, **kept) as service:
        for answer in answers[:-1]:
            await becomes(service, answer, "confirmed")
        await becomes(service, answers[-1], "released")
        again = await reserve(service, 1, "k0")
        assert (again.body, again.headers["idempotent-replayed"]) == (answers[0].body, "true")
        assert till.left == {"1001": 41}
        assert len(till.deducted) == 9


async def test_one_product_that_gets_no_answer_keeps_no_other_one_waiting() -> None:
    till = Till(**{f"s{number}": 5 for number in range(6)})

    async def one_hangs(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "POST" and b'"s0"' in seen.body and not gate.is_set():
            await hang(seen, writer)
        await till(seen, writer)

    gate = asyncio.Event()
    async with selling(till, **SHORT) as service:
        service.stock.script = one_hangs
        stuck = await reserve(service, 1, "k0", sku="s0")
        await holds(lambda: posts(service, "/deduct"))
        for number in range(1, 6):
            await becomes(service, await reserve(service, 1, f"k{number}", sku=f"s{number}"), "confirmed")
        assert (await look(service, stuck.headers["location"], "shop"))["state"] == "queued"
        gate.set()
        await becomes(service, stuck, "confirmed")
