"""Changes, several pods and one Redis: once it is acknowledged, no pod gives out what was there before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.harness import Answer, Bff, request, until
from tests.redis_server import RedisServer, redis_server
from tests.service.proxy import faulty
from tests.service.redispods import (
    ALLOWED,
    LONG,
    Owner,
    invalidate,
    kept,
    page,
    places,
    pods,
    prices,
    put,
    states,
    trusting,
)

NEW = 7.25
OLD = 9.5


@asynccontextmanager
async def shop(count: int, url: str, **settings: Any) -> AsyncIterator[tuple[list[Bff], Owner]]:
    """Run pods that all have the product in memory, twice over: as parts and as a rendered page."""
    owner = Owner("price")
    async with pods(count, url, price=owner, **{**LONG, **settings}) as everybody:
        for _ in range(3):
            assert await prices(everybody) == [OLD] * count
        yield everybody, owner


async def changed(pod: Bff, sku: str = "1") -> Answer:
    target = "/api/v1/events/product-changed"
    return await request(pod.run.public_url, "POST", target, ALLOWED, b'{"sku_id": "%b"}' % sku.encode())


@pytest.mark.parametrize("tell", [invalidate, changed])
async def test_what_one_pod_is_told_holds_for_all_at_once(server: RedisServer, tell: Any) -> None:
    async with shop(3, server.url) as (everybody, owner):
        for number, pod in enumerate(everybody):
            owner.change("1", price=number)
            assert (await tell(pod)).status == 204
            assert await prices(everybody) == [number] * 3


async def test_while_the_registry_is_new_a_change_waits_for_who_is_not_in_it_and_is_acknowledged() -> None:
    with redis_server() as fresh:
        async with shop(2, fresh.url) as (everybody, owner):
            owner.change("1", price=NEW)
            assert (await changed(everybody[0])).status == 204
            assert await prices(everybody) == [NEW] * 2


async def test_a_remembered_404_is_forgotten_by_all(server: RedisServer) -> None:
    owner = Owner("info")
    owner.unknown = True
    settings: dict[str, Any] = {**LONG, "info__not_found_seconds": "600"}
    async with pods(3, server.url, info=owner, **settings) as everybody:
        for _ in range(2):
            assert [(await page(pod)).status for pod in everybody] == [404] * 3
        owner.unknown = False
        assert [(await page(pod)).status for pod in everybody] == [404] * 3
        assert (await invalidate(everybody[1])).status == 204
        assert [(await page(pod)).status for pod in everybody] == [200] * 3


async def test_only_what_has_changed_is_forgotten(server: RedisServer) -> None:
    async with shop(2, server.url) as ((first, second), _):
        await first.admin("/cache/invalidate", "POST", {"sku_ids": ["1"], "sources": ["price"]})
        assert states(await page(second)) == ["hit", "fwd=miss", "hit"]


async def test_a_thousand_products_are_forgotten_by_all(server: RedisServer) -> None:
    async with shop(2, server.url) as ((first, second), owner):
        owner.change("1", price=NEW)
        skus = [f"x{number}" for number in range(999)] + ["1"]
        assert (await first.admin("/cache/invalidate", "POST", {"sku_ids": skus})).status == 204
        assert await prices([second, first]) == [NEW] * 2


async def test_without_redis_a_change_is_not_acknowledged_and_is_forgotten_here_no_less(server: RedisServer) -> None:
    async with shop(2, server.url) as (everybody, owner):
        server.stop()
        owner.change("1", price=NEW)
        assert (await changed(everybody[0])).status == 503
        assert await prices(everybody) == [NEW] * 2


async def test_the_second_delete_forgets_what_was_kept_meanwhile(server: RedisServer) -> None:
    async with shop(2, server.url, invalidation__second_delete_seconds="0.3") as (everybody, owner):
        assert (await changed(everybody[0])).status == 204
        assert await prices(everybody) == [OLD] * 2
        owner.change("1", price=NEW)  # as a replica of the owner's that lagged behind

        async def is_new() -> bool:
            return await prices(everybody) == [NEW] * 2

        await until(is_new)
        await until(lambda: nothing_is_due(server))


async def nothing_is_due(server: RedisServer) -> bool:
    return not places(server, "*:due")


async def test_what_is_written_is_what_every_pod_serves_from_then_on(server: RedisServer) -> None:
    async with shop(3, server.url) as (everybody, _):
        for number, pod in enumerate([*everybody, *everybody]):
            assert (await put(pod, number)).status == 200
            assert await prices(everybody) == [number] * 3
            await until(lambda: kept(server))  # and it is shared again
        assert not places(server, "*:n:price") or server.command("GET", places(server, "*:n:price")[0])[0] == "n"


async def test_loads_that_read_the_old_value_and_answer_late_give_it_to_nobody_who_comes_later(
    server: RedisServer,
) -> None:
    async with shop(3, server.url) as (everybody, owner):
        await invalidate(everybody[0])
        seen = len(everybody[0].price.seen)
        owner.read_seconds = 0.5
        early = [asyncio.ensure_future(prices(everybody))]
        await until(lambda: is_true(len(everybody[0].price.seen) > seen))
        owner.read_seconds = 0.0
        assert (await put(everybody[1], NEW)).status == 200
        assert not early[0].done()
        for _ in range(5):
            assert await prices(everybody) == [NEW] * 3
        assert set(await early[0]) <= {OLD, NEW}
        for _ in range(3):  # what came late is kept nowhere
            assert await prices(everybody) == [NEW] * 3


async def is_true(value: bool) -> bool:  # noqa: FBT001 - what `until` looks at
    return value


async def test_reads_that_come_while_it_is_written_fill_nothing(server: RedisServer) -> None:
    async with shop(2, server.url) as ((first, second), owner):
        owner.written_seconds = 0.4
        seen = len(first.price.seen)
        writing = asyncio.ensure_future(put(first, NEW))
        await until(lambda: is_true(len(first.price.seen) > seen))
        for pod in (first, second, second):
            answer = await page(pod)
            assert states(answer) == ["hit", "fwd=miss", "hit"]
            assert "stored" not in answer.headers["cache-status"]
        assert not places(server, "*:v:price")
        assert (await writing).status == 200
        assert await prices([first, second]) == [NEW] * 2


async def test_two_writers_of_one_part_leave_what_the_owner_took_last(server: RedisServer) -> None:
    async with shop(3, server.url) as (everybody, owner):
        owner.written_seconds = 0.2
        first = asyncio.ensure_future(put(everybody[0], 1))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(put(everybody[1], 2))
        assert (await first).status == 200
        assert await prices(everybody) == [2] * 3
        assert (await second).status == 200
        assert await prices(everybody) == [2] * 3


async def test_without_redis_nothing_is_written(server: RedisServer) -> None:
    async with shop(2, server.url) as (everybody, _):
        server.stop()
        answer = await put(everybody[0], NEW)
        assert (answer.status, answer.json["type"]) == (503, "urn:bff:problem:overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert not [seen for seen in everybody[0].price.seen if seen.method == "PUT"]
        assert await prices(everybody) == [OLD] * 2


async def test_where_redis_dies_before_the_end_it_is_stored_and_said_to_be_unconfirmed(server: RedisServer) -> None:
    async with shop(2, server.url) as (everybody, owner):
        owner.written_seconds = 0.4
        writing = asyncio.ensure_future(put(everybody[0], NEW))
        await until(lambda: is_true(any(seen.method == "PUT" for seen in everybody[0].price.seen)))
        server.kill()
        assert (await writing).status == 202
        assert await prices(everybody) == [NEW] * 2
        server.start()
        await until(lambda: is_true(all(trusting(pod) for pod in everybody)))
        for _ in range(2):
            assert await prices(everybody) == [NEW] * 2


async def test_an_end_that_no_pod_could_be_told_of_is_told_once_redis_is_back(server: RedisServer) -> None:
    async with faulty(server) as proxy, shop(2, proxy.url) as (everybody, owner):
        owner.written_seconds = 0.3
        writing = asyncio.ensure_future(put(everybody[0], NEW))
        await until(lambda: is_true(any(seen.method == "PUT" for seen in everybody[0].price.seen)))
        proxy.refuse()
        assert (await writing).status == 202
        assert places(server, "*:n:price")  # the mark stands
        proxy.open()
        await until(lambda: is_true(not places(server, "*:n:price") or bool(places(server, "*:due"))))
        await until(lambda: is_true(all(trusting(pod) for pod in everybody)))
        assert await prices(everybody) == [NEW] * 2


async def test_where_the_outcome_is_unknown_readers_ask_the_source_until_the_mark_ends(server: RedisServer) -> None:
    async with shop(2, server.url, price__write_timeout_seconds="0.5") as (everybody, owner):
        owner.stores, owner.written_seconds = False, 30.0
        assert (await put(everybody[0], NEW)).status == 504
        assert places(server, "*:n:price")
        assert await prices(everybody) == [OLD] * 2
        owner.change("1", price=NEW)  # stored late
        assert await prices(everybody) == [NEW] * 2
        assert not places(server, "*:v:price")

        async def shared_again() -> bool:
            return await prices(everybody) == [NEW] * 2 and bool(places(server, "*:v:price"))

        await until(shared_again)
