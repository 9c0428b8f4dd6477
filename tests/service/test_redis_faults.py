"""Faults of Redis: pages go on, the numbers say so, and it is used again by itself once it is well."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.harness import Bff, until
from tests.redis_server import RedisServer
from tests.service.proxy import faulty
from tests.service.redispods import LONG, page, places, pods, states
from tests.service.redisstage import Stage, pages_go_on, stage

ALL_FAILED = ("connect", "timeout", "refused", "lost")


async def failures(pod: Bff) -> float:
    return sum([await pod.metric("bff_redis_failures_total", kind=kind) for kind in ALL_FAILED])


async def unusable(pod: Bff) -> bool:
    return await pod.metric("bff_redis_usable") == 0


async def untrusted(pod: Bff) -> bool:
    return await pod.metric("bff_redis_trusted") == 0


async def _has_failed(pod: Bff, before: float) -> bool:
    return await failures(pod) > before


Fault = Callable[[Stage], None]
AWAY: dict[str, tuple[Fault, Fault]] = {
    "reset": (lambda s: s.proxy.refuse(), lambda s: s.proxy.open()),
    "a black hole": (lambda s: s.proxy.hold(), lambda s: s.proxy.open()),
    "slow": (lambda s: setattr(s.proxy, "slow_seconds", 0.2), lambda s: setattr(s.proxy, "slow_seconds", 0.0)),
    "stopped": (lambda s: s.server.stop(), lambda s: s.server.start()),
}


@pytest.mark.parametrize(("begin", "end"), AWAY.values(), ids=AWAY)
async def test_pages_go_on_and_it_is_used_again_once_it_is_well(running: RedisServer, begin: Fault, end: Fault) -> None:
    async with stage(running) as staged:
        before = await failures(staged.second)
        begin(staged)
        await pages_go_on(staged.second, "during")
        await until(lambda: unusable(staged.second))
        if not staged.proxy.slow_seconds:  # ticks come, if late
            await until(lambda: untrusted(staged.second))
        await pages_go_on(staged.second, "later")
        assert await failures(staged.second) > before
        end(staged)
        await until(staged.well)


async def test_connections_that_died_without_a_word_are_replaced_while_pages_are_asked_for(
    running: RedisServer,
) -> None:
    async with stage(running) as staged:
        before = [(pod, await failures(pod)) for pod in (staged.first, staged.second)]
        staged.proxy.strand()
        for pod, failed in before:  # each has connections of its own, and is soon well again
            await pages_go_on(pod, "stranded")
            await until(partial(_has_failed, pod, failed))
        await until(staged.well)


async def test_connections_that_died_without_a_word_are_replaced_while_no_page_is_asked_for(
    running: RedisServer,
) -> None:
    async with stage(running) as staged:
        staged.proxy.strand()
        await until(lambda: unusable(staged.second))
        await until(staged.well)


async def test_refused_from_the_start_it_is_used_once_it_is_there(running: RedisServer) -> None:
    running.stop()
    async with faulty(running) as proxy, pods(2, proxy.url, **LONG) as (first, second):
        await pages_go_on(first, "early")
        assert await first.metric("bff_redis_usable") == await first.metric("bff_redis_trusted") == 0
        assert await first.metric("bff_redis_failures_total", kind="connect") > 0
        running.start()
        await until(Stage(running, proxy, first, second).well)


async def test_a_black_hole_from_the_start_does_not_keep_a_pod_from_starting(running: RedisServer) -> None:
    async with faulty(running) as proxy:
        proxy.hold()
        async with pods(2, proxy.url, **LONG) as (first, second):
            await pages_go_on(first, "early")
            proxy.open()
            await until(Stage(running, proxy, first, second).well)


async def test_flushed_it_is_filled_again(running: RedisServer) -> None:
    async with stage(running) as staged:
        for _ in range(3):
            running.command("FLUSHALL")
            await pages_go_on(staged.second, "flushed", 3)
        await until(staged.well)
        assert await failures(staged.second) == 0


async def test_scripts_that_are_gone_are_loaded_again(running: RedisServer) -> None:
    async with stage(running) as staged:
        running.command("SCRIPT", "FLUSH")
        await pages_go_on(staged.second, "scriptless")
        await until(staged.well)


async def test_full_it_keeps_nothing_new_and_serves_what_it_has(running: RedisServer) -> None:
    async with stage(running) as staged:
        await page(staged.first, "kept")
        await until(lambda: has(running, "*{kept}:v:*", 3))
        running.command("CONFIG", "SET", "maxmemory", "1")
        try:
            assert states(await page(staged.second, "kept")) == ["hit"] * 3
            await pages_go_on(staged.second, "full")
            assert not places(running, "*{full-1}:v:*")
            assert await staged.second.metric("bff_redis_failures_total", kind="refused") > 0
            assert not await unusable(staged.second)
            answer = await staged.first.admin("/cache/invalidate", "POST", {"sku_ids": ["kept"]})
            assert answer.status == 204  # what tells pods may exceed the bound
            assert not places(running, "*{kept}:v:*")
        finally:
            running.command("CONFIG", "SET", "maxmemory", "0")
        await until(staged.well)


async def has(server: RedisServer, pattern: str, count: int) -> bool:
    return len(places(server, pattern)) == count


FORBIDDEN = {
    "EVALSHA": "-evalsha",
    "SCRIPT": "-script",
    "SUBSCRIBE": "-subscribe",
    "keys": "resetkeys",
    "channels": "resetchannels",
    "everything": "-@all",
}


@pytest.mark.parametrize("rule", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_what_is_forbidden_costs_no_page_and_once_it_is_allowed_it_is_used(
    running: RedisServer, rule: str
) -> None:
    allowed = ("on", "nopass", "~*", "&*", "+@all")
    running.command("ACL", "SETUSER", "pod", *allowed, rule)
    try:
        async with faulty(running) as proxy:
            url = proxy.url.replace("redis://", "redis://pod:any@")
            async with pods(2, url, **LONG) as (first, second):
                await pages_go_on(first, "forbidden-" + rule.strip("+-@"))
                assert await untrusted(first)
                running.command("ACL", "SETUSER", "pod", *allowed)
                await until(Stage(running, proxy, first, second).well)
    finally:
        running.command("ACL", "DELUSER", "pod")


async def test_a_wrong_password_costs_no_page(running: RedisServer) -> None:
    running.command("ACL", "SETUSER", "secured", "on", ">right", "~*", "&*", "+@all")
    async with pods(1, running.url.replace("redis://", "redis://secured:wrong@"), **LONG) as (pod,):
        await pages_go_on(pod, "wrong")
        assert await pod.metric("bff_redis_failures_total", kind="connect") > 0
        assert await unusable(pod)


async def test_another_database_is_another_cache(running: RedisServer) -> None:
    other = running.url.removesuffix("/0") + "/3"
    async with pods(1, running.url, **LONG) as (first,), pods(1, other, **LONG) as (second,):
        await page(first, "apart")
        await until(lambda: has(running, "*{apart}:v:*", 3))
        assert states(await page(second, "apart")) == ["fwd=miss"] * 3
