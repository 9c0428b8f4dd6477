"""What is found in Redis under our names and is not ours costs no page, and no pod its place."""

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import until
from tests.redis_server import RedisServer
from tests.service.redispods import page, places
from tests.service.redisstage import Stage, stage
from tests.service.test_redis_faults import has

AS_OF = b"2026-11-21T08:00:00.000Z"


def forged(began: int, kind: bytes, body: bytes, *, version: bytes = b"\x01", crc: int | None = None) -> bytes:
    return b"%b%015d%b%b%08x%b" % (version, began, AS_OF, kind, zlib.crc32(body) if crc is None else crc, body)


GARBAGE: dict[str, Callable[[int], bytes]] = {
    "nothing": lambda now: b"",
    "text": lambda now: b"garbage",
    "binary": lambda now: bytes(range(256)),
    "another version": lambda now: forged(now, b"1", b"{}", version=b"\x02"),
    "a wrong sum": lambda now: forged(now, b"1", b'{"sku_id":"1"}', crc=1),
    "a head alone": lambda now: forged(now, b"1", b"{}")[:49],
    "an unknown kind": lambda now: forged(now, b"7", b"{}"),
    "from the future": lambda now: forged(now + 10_000_000, b"1", b"{}"),
    "a time that is none": lambda now: forged(now, b"1", b"{}").replace(AS_OF, b"x" * 24),
}


async def kept(staged: Stage, sku: str) -> str:
    """Have a product loaded, and return what the keys of its price begin with."""
    await page(staged.first, sku)
    await until(lambda: has(staged.server, f"*{{{sku}}}:v:*", 3))
    return places(staged.server, f"*{{{sku}}}:v:price")[0].removesuffix("v:price")


async def test_a_value_that_is_garbage_is_a_miss(running: RedisServer) -> None:
    async with stage(running) as staged:
        for number, (kind, make) in enumerate(GARBAGE.items()):
            sku = f"bad-{number}"
            stem = await kept(staged, sku)
            running.client().set(f"{stem}v:price", make(running.command("TIME")[0] * 1000))
            for _ in range(2):
                answer = await page(staged.second, sku)
                assert (answer.status, answer.json["price"]) == (200, {"sku_id": sku, "price": 9.5}), kind


async def test_a_value_that_is_garbage_is_replaced(running: RedisServer) -> None:
    async with stage(running) as staged:
        for number, (kind, make) in enumerate(GARBAGE.items()):
            stem = await kept(staged, f"mended-{number}")
            garbage = make(running.command("TIME")[0] * 1000)
            running.client().set(f"{stem}v:price", garbage)

            async def mended(sku: str = f"mended-{number}", key: str = f"{stem}v:price", old: bytes = garbage) -> bool:
                staged.second.service.caching.tiers.forget([sku], ["price"])
                await page(staged.second, sku)
                return raw(running, key) not in (None, old)

            if kind == "from the future":  # the newest is kept: it ends by its ttl, and in a second delete
                continue
            await until(mended)


def raw(server: RedisServer, key: str) -> Any:
    """Return a key's value as it is."""
    client = server.client()
    client.connection_pool.connection_kwargs["decode_responses"] = False
    found: Any = client.get(key)
    client.close()
    return found


async def test_keys_of_a_wrong_type_cost_no_page(running: RedisServer) -> None:
    async with stage(running) as staged:
        for number, kind in enumerate(("v", "n", "l", "v", "n", "l")):
            stem = await kept(staged, f"typed-{number}")
            if kind != "v":
                running.command("DEL", f"{stem}v:price")
            running.command("DEL", f"{stem}{kind}:price")
            running.command(*(("RPUSH",) if number < 3 else ("SET",)), f"{stem}{kind}:price", "x")
            for _ in range(2):
                answer = await page(staged.second, f"typed-{number}")
                assert (answer.status, answer.json["meta"]["complete"]) == (200, True)
            told = await staged.first.admin("/cache/invalidate", "POST", {"sku_ids": [f"typed-{number}"]})
            assert told.status == 204
            assert not places(running, f"{stem}*:price")
        await until(staged.well)


async def test_garbage_in_the_registry_does_not_keep_pods_from_using_it(running: RedisServer) -> None:
    async with stage(running) as staged:
        (registry,) = places(running, "*:pods")
        fields: Any = {"one": b"garbage", "two": b"a:b", "three": b"1:", "four": b":", "five": b"\xff", b"\xff": b"1:1"}
        running.client().hset(registry, mapping=fields)
        try:
            await asyncio.sleep(0.5)  # five ticks
            await until(staged.well)
        finally:
            running.client().hdel(registry, *fields)


@pytest.mark.parametrize("key", ["pods", "due"])
@pytest.mark.parametrize("kind", ["SET", "RPUSH", "SADD"])
async def test_what_is_of_another_type_in_the_place_of_a_registry_is_dropped(
    running: RedisServer, key: str, kind: str
) -> None:
    async with stage(running) as staged:
        (registry,) = places(running, "*:pods")
        name = registry.replace(":pods", f":{key}")
        with running.client().pipeline() as both:
            both.delete(name)
            both.execute_command(kind, name, "garbage")  # type: ignore[no-untyped-call]
            both.execute()
        await until(staged.well)
        assert (await staged.first.admin("/cache/invalidate", "POST", {"sku_ids": ["1"]})).status == 204


async def test_garbage_that_is_due_is_dropped(running: RedisServer) -> None:
    async with stage(running) as staged:
        (registry,) = places(running, "*:pods")
        due = registry.replace(":pods", ":due")
        running.client().zadd(due, {"garbage": 0, "[]": 0, '{"id": 1}': 0})
        await until(lambda: has(running, due, 0))
        await until(staged.well)


OF_A_LATER_RELEASE = '{"i":"1","p":"x","k":["1"],"s":["reviews"]}'


@pytest.mark.parametrize("words", [("garbage", "{}", "t", "tx", "a", "a b"), (OF_A_LATER_RELEASE,)])
async def test_what_it_does_not_understand_of_the_channels_a_pod_passes_over(
    running: RedisServer, words: tuple[str, ...]
) -> None:
    async with stage(running) as staged:
        for channel in running.command("PUBSUB", "CHANNELS", "bff:*"):
            for word in words:
                running.command("PUBLISH", channel, word)
        await asyncio.sleep(0.3)
        await until(staged.well)
