"""The contract: changes that fail: all parts are written, or none."""

import asyncio
import json
from typing import Any

from tests.contract.durable import ask, changed, changing, ends, gated, holds
from tests.contract.owners import Owner, Owners
from tests.upstreams import Script, Seen, always, by_sku, hang, raw, reset

THREE: dict[str, Any] = {"info": {"name": "n"}, "price": {"price": 8}, "stock": {"quantity": 5}}
HURRIED: dict[str, Any] = {"changes__attempts": "2", "changes__undo_seconds": "0.5"}


def states(change: Any) -> list[str]:
    return [step["state"] for step in change["steps"]]


def writes_by_sku(scripts: dict[str, Script], owner: Owner) -> Script:
    """Do writes of some SKUs otherwise, each time."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await (scripts.get(seen.sku, owner) if seen.method == "PUT" else owner)(seen, writer)

    return script


REFUSED: dict[str, tuple[Script, int]] = {
    "404": (always("", 404), 1), "409": (always("", 409), 1), "422": (always("", 422), 1), "412": (always("", 412), 2),
    "400": (always("", 400), 1), "401": (always("", 401), 1), "302": (always("", 302, {"Location": "/x"}), 1),
}  # fmt: skip


async def test_what_its_owner_refuses_is_a_failed_step_and_the_others_are_undone_in_reverse() -> None:
    owners = Owners()
    async with changing(owners, **HURRIED) as service:
        order: list[str] = []
        service.stock.script = writes_by_sku({name: script for name, (script, _) in REFUSED.items()}, owners.stock)
        for owner, up in ((owners.info, service.info), (owners.price, service.price)):
            up.script = noted(owner, order)
        before = {sku: (await service.page(sku)).json for sku in REFUSED}
        order.clear()
        answers = [await ask(service, {"sku_id": sku, **THREE}, sku) for sku in REFUSED]
        for sku, answer in zip(REFUSED, answers, strict=True):
            change = await ends(service, answer)
            assert (change["state"], sku) == ("compensated", sku)
            assert states(change) == ["compensated", "compensated", "failed"]
            failed = change["steps"][2]
            assert (failed["attempts"], sku) == (REFUSED[sku][1], sku)
            assert (sku in failed["error"]) == (sku not in ("400", "401", "302"))
            assert change["error"] == f"stock: {failed['error']}"
            assert not [word for word in ("127.0.0.1", "Traceback", "/part/", "Error") if word in json.dumps(change)]
            assert order_of(order, sku) == ["info", "price", "price", "info"]
            after = (await service.page(sku)).json
            assert [after[name] for name in THREE] == [before[sku][name] for name in THREE]
            assert all(owner.holds(sku) == Owner(owner.source).holds(sku) for owner in owners)


def noted(owner: Owner, order: list[str]) -> Script:
    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "PUT":
            order.append(f"{owner.source} {seen.sku}")
        await owner(seen, writer)

    return script


def order_of(order: list[str], sku: str) -> list[str]:
    return [name for name, _, of in (each.partition(" ") for each in order) if of == sku]


BROKEN: dict[str, Script] = {
    "500": always("", 500), "503": always("", 503, {"Retry-After": "60"}), "202": always("", 202),
    "reset": reset, "garbage": raw(b"\x00\xff\r\n\r\n"), "half": raw(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{"),
}  # fmt: skip


async def test_an_owner_that_stays_broken_fails_the_change_and_what_was_done_is_undone() -> None:
    # Nobody knows whether a write without an answer is stored: where that cannot be found out, an undo has failed. Who
    # answers that he has failed, and holds what he held before, is believed.
    owners = Owners()
    async with changing(owners, **HURRIED) as service:
        service.stock.script = writes_by_sku(BROKEN, owners.stock)
        answers = [await ask(service, {"sku_id": sku, **THREE}, sku) for sku in BROKEN]
        for sku, answer in zip(BROKEN, answers, strict=True):
            change = await ends(service, answer)
            believed = sku in ("500", "503")
            assert (change["state"], sku) == ("compensated" if believed else "failed", sku)
            assert states(change) == ["compensated", "compensated", "failed"]
            assert change["steps"][2]["attempts"] == 2
            assert change["error"] and change["steps"][2]["error"]
            assert owners.price.holds(sku) == Owner("price").holds(sku)


async def test_an_owner_that_never_answers_holds_nothing_up_for_ever_and_what_was_done_is_undone() -> None:
    owners = Owners()
    owners.stock.writes.extend([hang] * 100)
    async with changing(owners, **HURRIED, stock__write_timeout_seconds="0.4") as service:
        change = await changed(service, {"sku_id": "1001", **THREE})
        assert change["state"] in ("failed", "compensated")  # in doubt for good, unless a stall kept it from being sent
        assert states(change) == ["compensated", "compensated", "failed"]
        assert [owner.holds() for owner in owners] == [Owner(owner.source).holds() for owner in owners]


async def test_an_owner_that_fails_for_a_while_is_tried_again() -> None:
    owners = Owners()
    owners.info.reads.extend([always("", 500), always("{", 200)])
    owners.price.writes.extend([always("", 503), always("", 500)])
    owners.stock.writes.extend([always("", 412)])
    async with changing(owners) as service:
        change = await changed(service, {"sku_id": "1001", **THREE})
        assert change["state"] == "succeeded"
        assert [(step["attempts"], step["error"]) for step in change["steps"]] == [(3, None), (3, None), (2, None)]
        assert [len(owner.effects) for owner in owners] == [1, 1, 1]


async def test_a_change_whose_first_step_fails_with_nothing_to_undo_has_failed() -> None:
    owners = Owners()
    reads = {"unknown": always("", 404), "unreadable": always("{")}
    async with changing(owners, **HURRIED) as service:
        service.info.script = by_sku(reads, owners.info)
        for sku, attempts in (("unknown", 1), ("unreadable", 2)):
            change = await changed(service, {"sku_id": sku, **THREE}, sku)
            assert (change["state"], states(change)) == ("failed", ["failed", "pending", "pending"])
            assert (change["steps"][0]["attempts"], change["steps"][1]["started_at"]) == (attempts, None)
            assert change["error"] == f"info: {change['steps'][0]['error']}"
        assert [owner.effects for owner in owners] == [[], [], []]


async def test_an_undo_that_fails_for_a_while_is_tried_again_and_one_that_is_refused_has_failed() -> None:
    owners = Owners()
    owners.stock.writes.extend([always("", 409)] * 3)
    owners.price.writes.extend([owners.price.store, always("", 500), always("", 503)])
    owners.info.writes.extend([owners.info.store, always("", 412)])
    async with changing(owners) as service:
        change = await changed(service, {"sku_id": "1001", **THREE}, "a")
        assert (change["state"], states(change)) == ("compensated", ["compensated", "compensated", "failed"])
        assert [owner.holds() for owner in owners] == [Owner(owner.source).holds() for owner in owners]
        owners.price.writes.extend([owners.price.store, always("", 422)])
        change = await changed(service, {"sku_id": "1001", **THREE}, "b")
        assert (change["state"], states(change)) == ("failed", ["compensated", "failed", "failed"])
        assert change["steps"][1]["error"].startswith("not undone")
        assert change["error"] == f"price: {change['steps'][1]['error']}"
        assert owners.price.holds()["price"] == 8
        assert owners.info.holds() == Owner("info").holds()


async def test_an_undo_that_cannot_be_done_in_its_time_has_failed() -> None:
    owners = Owners()
    owners.stock.writes.append(always("", 409))
    owners.price.writes.extend([owners.price.store, *([always("", 500)] * 100)])
    async with changing(owners, **HURRIED) as service:
        change = await changed(service, {"sku_id": "1001", **THREE})
        assert (change["state"], states(change)) == ("failed", ["compensated", "failed", "failed"])


async def test_what_somebody_else_wrote_in_between_is_left_as_it_is() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.stock.writes.append(gated(gate, always("", 409)))
    async with changing(owners) as service:
        answer = await ask(service, {"sku_id": "1001", **THREE}, "k")
        await holds(lambda: [seen for seen in service.stock.seen if seen.method == "PUT"])
        theirs = json.dumps({"sku_id": "1001", "price": 77})
        owners.price.put(theirs)
        gate.set()
        change = await ends(service, answer)
        assert (change["state"], states(change)) == ("compensated", ["compensated", "superseded", "failed"])
        assert owners.price.raw() == theirs.encode()
        assert (await service.page("1001")).json["price"]["price"] == 77
        assert owners.info.holds() == Owner("info").holds()


async def test_what_somebody_else_writes_while_it_is_undone_is_left_as_it_is() -> None:
    owners = Owners()
    theirs = json.dumps({"sku_id": "1001", "price": 77})

    async def overtaken(seen: Seen, writer: asyncio.StreamWriter) -> None:
        owners.price.put(theirs)
        await owners.price.store(seen, writer)  # 412: it is tagged anew

    owners.stock.writes.append(always("", 409))
    owners.price.writes.extend([owners.price.store, overtaken])
    async with changing(owners) as service:
        change = await changed(service, {"sku_id": "1001", **THREE})
        assert (change["state"], states(change)) == ("compensated", ["compensated", "superseded", "failed"])
        assert owners.price.raw() == theirs.encode()


async def test_a_product_that_is_gone_meanwhile_is_not_brought_back() -> None:
    owners = Owners()
    owners.stock.writes.append(always("", 409))
    owners.price.reads.extend([owners.price.show, always("", 404)])
    async with changing(owners) as service:
        change = await changed(service, {"sku_id": "1001", **THREE})
        assert (change["state"], states(change)) == ("compensated", ["compensated", "superseded", "failed"])
        assert len(owners.price.effects) == 1


async def test_what_was_there_before_is_written_back_to_the_digit() -> None:
    owners = Owners()
    before = (
        b'{"sku_id":"1001","price":12.30,"original_price":1234567890123456789012345678.901234567890,"currency":"EUR"}'
    )
    owners.price.put(before)
    owners.info.put(
        '{"sku_id": "1001", "name": "n\\u00e9 \\ud83d\\ude00", "images": ["a", "b"], "brand": null, "more": 1}'
    )
    owners.stock.writes.append(always("", 409))
    async with changing(owners) as service:
        assert (await changed(service, {"sku_id": "1001", **THREE}))["state"] == "compensated"
        assert owners.price.raw() == before
        assert owners.info.holds() == {"sku_id": "1001", "name": "n\u00e9 \U0001f600", "images": ["a", "b"]}


async def test_an_owner_that_writes_numbers_its_own_way_still_holds_what_was_written() -> None:
    owners = Owners(price=Owner("price", status=204))
    shown = {"a": "8.0", "b": "8.00", "c": "80e-1"}

    async def own_way(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method != "PUT":
            await owners.price(seen, writer)
            return
        writer.write(owners.price.taken(seen))
        if json.loads(seen.body)["price"] == 8:
            owners.price.put(f'{{"sku_id": "{seen.sku}", "price": {shown[seen.sku]}}}', seen.sku)

    owners.stock.writes.extend([always("", 409)] * 3)
    async with changing(owners) as service:
        service.price.script = own_way
        answers = [await ask(service, {"sku_id": sku, **THREE}, sku) for sku in shown]
        for sku, answer in zip(shown, answers, strict=True):
            change = await ends(service, answer)
            assert (change["state"], states(change)) == ("compensated", ["compensated", "compensated", "failed"])
            assert owners.price.holds(sku) == Owner("price").holds(sku)
