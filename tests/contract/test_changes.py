"""The contract: changes that succeed, how they are shown, and what of them is seen elsewhere."""

import asyncio
import json
import re
from typing import Any

from tests.contract.durable import CHANGES, GENEROUS_SECONDS, ask, changed, changing, ends, gated, holds, look, send
from tests.contract.owners import Owner, Owners
from tests.harness import bff, until
from tests.upstreams import Seen, always

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CHANGE = {"id", "sku_id", "state", "steps", "created_at", "updated_at", "error"}
STEP = {"name", "state", "attempts", "started_at", "ended_at", "error"}
PARTS: dict[str, Any] = {
    "info": {"name": "n", "images": ["i"]},
    "price": {"price": 7.25, "currency": "EUR"},
    "stock": {"quantity": 0, "available": False},
}


def puts(up: Any) -> list[Seen]:
    return [seen for seen in up.seen if seen.method == "PUT"]


async def test_what_is_accepted_is_shown_at_once_and_as_it_goes_on() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.price.writes.append(gated(gate, owners.price.store))
    async with changing(owners) as service:
        answer = await ask(service, {"sku_id": "1001", **PARTS}, "k")
        accepted = answer.json
        assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
        assert answer.headers["location"] == f"{CHANGES}/{accepted['id']}"
        assert answer.headers["cache-control"] == "no-store"
        assert "idempotent-replayed" not in answer.headers
        assert accepted.keys() == CHANGE
        assert (accepted["sku_id"], accepted["state"], accepted["error"]) == ("1001", "pending", None)
        waiting = {"state": "pending", "attempts": 0, "started_at": None, "ended_at": None, "error": None}
        assert accepted["steps"] == [{"name": name, **waiting} for name in PARTS]
        assert accepted["created_at"] == accepted["updated_at"]
        await holds(lambda: puts(service.price))
        running = await look(service, answer.headers["location"])
        assert running["state"] == "running"
        assert [step["state"] for step in running["steps"]] == ["done", "running", "pending"]
        assert running["steps"][1]["started_at"] and running["steps"][1]["ended_at"] is None
        gate.set()
        done = await ends(service, answer)
        assert done.keys() == CHANGE and all(step.keys() == STEP for step in done["steps"])
        assert (done["state"], done["error"], done["created_at"]) == ("succeeded", None, accepted["created_at"])
        assert [(step["state"], step["attempts"], step["error"]) for step in done["steps"]] == [("done", 1, None)] * 3
        times = [done["created_at"]]
        for step in done["steps"]:
            times += [step["started_at"], step["ended_at"]]
        times.append(done["updated_at"])
        assert all(TIME.fullmatch(time) for time in times)
        assert times == sorted(times)
        head = await send(service, "HEAD", answer.headers["location"])
        assert (head.status, head.body) == (200, b"")


async def test_every_part_is_written_to_its_owner_and_is_on_the_page_from_then_on() -> None:
    owners = Owners()
    async with changing(owners) as service:
        await service.page("1001")
        assert (await service.page("1001")).headers["cache-status"].count("hit") == 3
        assert (await changed(service, {"sku_id": "1001", **PARTS}))["state"] == "succeeded"
        page = (await service.page("1001")).json
        for owner in owners:
            expected = {"sku_id": "1001", **PARTS[owner.source]}
            assert owner.holds() == expected == page[owner.source]
            assert len(owner.effects) == 1
        for up in (service.info, service.price, service.stock):
            (put,) = puts(up)
            assert (put.target, put.headers["if-match"], put.headers["content-type"]) == (
                "/part/1001", '"0"', "application/json",
            )  # fmt: skip
        keys = [owner.effects[0][0] for owner in owners]
        assert len(set(keys)) == 3
        assert all(re.fullmatch(r'"[\x20-\x7e]{1,255}"', key) for key in keys)


async def test_only_what_is_asked_for_is_written() -> None:
    owners = Owners()
    async with changing(owners) as service:
        await service.page("1001")
        change = await changed(service, {"stock": {"quantity": 5, "sku_id": "1001"}, "sku_id": "1001"})
        assert [step["name"] for step in change["steps"]] == ["stock"]
        assert [len(up.seen) for up in (service.info, service.price)] == [1, 1]
        assert owners.stock.holds() == {"sku_id": "1001", "quantity": 5}
        assert (await service.page("1001")).json["stock"] == {"sku_id": "1001", "quantity": 5, "available": True}


async def test_it_is_done_to_the_digit_and_on_behalf_of_who_asked_for_it() -> None:
    owners = Owners()
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = (("X-Request-Id", "mine"), ("traceparent", f"00-{trace}-b7ad6b7169203331-01"), ("Cookie", "c"))
    price = b'{"price":12.30,"original_price":1234567890123456789012345678.901234567890}'
    async with changing(owners, price__headers={"X-Own": "own"}) as service:
        answer = await ask(service, b'{"sku_id": "1001", "price": ' + price + b"}", "theirs", *headers)
        assert answer.headers["x-request-id"] == "mine"
        await ends(service, answer)
        assert owners.price.raw() == b'{"sku_id":"1001",' + price[1:]
        assert owners.price.raw() in (await service.page("1001")).body
        (put,) = puts(service.price)
        assert (put.headers["x-request-id"], put.headers["x-own"]) == ("mine", "own")
        assert put.headers["traceparent"].split("-")[1] == trace
        assert "theirs" not in put.headers["idempotency-key"]
        assert not {"authorization", "cookie"} & put.headers.keys()


async def test_a_part_is_written_in_its_owners_way_and_read_back_in_it() -> None:
    owner = Owner("price")
    owner.put(json.dumps({"sku_id": "1001", "cents": 950}))
    owners = Owners(price=owner)
    async with changing(owners, price__amounts="minor:2", price__map={"price": "/cents"}) as service:
        owners.stock.writes.append(always("", 409))
        failed = {"sku_id": "1001", "price": {"price": 12.30}, "stock": {"quantity": 1}}
        assert (await changed(service, failed, "a"))["state"] == "compensated"
        assert [json.loads(body)["cents"] for _, _, body in owner.effects] == [1230, 950]
        assert (await changed(service, {"sku_id": "1001", "price": {"price": 12.30}}, "b"))["state"] == "succeeded"
        assert (await service.page("1001")).json["price"]["price"] == 12.3
        finer = await ask(service, {"sku_id": "1001", "price": {"price": 12.305}}, "c")
        assert (finer.status, [error["field"] for error in finer.json["errors"]]) == (422, ["price"])


async def test_a_source_that_is_not_writable_refuses_its_parts_alone() -> None:
    async with changing(Owners(), price__item="/data") as service:
        answer = await ask(service, {"sku_id": "1001", "price": {"price": 8}, "stock": {"quantity": 1}}, "k")
        assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (422, ["price"])
        assert (await changed(service, {"sku_id": "1001", "stock": {"quantity": 1}}))["state"] == "succeeded"


async def test_changes_are_counted_as_they_end_and_their_requests_by_their_routes() -> None:
    owners, gate = Owners(), asyncio.Event()
    async with changing(owners) as service:
        for state in ("succeeded", "compensated", "failed", "cancelled", "timed_out"):
            assert f'bff_changes_total{{state="{state}"}} 0.0' in (await service.admin("/metrics")).body.decode()
        await changed(service, {"sku_id": "1001", "price": {"price": 8}}, "a")
        assert await service.metric("bff_changes_total", state="succeeded") == 1
        owners.price.writes.append(always("", 409))
        await changed(service, {"sku_id": "1001", "price": {"price": 9}}, "b")
        assert await service.metric("bff_changes_total", state="failed") == 1

        owners.price.writes.append(gated(gate, owners.price.store))
        answers = [await ask(service, {"sku_id": "1001", "price": {"price": n}}, f"c{n}") for n in range(2)]

        async def both_are_shown() -> bool:
            depth = await service.metric("bff_durable_queue", kind="change")
            shown = (await service.admin("/durable")).json
            age = await service.metric("bff_durable_oldest_seconds", kind="change")
            return depth == 2 and (shown["running"], shown["pending"]) == (1, 1) and age > 0

        await until(both_are_shown, GENEROUS_SECONDS)
        gate.set()
        for answer in answers:
            await ends(service, answer)

        async def none_is_shown() -> bool:
            return await service.metric("bff_durable_queue", kind="change") == 0

        await until(none_is_shown, GENEROUS_SECONDS)
        assert await service.metric("bff_durable_usable") == 1
        route = {"route": CHANGES, "method": "POST", "status": "202"}
        assert await service.metric("bff_requests_total", **route) == 4
        assert await service.metric("bff_requests_total", route=f"{CHANGES}/{{id}}", method="GET", status="200") > 0


async def test_durable_says_how_much_there_is_and_nothing_of_where() -> None:
    async with changing(Owners()) as service:
        answer = await service.admin("/durable")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json["enabled"] is True
        assert not {"sqlite", "127.0.0.1", str(service.data)} & set(re.split(r"[\"/: ]", answer.body.decode()))
        assert (await service.get("/durable")).status == 404
    async with bff() as service:
        assert (await service.admin("/durable")).json["enabled"] is False
        assert not (service.data / "bff.sqlite").exists()


async def test_browsers_of_listed_origins_may_ask_for_changes_and_stop_them() -> None:
    wanted = {"POST": "authorization, content-type, idempotency-key", "DELETE": "authorization", "GET": "last-event-id"}
    async with changing(Owners(), cors__origins=["https://shop.example"]) as service:
        for method, headers in wanted.items():
            ask_first = {"Origin": "https://shop.example", "Access-Control-Request-Method": method,
                         "Access-Control-Request-Headers": headers}  # fmt: skip
            answer = await service.get(CHANGES, ask_first, method="OPTIONS")
            assert answer.status == 204
            assert method in answer.headers["access-control-allow-methods"]
            assert set(headers.split(", ")) <= set(answer.headers["access-control-allow-headers"].lower().split(", "))


async def test_openapi_says_who_may_and_what_is_sent() -> None:
    async with bff() as service:
        paths = (await service.get("/openapi.json")).json["paths"]
    routes: list[tuple[str, str, set[str]]] = [
        (CHANGES, "post", {"202", "400", "401", "403", "409", "413", "415", "422", "501", "503"}),
        (CHANGES, "get", {"200", "401", "403", "422"}),
        (f"{CHANGES}/{{id}}", "get", {"200", "401", "403", "404"}),
        (f"{CHANGES}/{{id}}", "delete", {"202", "401", "403", "404", "409"}),
        (f"{CHANGES}/{{id}}/events", "get", {"200", "204", "401", "403", "404"}),
        ("/api/v1/products/{sku_id}/reservations", "post", {"202", "400", "401", "403", "409", "422", "501", "503"}),
        ("/api/v1/reservations/{id}", "get", {"200", "401", "403", "404", "501"}),
        ("/api/v1/reservations/{id}", "delete", {"202", "401", "403", "404", "409", "501"}),
    ]
    for path, method, statuses in routes:
        assert paths[path][method]["responses"].keys() >= statuses, (method, path)
        names = [parameter["name"] for parameter in paths[path][method].get("parameters", ())]
        assert ("Idempotency-Key" in names) == (method == "post")
        assert paths[path][method].get("security") == [{"bearer": []}], (method, path)
