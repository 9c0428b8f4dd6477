"""The contract: bulk calls, the pages that wait for them, and the cache: who leaves, what is forgotten."""

import asyncio
import re
from typing import Any

from tests.contract.bulk import ALONE, BULK, URL, amounts, joined
from tests.harness import Bff, bff, until
from tests.upstreams import Seen, after, always, bulk, hang, in_turn

SKUS = ["a", "b", "c", "d"]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PATIENT: dict[str, Any] = {"deadline_seconds": "30", "price__attempt_timeout_seconds": "30"}
ALLOWED = {"host", "accept", "accept-encoding", "user-agent", "x-request-id", "x-request-timeout-ms", "traceparent",
           "tracestate", "connection", "x-key"}  # fmt: skip


async def asked(service: Bff, count: int) -> bool:
    return len(service.price.seen) >= count


async def idle(service: Bff) -> bool:
    sources = (await service.admin("/sources")).json
    return all(source["in_flight"] == source["waiting"] == 0 for source in sources.values())


async def cancelled(service: Bff) -> float:
    return await service.metric("bff_upstream_attempts_total", source="price", outcome="cancelled")


async def leave(*pages: asyncio.Task[Any]) -> None:
    for page in pages:
        page.cancel()
    await asyncio.gather(*pages, return_exceptions=True)
    await asyncio.sleep(0.3)  # more than it takes to notice


async def test_a_client_that_leaves_takes_nobodys_answer_with_it() -> None:
    free = asyncio.Event()

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await free.wait()
        await bulk("price")(seen, writer)

    async with joined(SKUS, script, **ALONE) as together:
        pages = dict(together.pages)
        together.release()
        await until(lambda: asked(together.service, 2))
        await leave(pages["a"], pages["c"])
        assert await cancelled(together.service) == 0
        free.set()
        assert [(await pages[sku]).states["price"] for sku in ("b", "d")] == ["ok", "ok"]
        assert together.calls == [SKUS]
        together.forget("a", "c")


async def test_a_call_is_cancelled_when_the_last_that_waits_for_it_has_left() -> None:
    async with joined(SKUS, hang, **ALONE, price__circuit__min_attempts="2") as together:
        pages = dict(together.pages)
        together.release()
        await until(lambda: asked(together.service, 2))
        for sku in SKUS[:-1]:
            await leave(pages[sku])
        assert await cancelled(together.service) == 0
        await leave(pages[SKUS[-1]])
        await until(lambda: idle(together.service))
        assert await cancelled(together.service) == 1
        assert await together.service.circuit("price") == "closed"
        together.forget(*SKUS)


async def test_a_client_that_leaves_before_its_call_is_sent_is_not_asked_for() -> None:
    async with joined(SKUS, bulk("price"), **ALONE) as together:
        await leave(together.pages["b"])
        together.forget("b")
        assert amounts(await together.found()) == {"a": 9.5, "c": 9.5, "d": 9.5}
        assert together.calls == [["a", "c", "d"]]


async def test_no_call_is_made_where_everybody_left_before() -> None:
    async with joined(SKUS, bulk("price"), **ALONE) as together:
        await leave(*(together.pages[sku] for sku in SKUS))
        together.forget(*SKUS)
        assert await together.answers() == {}
        await until(lambda: idle(together.service))
        assert together.calls == []


async def test_one_of_two_that_want_the_same_sku_may_leave() -> None:
    async with joined(SKUS, bulk("price"), **ALONE) as together:
        second = asyncio.ensure_future(together.service.page("a"))
        await asyncio.sleep(0.3)
        await leave(together.pages["a"])
        together.forget("a")
        await together.answers()
        assert (await second).states["price"] == "ok"
        assert together.calls == [SKUS]


async def test_a_callers_deadline_ends_its_waiting_and_not_the_call_which_fills_the_cache() -> None:
    async with joined([], bulk("price"), **ALONE) as together:
        hasty = [together.service.page(sku, X_Request_Timeout_Ms="100") for sku in SKUS]
        assert {page.reasons["price"] for page in await asyncio.gather(*hasty)} == {"overloaded"}
        await together.answers()
        await until(lambda: idle(together.service))
        assert together.calls == [SKUS]
        for sku in SKUS:
            assert (
                (await together.service.page(sku)).headers["cache-status"].split(", ")[1].startswith("bff-price; hit")
            )
        assert together.calls == [SKUS]


async def test_a_load_that_was_under_way_fills_nothing_after_an_invalidation_and_its_neighbours_do() -> None:
    free = asyncio.Event()

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await free.wait()
        await bulk("price", price=1)(seen, writer)

    async with joined(SKUS, script, **ALONE, price__fresh_seconds="600") as together:
        service = together.service
        together.release()
        await until(lambda: asked(service, 2))
        await service.admin("/cache/invalidate", "POST", {"sku_ids": ["a", "b"], "sources": ["price"]})
        free.set()
        assert amounts(await together.found()) == dict.fromkeys(SKUS, 1)
        together.script = bulk("price", price=2)
        found = {sku: (await service.page(sku)).json["price"]["price"] for sku in SKUS}
        assert found == {"a": 2, "b": 2, "c": 1, "d": 1}


async def test_a_reader_after_an_invalidation_joins_no_call_that_was_under_way() -> None:
    free = asyncio.Event()

    async def old(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await free.wait()
        await bulk("price", price=1)(seen, writer)

    async with bff(price=in_turn(old, bulk("price", price=2)), **BULK, **PATIENT) as service:
        first = asyncio.ensure_future(service.page("a"))
        await until(lambda: asked(service, 1))
        await service.admin("/cache/invalidate", "POST", {"sku_ids": ["a"]})
        assert (await service.page("a")).json["price"]["price"] == 2
        free.set()
        assert (await first).json["price"]["price"] == 1
        assert (await service.page("a")).json["price"]["price"] == 2


async def test_one_that_was_invalidated_while_it_waited_for_a_slot_is_never_the_value_before() -> None:
    async with joined(SKUS, bulk("price"), **ALONE) as together:
        await together.service.admin("/cache/invalidate", "POST", {"sku_ids": ["a"]})
        await together.ask(["a"])
        assert amounts(await together.found()) == dict.fromkeys(SKUS, 9.5)
        assert sorted(map(len, together.calls)) == [1, 4]


async def test_stale_values_are_served_while_one_call_reads_them_again() -> None:
    times = {"price__fresh_seconds": "0.3", "price__revalidate_seconds": "60"}
    async with joined(SKUS, bulk("price", price=1), **ALONE, **times) as together:
        await together.answers()
        service = together.service
        together.script = bulk("price", price=2)
        await asyncio.sleep(0.4)
        await together.hold()
        pages = [await service.page(sku) for sku in SKUS]
        assert {(page.reasons["price"], page.json["price"]["price"]) for page in pages} == {("revalidating", 1)}
        together.release()
        await until(lambda: reads(service, 2))
        assert together.calls == [SKUS, SKUS]


async def reads(service: Bff, amount: int) -> bool:
    pages = [await service.page(sku) for sku in SKUS]
    return {page.json["price"]["price"] for page in pages} == {amount}


async def test_a_value_that_is_being_read_is_refreshed_ahead_in_bulk() -> None:
    times: dict[str, Any] = {"price__fresh_seconds": "2", "price__revalidate_seconds": "0", "price__stale_seconds": "0"}
    async with bff(price=in_turn(bulk("price", price=1), bulk("price", price=2)), **BULK, **times) as service:
        found: list[str] = []

        async def refreshed() -> bool:
            answer = await service.page("a")
            found.append(answer.headers["cache-status"].split(", ")[1].split("; ")[1])
            return bool(answer.json["price"]["price"] == 2)

        await until(refreshed)
        assert [seen.target for seen in service.price.seen] == ["/parts?skus=a"] * 2
    assert (found[0], set(found[1:])) == ("fwd=miss", {"hit"})


async def test_the_call_has_the_headers_of_a_single_one() -> None:
    sent = {"X-Request-Id": "mine", "traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=1",
            "Authorization": "Bearer s3cret", "Cookie": "s3cret", "X-Client": "web", "Referer": "s3cret"}  # fmt: skip
    own: dict[str, Any] = {"price__headers": {"X-Key": "k", "Accept": "text/json"}}
    post: dict[str, Any] = {"price__bulk_method": "POST", "price__bulk_body": {"skus": "{skus}"}}
    for settings, added in (({}, set()), (post, {"content-type", "content-length"})):
        async with bff(price=bulk("price"), **BULK, **own, **settings, deadline_seconds="5") as service:
            await service.get("/api/v1/products/1001", sent)
            headers = service.price.seen[0].headers
        assert set(headers) <= ALLOWED | added
        assert (headers["x-request-id"], headers["tracestate"]) == ("mine", "a=1")
        assert re.fullmatch(rf"00-{TRACE}-(?!{PARENT})[0-9a-f]{{16}}-01", headers["traceparent"])
        assert (headers["x-key"], headers["accept"], headers["accept-encoding"]) == ("k", "text/json", "gzip")
        assert 4000 < int(headers["x-request-timeout-ms"]) <= 5000
        assert "s3cret" not in str(headers)


async def test_repeats_and_halves_are_told_less_time_than_the_call_before() -> None:
    script = in_turn(after(0.05, always("no", 503)), bulk("price"))
    async with joined(SKUS, script, price__retry_floor="100") as together:
        await together.answers()
        whole, *halves = (int(seen.headers["x-request-timeout-ms"]) for seen in together.service.price.seen[1:])
    assert len(halves) == 2
    assert 30000 >= whole > max(halves) >= 1


async def test_every_page_of_a_call_has_the_moment_in_which_the_call_began() -> None:
    async with joined(SKUS, bulk("price"), info__bulk_url=URL, info=bulk("info"), **ALONE) as together:
        answers = await together.answers()
        assert together.calls == [SKUS]
    assert len({answer.json["meta"]["sources"]["price"]["as_of"] for answer in answers.values()}) == 1
