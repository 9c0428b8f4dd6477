"""Pods that find Redis by way of sentinels: real ones, and pods that are processes of their own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import pytest
import redis

from tests.contract.process import UNUSED, Served, run
from tests.harness import SOURCES, request, until
from tests.redis_server import LOOPBACK, RedisServer, _free_port, redis_server
from tests.service.redispods import page, process, states
from tests.service.test_redis_address import STARTED_SECONDS, started
from tests.upstreams import parts, upstream

SERVICE = "shop"


@contextmanager
def sentinel(primary: RedisServer, login: tuple[str, ...] = ()) -> Iterator[tuple[int, redis.Redis]]:
    """Run a sentinel of a primary; return its port, and a client."""
    port = _free_port()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "sentinel.conf"
        lines = [
            f"port {port}",
            f"bind {LOOPBACK}",
            f"dir {folder}",
            f"sentinel monitor {SERVICE} {LOOPBACK} {primary.port} 1",
            f"sentinel down-after-milliseconds {SERVICE} 300",
            f"sentinel failover-timeout {SERVICE} 2000",
        ]
        file.write_text("\n".join(lines), encoding="utf-8")
        with started(port, str(file), "--sentinel") as client:
            yield port, client


@pytest.fixture
def watched() -> Iterator[tuple[RedisServer, RedisServer, str]]:
    """Run a primary, its replica and a sentinel; return the two, and the address of the service."""
    with ExitStack() as stack:
        primary, replica = (stack.enter_context(redis_server()) for _ in range(2))
        replica.command("REPLICAOF", LOOPBACK, primary.port)
        port, client = stack.enter_context(sentinel(primary))
        deadline = perf_counter() + STARTED_SECONDS
        while not client.execute_command("SENTINEL", "REPLICAS", SERVICE):  # type: ignore[no-untyped-call]
            assert perf_counter() < deadline
            primary.command("SET", "anything", "x")
            sleep(0.1)
        yield primary, replica, f"redis+sentinel://{LOOPBACK}:9,{LOOPBACK}:{port}/{SERVICE}"


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Served, Served]]:
    """Run two pods."""
    async with AsyncExitStack() as stack:
        ups = {name: await stack.enter_async_context(upstream(parts(name))) for name in SOURCES}
        urls = {f"{name}__url": up.template for name, up in ups.items()}
        long = {f"{name}__fresh_seconds": "600" for name in SOURCES}
        first, second = [await stack.enter_async_context(process(urls, url, **long)) for _ in range(2)]
        yield first, second


async def trusted(pod: Served) -> bool:
    answer = await request(pod.admin, "GET", "/metrics")
    return b"bff_redis_usable 1.0" in answer.body and b"bff_redis_trusted 1.0" in answer.body


async def share(first: Served, second: Served, sku: str) -> None:
    """Check that the second pod finds what the first has loaded."""
    await until(lambda: trusted(first), 20)
    await until(lambda: trusted(second), 20)
    tried: list[str] = []

    async def is_found() -> bool:
        tried.append(f"{sku}-{len(tried)}")
        assert (await page(first, tried[-1])).status == 200
        return states(await page(second, tried[-1])) == ["hit"] * 3

    await until(is_found)


async def test_sentinels_say_where_redis_is(watched: tuple[RedisServer, RedisServer, str]) -> None:
    primary, _, url = watched
    checked = await run("check", settings={**UNUSED, "BFF_REDIS_URL": url})
    run_id = primary.client().info("server")["run_id"][:16]
    assert f"redis: ok, server {run_id}; warning: min-replicas-to-write is 0" in checked.out
    async with two(url) as (first, second):
        await share(first, second, "found")


async def test_a_service_that_no_sentinel_knows_is_told(watched: tuple[RedisServer, RedisServer, str]) -> None:
    _, _, url = watched
    checked = await run("check", settings={**UNUSED, "BFF_REDIS_URL": url.replace(SERVICE, "other")})
    assert "redis: failed" in checked.out


async def test_after_a_fail_over_pods_share_by_way_of_the_new_primary(
    watched: tuple[RedisServer, RedisServer, str],
) -> None:
    primary, replica, url = watched
    async with two(url) as (first, second):
        await share(first, second, "before")
        primary.kill()
        assert (await page(second, "meanwhile")).status == 200

        async def is_primary() -> bool:
            return bool(replica.client().info("replication")["role"] == "master")

        await until(is_primary, 20)
        await share(first, second, "after")
        told = await request(
            first.admin, "POST", "/cache/invalidate", [("Content-Type", "application/json")], b'{"sku_ids": ["1"]}'
        )
        assert told.status == 204
