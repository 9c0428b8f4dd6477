"""The contract: changes that are cancelled, run out of time or wait for another one; and the service that stops."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from bff.durable.worker import ROOM
from tests.contract.durable import CHANGES, ask, changed, changing, ends, gated, holds, look, reaches, send
from tests.contract.owners import Owner, Owners
from tests.contract.test_problems import is_problem
from tests.harness import Answer, Bff
from tests.upstreams import Script, Seen, after, always, hang

THREE: dict[str, Any] = {"info": {"name": "n"}, "price": {"price": 8}, "stock": {"quantity": 5}}


def states(change: Any) -> list[str]:
    return [step["state"] for step in change["steps"]]


def asked_to_write(service: Bff, source: str, sku: str = "1001") -> bool:
    return any((seen.method, seen.sku) == ("PUT", sku) for seen in getattr(service, source).seen)


async def cancel(service: Bff, answer: Answer) -> Answer:
    return await send(service, "DELETE", answer.headers["location"])


def as_before(owners: Owners) -> bool:
    return [owner.holds() for owner in owners] == [Owner(owner.source).holds() for owner in owners]


async def test_a_change_that_is_cancelled_while_it_runs_begins_no_later_step_and_is_undone() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.price.writes.append(gated(gate, owners.price.store))
    async with changing(owners) as service:
        before = (await service.page("1001")).json
        answer = await ask(service, {"sku_id": "1001", **THREE}, "k")
        await holds(lambda: asked_to_write(service, "price"))
        for _ in range(2):
            cancelled = await cancel(service, answer)
            assert (cancelled.status, cancelled.json["state"]) == (202, "running")
            assert cancelled.headers["cache-control"] == "no-store"
            assert states(cancelled.json) == ["done", "running", "pending"]
        gate.set()
        change = await ends(service, answer)
        assert (change["state"], states(change)) == ("cancelled", ["compensated", "compensated", "pending"])
        assert change["error"]
        assert as_before(owners) and not asked_to_write(service, "stock")
        after_it = (await service.page("1001")).json
        assert [after_it[name] for name in THREE] == [before[name] for name in THREE]
        is_problem(await cancel(service, answer), 409, "conflict", answer.headers["location"])
        assert await service.metric("bff_changes_total", state="cancelled") == 1


async def test_a_change_that_is_cancelled_during_its_last_step_is_undone() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.stock.writes.append(gated(gate, owners.stock.store))
    async with changing(owners) as service:
        answer = await ask(service, {"sku_id": "1001", **THREE}, "k")
        await holds(lambda: asked_to_write(service, "stock"))
        assert (await cancel(service, answer)).status == 202
        gate.set()
        change = await ends(service, answer)
        assert (change["state"], states(change)) == ("cancelled", ["compensated"] * 3)
        assert as_before(owners)


async def test_a_change_that_is_cancelled_before_it_begins_ends_at_once_and_writes_nothing() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.price.writes.append(gated(gate, owners.price.store))
    async with changing(owners) as service:
        first = await ask(service, {"sku_id": "1001", "price": {"price": 8}}, "a")
        await holds(lambda: asked_to_write(service, "price"))
        second = await ask(service, {"sku_id": "1001", **THREE}, "b")
        cancelled = await cancel(service, second)
        assert (cancelled.status, cancelled.json["state"]) == (202, "cancelled")
        assert states(cancelled.json) == ["pending"] * 3
        assert (await cancel(service, second)).status == 409
        gate.set()
        assert (await ends(service, first))["state"] == "succeeded"
        assert (await cancel(service, first)).status == 409
        assert (await changed(service, {"sku_id": "1001", "price": {"price": 9}}, "c"))["state"] == "succeeded"
        assert (await look(service, second.headers["location"])) == cancelled.json
        assert [body for _, _, body in owners.price.effects] == [
            '{"sku_id":"1001","price":8}',
            '{"sku_id":"1001","price":9}',
        ]
        assert not asked_to_write(service, "info")
        assert await service.metric("bff_changes_total", state="cancelled") == 1


async def test_a_change_that_runs_out_of_time_begins_no_later_step_and_is_undone() -> None:
    owners = Owners()
    slow: dict[str, Script] = {"late": after(1.2, owners.price.store), "lost": owners.price.then(hang), "away": hang}
    once = set(slow)

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "PUT" and (seen.sku == "late" or seen.sku in once):
            once.discard(seen.sku)
            await (slow if seen.sku not in once else {})[seen.sku](seen, writer)
        else:
            await owners.price(seen, writer)

    async with changing(owners, price__write_timeout_seconds="1.5") as service:
        service.price.script = script
        answers = [await ask(service, {"sku_id": sku, **THREE, "timeout_seconds": 1}, sku) for sku in slow]
        for sku, answer in zip(slow, answers, strict=True):
            change = await ends(service, answer)
            assert (change["state"], sku) == ("timed_out", sku)
            assert set(states(change)) <= {"compensated", "pending"}
            assert change["steps"][2]["state"] == "pending" and not asked_to_write(service, "stock", sku)
            assert change["error"]
            assert owners.price.holds(sku)["price"] == 9.5
            assert owners.info.holds(sku)["name"] == f"Product {sku}"
        assert await service.metric("bff_changes_total", state="timed_out") == 3


async def test_one_change_at_a_time_writes_to_a_product_and_others_wait_for_no_stranger() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.price.writes.append(gated(gate, owners.price.store))
    async with changing(owners) as service:
        first = await ask(service, {"sku_id": "1001", **THREE}, "a")
        await holds(lambda: asked_to_write(service, "price"))
        second = await ask(service, {"sku_id": "1001", "info": {"name": "m"}, "stock": {"quantity": 6}}, "b")
        assert (await changed(service, {"sku_id": "1002", "info": {"name": "m"}}, "c"))["state"] == "succeeded"
        assert (await look(service, second.headers["location"]))["state"] == "pending"
        assert owners.info.holds()["name"] == "n"
        gate.set()
        for answer in (first, second):
            assert (await ends(service, answer))["state"] == "succeeded"
        assert [body for _, sku, body in owners.stock.effects if sku == "1001"] == [
            '{"sku_id":"1001","quantity":5}', '{"sku_id":"1001","quantity":6}',
        ]  # fmt: skip


async def test_what_is_more_urgent_goes_first_and_of_what_is_as_urgent_the_older() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.price.writes.append(gated(gate, owners.price.store))
    async with changing(owners) as service:
        first = await ask(service, {"sku_id": "1001", "price": {"price": 1}, "priority": 9}, "a")
        await holds(lambda: asked_to_write(service, "price"))
        answers = [first]
        for price, priority in ((2, 9), (3, None), (4, 0), (5, 5), (6, 0), (7, 4)):
            more = {} if priority is None else {"priority": priority}
            answers.append(await ask(service, {"sku_id": "1001", "price": {"price": price}, **more}, f"k{price}"))
        gate.set()
        for answer in answers:
            assert (await ends(service, answer))["state"] == "succeeded"
        written = [body for _, _, body in owners.price.effects]
        assert written == [f'{{"sku_id":"1001","price":{price}}}' for price in (1, 4, 6, 7, 3, 5, 2)]


async def test_what_is_more_urgent_goes_first_among_products_too() -> None:
    owners = Owners()
    gates = {f"s{number}": asyncio.Event() for number in range(ROOM)}

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "PUT" and seen.sku in gates:
            await gates[seen.sku].wait()
        await owners.price(seen, writer)

    async with changing(owners) as service:
        service.price.script = script
        full = [await ask(service, {"sku_id": sku, "price": {"price": 1}, "priority": 0}, sku) for sku in gates]
        for answer in full:
            await reaches(service, answer.headers["location"], ["running"])
        gate = asyncio.Event()
        for sku, priority in (("bulk", 9), ("usual", 5), ("urgent", 0)):
            gates[sku] = gate
            full.append(await ask(service, {"sku_id": sku, "price": {"price": 1}, "priority": priority}, sku))
        gates["s7"].set()
        await reaches(service, full[-1].headers["location"], ["running"])
        waiting = (await look(service, f"{CHANGES}?state=pending"))["items"]
        assert [change["sku_id"] for change in waiting] == ["usual", "bulk"]
        for each in gates.values():
            each.set()
        for answer in full:
            assert (await ends(service, answer))["state"] == "succeeded"


async def test_what_was_accepted_is_done_after_a_stop_and_each_effect_is_there_once(tmp_path: Path) -> None:
    owners = Owners()
    kept = {"data_dir": str(tmp_path)}
    async with changing(owners, **kept) as service:
        owners.stock.writes.append(always("", 409))
        ended = await changed(service, {"sku_id": "0", **THREE}, "k0")
        answers = [await ask(service, {"sku_id": f"{number}", **THREE}, f"k{number}") for number in range(1, 9)]
    async with changing(owners, **kept) as service:
        assert await look(service, f"{CHANGES}/{ended['id']}") == ended
        for number, answer in enumerate(answers, 1):
            assert (await ends(service, answer))["state"] == "succeeded"
            again = await ask(service, {"sku_id": f"{number}", **THREE}, f"k{number}")
            assert (again.status, again.body, again.headers["idempotent-replayed"]) == (202, answer.body, "true")
            for owner in owners:
                assert len([sku for _, sku, _ in owner.effects if sku == f"{number}"]) == 1


def engines() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "engine"]


async def test_a_service_that_is_stopped_while_it_starts_leaves_no_thread_behind() -> None:
    async with changing(Owners()):
        await holds(engines)
    assert engines() == []
