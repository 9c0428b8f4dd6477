"""The contract: the list of changes: newest first, page after page, state by state."""

import asyncio
from typing import Any
from urllib.parse import quote

from tests.contract.durable import CHANGES, ask, changed, changing, ends, gated, look, reaches, send
from tests.contract.owners import Owners
from tests.contract.test_problems import is_problem
from tests.harness import Bff
from tests.upstreams import always


async def walked(service: Bff, query: str) -> list[str]:
    """Follow the cursor to the end and return the SKUs of all that is found."""
    found: list[str] = []
    cursor = ""
    while True:
        page = await look(service, f"{CHANGES}?{query}{cursor}")
        assert page.keys() == {"items", "next"}
        found += [change["sku_id"] for change in page["items"]]
        if page["next"] is None:
            return found
        assert page["items"]
        cursor = f"&cursor={quote(page['next'])}"


async def test_they_are_listed_newest_first_without_gaps_or_doubles() -> None:
    async with changing(Owners()) as service:
        assert await look(service, CHANGES) == {"items": [], "next": None}
        skus = [f"s{number}" for number in range(25)]
        for sku in skus:
            answer = await ask(service, {"sku_id": sku, "price": {"price": 1}}, sku)
            assert answer.status == 202
            await asyncio.sleep(0.002)  # the order of what is accepted within a millisecond is nobody's
        newest = skus[::-1]
        assert [change["sku_id"] for change in (await look(service, CHANGES))["items"]] == newest[:20]
        for query in ("", "limit=1&", "limit=5&", "limit=7&", "limit=25&", "limit=100&"):
            assert await walked(service, query) == newest
        first = await look(service, f"{CHANGES}?limit=25")
        assert first["next"] is None
        page = await look(service, f"{CHANGES}?limit=10")
        for number in range(3):  # what comes meanwhile moves nothing
            await ask(service, {"sku_id": f"t{number}", "price": {"price": 1}}, f"t{number}")
        rest = await look(service, f"{CHANGES}?limit=100&cursor={page['next']}")
        assert [change["sku_id"] for change in rest["items"]] == newest[10:]
        await ends(service, answer)
        (one,) = (await look(service, f"{CHANGES}?limit=1&cursor={first['items'][1]['id']}"))["items"]
        assert one == await look(service, f"{CHANGES}/{one['id']}")
        (other,) = [each for each in (await look(service, CHANGES, "editor"))["items"] if each["sku_id"] == "s24"]
        assert other["state"] == "succeeded"  # whoever may write sees all of them


async def test_a_state_asks_for_those_alone_that_are_in_it() -> None:
    owners, gate = Owners(), asyncio.Event()
    async with changing(owners) as service:
        owners.stock.writes.extend([always("", 409)] * 2)
        both: dict[str, Any] = {"price": {"price": 1}, "stock": {"quantity": 1}}
        for number in range(2):
            await changed(service, {"sku_id": f"compensated{number}", **both}, f"c{number}")
        owners.price.reads.append(always("", 404))
        await changed(service, {"sku_id": "failed", **both}, "f")
        for number in range(3):
            await changed(service, {"sku_id": f"succeeded{number}", **both}, f"s{number}")
        owners.price.writes.append(gated(gate, owners.price.store))
        running = await ask(service, {"sku_id": "running", **both}, "r")
        await reaches(service, running.headers["location"], ["running"])
        pending = await ask(service, {"sku_id": "running", **both}, "p")
        stopped = await ask(service, {"sku_id": "running", **both}, "x")
        await send(service, "DELETE", stopped.headers["location"])
        expected = {
            "succeeded": ["succeeded2", "succeeded1", "succeeded0"], "compensated": ["compensated1", "compensated0"],
            "failed": ["failed"], "running": ["running"], "pending": ["running"], "cancelled": ["running"],
            "timed_out": [],
        }  # fmt: skip
        for state, skus in expected.items():
            for limit in (1, 2, 100):
                assert await walked(service, f"state={state}&limit={limit}") == skus
            assert {change["state"] for change in (await look(service, f"{CHANGES}?state={state}"))["items"]} <= {state}
        gate.set()
        await ends(service, pending)


WRONG = {
    "limit": ["0", "-1", "101", "x", "1.5", "1e1", "true", "99999999999999999999", "%00", "1_0", "%2B5", "%205"],
    "state": ["done", "SUCCEEDED", "pending,running", "%27", "null"],
    "cursor": ["x", "-1", "0", "a" * 33, "g" * 32, "A" * 32, "%00" * 32, "'%20or%201=1--"],
}


async def test_parameters_that_are_none_are_422_and_unknown_ones_are_ignored() -> None:
    async with changing(Owners()) as service:
        for name, values in WRONG.items():
            for value in values:
                answer = await send(service, "GET", f"{CHANGES}?{name}={value}")
                assert (answer.status, name, value) == (422, name, value)
                is_problem(answer, 422, "body-invalid", CHANGES)
                assert [error["field"] for error in answer.json["errors"]] == [name]
        for query in ("view=1", "limits=0", "limit=100&x=1", f"cursor={'0' * 32}", f"cursor={'f' * 32}"):
            assert await look(service, f"{CHANGES}?{query}") == {"items": [], "next": None}
        head = await send(service, "HEAD", CHANGES)
        assert (head.status, head.body, head.headers["content-type"]) == (200, b"", "application/json")
        assert head.headers["cache-control"] == "no-store"
