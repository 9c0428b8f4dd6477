"""Pages of several pods over one Redis: what one has loaded the others find, and one loads for all."""

import asyncio
from collections.abc import Callable
from typing import Any

from bff.wiring.clocks import clock
from tests.harness import SOURCES, Bff, patient, until
from tests.redis_server import RedisServer
from tests.service.redispods import LONG, Owner, invalidate, kept, page, places, pods, process, states, trusting
from tests.upstreams import Script, Seen, always, hang, parts

HITS, MISSES = ["hit"] * 3, ["fwd=miss"] * 3
CLIENTS = 50
# Of pods whose callers may change something each starts an engine for that, and all share one process here.
READING: dict[str, Any] = {"auth__tokens": {}}


def asked(pod: Bff) -> list[int]:
    return [len(up.seen) for up in (pod.info, pod.price, pod.stock)]


def questions(server: RedisServer) -> int:
    """Return how many scripts have run."""
    return int(server.client().info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


async def all_are(everybody: list[Bff], so: Callable[[Bff], bool]) -> bool:
    return all(map(so, everybody))


def cut_off(pod: Bff) -> bool:
    """Whether writers wait for its loads, so that it may share them without Redis."""
    redis = pod.service.caching.redis
    return redis is not None and redis.pods.cut_off_since(clock())


async def is_there(server: RedisServer, pattern: str) -> bool:
    return bool(places(server, pattern))


async def loaded(pod: Bff, server: RedisServer, sku: str = "1") -> Any:
    """Have a pod load a page, and wait until Redis has it."""
    answer = await page(pod, sku)
    await until(lambda: kept(server, sku))
    return answer


async def test_what_one_pod_has_loaded_another_finds_as_it_is(server: RedisServer) -> None:
    async with pods(2, server.url, **LONG) as (first, second):
        answer = await loaded(first, server)
        assert states(answer) == MISSES
        found, again = await page(second), await page(second)
        assert states(found) == states(again) == HITS
        assert asked(first) == [1, 1, 1]
        assert found.body == again.body == answer.body  # as_of and all
        assert found.headers["etag"] == answer.headers["etag"]
        assert "max-age" in found.headers["cache-control"]
        assert await second.metric("bff_cache_lookups_total", source="price", tier="redis", result="fresh") == 1


async def test_a_value_is_as_old_for_the_pod_that_found_it_as_for_the_one_that_loaded_it(server: RedisServer) -> None:
    async with pods(2, server.url, **LONG, price__stale_seconds="700") as (first, second):
        await loaded(first, server)
        await asyncio.sleep(0.3)
        await page(second)
        mine, theirs = (pod.service.caching.tiers.of("price").current("1") for pod in (first, second))
        assert mine is not None
        assert theirs is not None
        assert mine.began - 0.1 < theirs.began <= mine.began  # one clock here: rather older, never younger
        assert theirs.bound <= theirs.began + 1300


async def test_three_parts_are_one_question(server: RedisServer) -> None:
    async with pods(2, server.url, **LONG) as (first, second):
        await loaded(first, server)
        await loaded(first, server, "2")
        lanes = [pod.service.caching.redis for pod in (first, second)]
        assert all(lanes)
        for redis in lanes:  # ticks are scripts, too
            assert redis is not None
            redis.pods._tasks[0].cancel()
        await asyncio.sleep(0.05)
        before = questions(server)
        await page(second)
        assert questions(server) - before == 1
        await page(second)  # out of memory
        assert questions(server) - before == 1


async def test_a_404_is_remembered_for_all(server: RedisServer) -> None:
    async with pods(2, server.url, price=always("no", 404), price__not_found_seconds="60", **LONG) as (first, second):
        await loaded(first, server)
        answer = await page(second)
        assert (answer.status, answer.reasons["price"], asked(first)) == (200, "not_found", [1, 1, 1])
        assert "bff-price; hit; ttl=5" in answer.headers["cache-status"]
        assert answer.json["price"] is None


async def test_a_404_that_decides_the_page_is_found_too(server: RedisServer) -> None:
    async with pods(2, server.url, info=always("no", 404), info__not_found_seconds="60") as (first, second):
        assert (await page(first)).status == 404
        await until(lambda: is_there(server, "*{1}:v:info"))
        assert (await page(second)).status == 404
        assert len(first.info.seen) == 1


async def test_a_value_that_turns_unknown_is_a_404_for_all_once_it_is_asked_for_anew(server: RedisServer) -> None:
    owner = Owner("info")
    async with pods(2, server.url, info=owner, **LONG) as (first, second):
        await loaded(first, server)
        assert (await page(second)).status == 200
        owner.unknown = True
        await invalidate(second)
        assert [(await page(pod)).status for pod in (first, second)] == [404, 404]


REVALIDATED: dict[str, Any] = {**LONG, "price__fresh_seconds": "0.4", "price__revalidate_seconds": "60"}


async def test_what_is_past_its_fresh_time_is_found_and_refreshed_once_for_all(server: RedisServer) -> None:
    owner = Owner("price")
    async with pods(2, server.url, price=owner, **REVALIDATED) as (first, second):
        await loaded(first, server)
        owner.change("1", price=7)
        await asyncio.sleep(0.45)
        answer = await page(second)
        assert (answer.json["price"]["price"], answer.reasons["price"]) == (9.5, "revalidating")

        async def refreshed() -> bool:
            return bool((await page(second)).json["price"]["price"] == 7)

        await until(refreshed)


async def test_another_pods_refresh_is_taken(server: RedisServer) -> None:
    price = Owner("price")
    lives = {**LONG, "price__fresh_seconds": "3", "price__revalidate_seconds": "60"}
    async with pods(2, server.url, price=price, **lives) as (first, second):
        await loaded(first, server)
        await page(second)
        (entry,) = places(server, "*{1}:v:price")
        old = server.command("GET", entry)
        await asyncio.sleep(3.05)
        assert (await page(first)).reasons["price"] == "revalidating"

        async def newer() -> bool:
            return bool(server.command("GET", entry) != old)

        await until(newer)
        assert (await page(second)).reasons["price"] == "revalidating"  # from memory, and asks Redis behind its back

        async def taken() -> bool:
            return (await page(second)).reasons["price"] is None

        await until(taken)
        assert len(first.price.seen) == 2


async def test_after_a_flush_each_pod_loads_each_key_once_at_most(server: RedisServer) -> None:
    async with pods(3, server.url, **LONG) as everybody:
        first = everybody[0]
        for sku in ("1", "2"):
            await loaded(first, server, sku)
            await asyncio.gather(*(page(pod, sku) for pod in everybody))
        server.command("FLUSHALL")
        for _ in range(3):
            answers = await asyncio.gather(*(page(pod, sku) for pod in everybody for sku in ("1", "2")))
            assert {answer.status for answer in answers} == {200}
        assert max(asked(first)) <= 2 + 2 * len(everybody)


async def cold(everybody: list[Bff], free: asyncio.Event) -> list[Any]:
    """Have many ask each pod for what none of them has, and let the sources answer once all have asked."""

    async def missed() -> bool:
        labels = {"source": "price", "tier": "memory", "result": "miss"}
        return all([await pod.metric("bff_cache_lookups_total", **labels) == CLIENTS for pod in everybody])

    asking = asyncio.gather(*(page(pod) for pod in everybody for _ in range(CLIENTS)))
    await until(missed)
    free.set()
    return await asking


def held(free: asyncio.Event) -> dict[str, Any]:
    """Sources that answer nobody before they may."""

    def one(answer: Script) -> Script:
        async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await free.wait()
            await answer(seen, writer)

        return script

    return {name: one(parts(name)) for name in SOURCES}


async def test_of_many_that_miss_at_once_one_loads(server: RedisServer) -> None:
    free = asyncio.Event()
    async with pods(4, server.url, **held(free), **READING, **LONG, **patient()) as everybody:
        await until(lambda: all_are(everybody, trusting))
        answers = await cold(everybody, free)
        assert {(answer.status, answer.json["meta"]["complete"]) for answer in answers} == {(200, True)}
        assert asked(everybody[0]) == [1, 1, 1]


async def test_without_redis_each_pod_loads_once(server: RedisServer) -> None:
    free = asyncio.Event()
    async with pods(4, server.url, **held(free), **READING, **LONG, **patient()) as everybody:
        await until(lambda: all_are(everybody, trusting))
        server.stop()
        await until(lambda: all_are(everybody, cut_off))
        answers = await cold(everybody, free)
        assert {(answer.status, answer.json["meta"]["complete"]) for answer in answers} == {(200, True)}
        assert max(asked(everybody[0])) <= 4


async def test_where_the_pod_that_loads_is_killed_the_others_load(server: RedisServer) -> None:
    async with pods(2, server.url, price=hang, **LONG) as everybody:
        first = everybody[0]
        async with process(first, server.url) as leader:
            leading = asyncio.ensure_future(page(leader))

            async def leads() -> bool:
                return bool(first.price.seen) and bool(places(server, "*:l:price"))

            await until(leads)
            first.price.script = parts("price")
            following = [asyncio.ensure_future(page(pod)) for pod in everybody]
            leader.process.kill()
            answers = await asyncio.gather(*following)
            assert {(answer.status, answer.json["meta"]["complete"]) for answer in answers} == {(200, True)}
            await asyncio.gather(leading, return_exceptions=True)
        assert 2 <= len(first.price.seen) <= 3
