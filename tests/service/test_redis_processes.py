"""Pods as real processes that are killed or stopped in the middle of a change: the others are right no less."""

import asyncio
import signal

import pytest

from tests.contract.process import Served
from tests.harness import Bff, request, until
from tests.redis_server import RedisServer
from tests.service.redispods import ALLOWED, LONG, Owner, page, places, pods, prices, process, put
from tests.service.test_redis_changes import is_true

NEW, OLD = 7.25, 9.5
LEASE_SECONDS = 1.0


async def changed(pod: Bff | Served) -> int:
    url = pod.run.public_url if isinstance(pod, Bff) else pod.public
    answer = await request(url, "POST", "/api/v1/events/product-changed", ALLOWED, b'{"sku_id": "1"}')
    return answer.status


def puts(pod: Bff) -> int:
    return sum(seen.method == "PUT" for seen in pod.price.seen)


async def test_another_pod_carries_out_the_second_delete_of_one_that_was_killed(server: RedisServer) -> None:
    owner, seconds = Owner("price"), {"invalidation__second_delete_seconds": "1"}
    async with pods(2, server.url, price=owner, **LONG, **seconds) as others:
        async with process(others[0], server.url, **seconds) as told:
            assert await changed(told) == 204
            told.process.kill()
            await told.process.wait()
        assert await prices(others) == [OLD] * 2
        owner.change("1", price=NEW)

        async def is_new() -> bool:
            return await prices(others) == [NEW] * 2

        await until(is_new)
        await until(lambda: is_true(not places(server, "*:due")))


async def test_where_the_writer_is_killed_before_the_end_the_others_serve_what_it_wrote(server: RedisServer) -> None:
    owner = Owner("price")
    async with pods(2, server.url, price=owner, **LONG) as others, process(others[0], server.url) as writer:
        await page(writer)
        assert await prices(others) == [OLD] * 2
        owner.written_seconds = 5.0
        writing = asyncio.ensure_future(put(writer, NEW))
        await until(lambda: is_true(puts(others[0]) == 1))
        writer.process.kill()
        await asyncio.gather(writing, return_exceptions=True)

        async def is_new() -> bool:
            return await prices(others) == [NEW] * 2

        await until(is_new, 10.0)
        for _ in range(3):
            assert await prices(others) == [NEW] * 2


@pytest.mark.parametrize("through", ["PUT", "a notice"])
async def test_a_pod_that_is_stopped_holds_a_change_up_for_its_lease_and_never_serves_the_old(
    server: RedisServer, through: str
) -> None:
    owner = Owner("price")
    async with pods(2, server.url, price=owner, **LONG) as others, process(others[0], server.url, **LONG) as stopped:
        everybody: list[Bff | Served] = [*others, stopped]
        for _ in range(3):
            assert await prices(everybody) == [OLD] * 3
        stopped.process.send_signal(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        began = loop.time()
        if through == "PUT":
            assert (await put(others[0], NEW)).status == 200
        else:
            owner.change("1", price=NEW)
            assert await changed(others[0]) == 204
        assert loop.time() - began < 5 * LEASE_SECONDS  # generous: that it hangs would be the fault
        asking = asyncio.ensure_future(prices([stopped]))
        assert await prices(others) == [NEW] * 2
        stopped.process.send_signal(signal.SIGCONT)
        assert await asking == [NEW]
        assert await prices(everybody) == [NEW] * 3


async def test_a_pod_that_was_killed_holds_writes_up_for_a_while_and_prevents_none(server: RedisServer) -> None:
    owner = Owner("price")
    async with pods(2, server.url, price=owner, **LONG) as others:
        async with process(others[0], server.url) as killed:
            assert [*await prices(others), *await prices([killed])] == [OLD] * 3
            killed.process.kill()
            await killed.process.wait()
        for price in (1, 2):
            assert (await put(others[0], price)).status == 200
            assert await prices(others) == [price] * 2


async def test_a_pod_that_ends_says_goodbye_so_that_nobody_waits_for_it(server: RedisServer) -> None:
    async with pods(2, server.url, **LONG) as others:
        async with process(others[0], server.url) as ended:
            await until(lambda: is_true(others[0].service.caching.figures()["redis"]["pods"] == 3))
            ended.process.terminate()
            assert (await ended.end()).code == 0
        (registry,) = places(server, "*:pods")
        assert len(server.command("HKEYS", registry)) == 3  # the two that are left, and since when it is there
