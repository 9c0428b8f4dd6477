"""Interleavings that once gave an old value out, or kept a part from being loaded."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.harness import SOURCES, Bff, bff, request, until
from tests.redis_server import RedisServer
from tests.service.proxy import Faulty, faulty
from tests.service.redispods import ALLOWED, LONG, TOKENS, Owner, age, page, places, pods, prices, put, trusting
from tests.upstreams import Seen, part, response


class Announced(Owner):
    """A source that tells when it is being written to, some milliseconds before it stores that."""

    def __init__(self) -> None:
        super().__init__("price")
        self.asked, self.soon = asyncio.Event(), asyncio.Event()
        self.fails = False

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "PUT":
            self.asked.set()
            await asyncio.sleep(0.1)
            self.soon.set()
            await asyncio.sleep(0.008)
        if seen.method == "GET" and self.fails:
            writer.write(response("{}", 500))
            return
        await super().__call__(seen, writer)


@asynccontextmanager
async def _two(server: RedisServer, owner: Announced, **settings: Any) -> AsyncIterator[tuple[Faulty, Bff, Bff]]:
    """Run a pod to write by, and one to read by that has the price in its memory, and a way to Redis that can fail."""
    async with faulty(server) as way, pods(1, server.url, price=owner, **LONG) as [writer]:
        urls: dict[str, Any] = {f"{name}__url": getattr(writer, name).template for name in SOURCES}
        async with bff(**urls, redis_url=way.url, auth__tokens=TOKENS, **LONG, **settings) as reader:
            age(server)
            await until(lambda: _trusts(reader))
            assert await prices([writer, reader]) == [9.5, 9.5]
            yield way, writer, reader


async def test_who_comes_after_a_write_is_not_given_what_a_load_under_its_mark_has_read(server: RedisServer) -> None:
    owner = Announced()
    async with _two(server, owner) as (way, writer, reader):
        way.slow_seconds, owner.read_seconds = 0.035, 0.4
        writing = asyncio.ensure_future(put(writer, 1.0))
        await owner.asked.wait()
        under_the_mark = asyncio.ensure_future(page(reader))  # it reads the old value, and is slow
        await owner.soon.wait()
        asked = asyncio.ensure_future(page(reader))  # Redis says that the mark stands; that is under way for 35 ms
        assert (await writing).status == 200
        after = await page(reader)
        await asyncio.gather(under_the_mark, asked)
        assert after.json["price"]["price"] == 1.0


async def test_a_load_that_its_client_left_in_a_batch_keeps_nobody_waiting(server: RedisServer) -> None:
    seconds = 0.3

    async def bulk(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(response(json.dumps([json.loads(part("price", sku)) for sku in seen.skus])))

    async with bff(price=bulk, price__bulk_url="/bulk?skus={skus}", redis_url=server.url, **LONG) as pod:
        await until(lambda: _trusts(pod))
        await asyncio.gather(_leave(pod, "1"), page(pod, "2"))
        seconds = 0
        assert (await page(pod, "1")).states["price"] == "ok"
        await asyncio.sleep(0.3)
        assert not places(server, "*:l:price")


async def test_a_pod_that_hears_of_every_change_again_gives_out_nothing_from_before(server: RedisServer) -> None:
    owner = Announced()
    async with _two(server, owner, price__attempts=1) as (way, writer, reader):
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
        assert (await put(writer, 1.0)).status == 200
        await until(lambda: _trusts(reader))
        owner.fails, way.slow_seconds = True, 0.08  # so that Redis is too late, once
        answer = await page(reader)
        assert (answer.states["price"], answer.json["price"]) == ("missing", None)


async def test_an_event_in_the_middle_of_a_write_leaves_no_mark_behind(server: RedisServer) -> None:
    owner = Announced()
    async with pods(2, server.url, price=owner, **LONG) as (first, second):
        age(server)
        await until(lambda: _trusts(second))
        writing = asyncio.ensure_future(put(first, 1.0))
        await owner.asked.wait()
        url, body = second.run.public_url, b'{"sku_id":"1"}'
        assert (await request(url, "POST", "/api/v1/events/product-changed", ALLOWED, body)).status == 204
        assert (await writing).status == 200
        assert not places(server, "*:n:price")
        assert await prices([first, second]) == [1.0, 1.0]


async def _trusts(pod: Bff) -> bool:
    return trusting(pod)


async def _leave(pod: Bff, sku: str) -> None:
    """Ask for a page, and leave before it is there."""
    to = urlsplit(pod.run.public_url)
    _, writer = await asyncio.open_connection(to.hostname, to.port)
    writer.write(f"GET /api/v1/products/{sku} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await asyncio.sleep(0.1)
    writer.close()
