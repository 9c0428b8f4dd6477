"""The contract: changes over owners that lack tags or keys, lose answers, or answer in other ways that are allowed."""

import asyncio
import json
from typing import Any

from tests.contract.durable import ask, changed, changing, ends
from tests.contract.owners import Owner, Owners
from tests.upstreams import Script, Seen, always, by_sku, hang, raw, reset, upstream

PRICE: dict[str, Any] = {"price": {"price": 8}}
SHORT: dict[str, Any] = {"price__write_timeout_seconds": "0.5"}
LOST: dict[str, Script] = {
    "reset": reset, "hang": hang, "500": always("", 500), "503": always("", 503), "202": always("{}", 202),
    "garbage": raw(b"\x00\xff\r\n\r\n"), "half": raw(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{"),
}  # fmt: skip


def losing(owners: dict[str, Owner]) -> Script:
    """Store the first write of each SKU and answer it by its script; then be well. A SKU names owner and script."""
    left = {f"{kind}.{loss}": script for kind in owners for loss, script in LOST.items()}

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        owner = owners[seen.sku.partition(".")[0]]
        lost = left.pop(seen.sku, None) if seen.method == "PUT" else None
        await (owner if lost is None else owner.then(lost))(seen, writer)

    return script


async def test_what_an_owner_stored_without_a_word_is_found_out_and_is_there_once() -> None:
    kinds = {
        "usual": Owner("price"), "no-keys": Owner("price", keys=False), "no-tags": Owner("price", etags=False),
        "neither": Owner("price", etags=False, keys=False),
    }  # fmt: skip
    skus = [f"{kind}.{loss}" for kind in kinds for loss in LOST]
    async with changing(Owners(), **SHORT) as service:
        service.price.script = losing(kinds)
        answers = [await ask(service, {"sku_id": sku, **PRICE}, sku) for sku in skus]
        for sku, answer in zip(skus, answers, strict=True):
            change = await ends(service, answer)
            assert (change["state"], sku) == ("succeeded", sku)
            assert change["steps"][0]["attempts"] >= 2 and change["steps"][0]["error"] is None
            kind = sku.partition(".")[0]
            bodies = [body for _, of, body in kinds[kind].effects if of == sku]
            stored = json.dumps({"sku_id": sku, "price": 8}, separators=(",", ":"))
            assert set(bodies) == {stored}
            assert len(bodies) == 1 or kind == "neither"  # that it is the same again is all that can be had there
            puts = [seen for seen in service.price.seen if (seen.method, seen.sku) == ("PUT", sku)]
            assert len({seen.headers["idempotency-key"] for seen in puts}) == 1
            assert all(("if-match" in seen.headers) == kinds[kind].etags for seen in puts)
            assert (await service.page(sku)).json["price"]["price"] == 8


async def test_a_repeat_that_is_refused_for_another_reason_is_seen_to_be_stored_or_not() -> None:
    owner = Owner("price", etags=False)

    async def again(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await always("", 409 if seen.sku == "409" else 422)(seen, writer)

    owner.writes.extend([owner.then(reset), again, owner.then(reset), again, reset, again])
    async with changing(Owners(price=owner)) as service:
        assert (await changed(service, {"sku_id": "409", **PRICE}, "a"))["state"] == "succeeded"
        assert (await changed(service, {"sku_id": "422", **PRICE}, "b"))["state"] == "succeeded"
        change = await changed(service, {"sku_id": "1001", **PRICE}, "c")
        assert (change["state"], change["steps"][0]["attempts"]) == ("failed", 2)
        assert owner.holds("1001")["price"] == 9.5


async def test_whatever_says_that_it_is_stored_is_taken_for_that() -> None:
    answers = {"200": Owner("info"), "201": Owner("price", status=201), "204": Owner("stock", status=204)}
    async with changing(Owners(answers["200"], answers["201"], answers["204"])) as service:
        body = {"sku_id": "1001", "info": {"name": "n"}, **PRICE, "stock": {"quantity": 5}}
        change = await changed(service, body, "a")
        assert (change["state"], [step["attempts"] for step in change["steps"]]) == ("succeeded", [1, 1, 1])
        answers["201"].writes.append(always("no part of anything", 200))  # its status says enough
        assert (await changed(service, body, "b"))["state"] == "succeeded"


async def test_an_owner_may_store_something_else_and_that_is_what_is_undone() -> None:
    owners = Owners()

    async def rounded(seen: Seen, writer: asyncio.StreamWriter) -> None:
        price = json.loads(seen.body)["price"]
        body = json.dumps({"sku_id": seen.sku, "price": round(price), "currency": "EUR"}).encode()
        writer.write(owners.price.taken(Seen(seen.method, seen.target, seen.headers, body)))

    owners.price.writes.extend([rounded, rounded])
    async with changing(owners) as service:
        body = {"sku_id": "1001", "price": {"price": 7.9}}
        assert (await changed(service, body, "a"))["state"] == "succeeded"
        assert (await service.page("1001")).json["price"] == {"sku_id": "1001", "price": 8, "currency": "EUR"}
        owners.stock.writes.append(always("", 409))
        change = await changed(service, {"sku_id": "1001", "price": {"price": 4.2}, "stock": {"quantity": 1}}, "b")
        assert [step["state"] for step in change["steps"]] == ["compensated", "failed"]
        assert owners.price.holds() == {"sku_id": "1001", "price": 8, "currency": "EUR"}


async def test_a_lost_answer_to_an_undo_does_no_harm() -> None:
    kinds = {"usual": Owner("price"), "no-tags": Owner("price", etags=False), "no-keys": Owner("price", keys=False)}
    owners = Owners()
    owners.stock.writes.extend([always("", 409)] * len(kinds))
    for owner in kinds.values():
        owner.writes.extend([owner.store, owner.then(reset), owner.then(hang)])
    async with changing(owners, **SHORT) as service:
        service.price.script = by_sku(dict(kinds), owners.price)
        answers = [await ask(service, {"sku_id": sku, **PRICE, "stock": {"quantity": 1}}, sku) for sku in kinds]
        for (sku, owner), answer in zip(kinds.items(), answers, strict=True):
            change = await ends(service, answer)
            assert (change["state"], change["steps"][0]["state"]) == ("compensated", "compensated")
            assert owner.holds(sku) == Owner("price").holds(sku)


async def test_writes_go_where_they_are_set_to_and_reads_where_pages_read() -> None:
    owner = Owner("price")
    async with upstream(owner) as other:
        url = f"{other.url}/own/{{sku}}?v=2"

        async def same(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await owner(Seen(seen.method, seen.target.partition("?")[0], seen.headers, seen.body), writer)

        other.script = same
        async with changing(Owners(price=owner), price__write_url=url) as service:
            assert (await changed(service, {"sku_id": "1001", **PRICE}))["state"] == "succeeded"
            assert [seen.method for seen in service.price.seen] == ["GET"]
            assert [(seen.method, seen.target) for seen in other.seen] == [("PUT", "/own/1001?v=2")]
            assert owner.holds()["price"] == 8


async def test_an_owner_whose_circuit_is_open_is_written_to_once_it_closes() -> None:
    owner = Owner("price")
    own: dict[str, Any] = {
        "price__circuit__min_attempts": "1",
        "price__circuit__open_seconds": "1.5",
        "changes__attempts": "10",
    }
    async with changing(Owners(price=owner), **own) as service:
        owner.reads.append(always("", 500))
        await service.page("1001")
        assert await service.circuit("price") == "open"
        assert (await changed(service, {"sku_id": "1001", **PRICE}))["state"] == "succeeded"
        assert len(owner.effects) == 1
