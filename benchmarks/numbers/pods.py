"""Several pods and one Redis: how often a key is loaded, what a page, a write and an outage cost."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from statistics import median, quantiles

from benchmarks.numbers.client import Reply, ask, open_stream
from benchmarks.numbers.process import Serving, cpu_seconds, everywhere, serving
from benchmarks.numbers.report import Row
from benchmarks.numbers.sources import Sources, late, playing, templates, well
from tests.redis_server import RedisServer, redis_server

PODS = 4
CLIENTS = 50
PAGES = 3000
WRITES = 100
RATE = 100  # pages a second while Redis goes away
SOURCE_SECONDS = 0.02
TOKEN = "a-token-of-the-benchmark"
AUTH = json.dumps({"benchmark": {"token": TOKEN, "scopes": ["catalog:write"]}})


async def measure() -> tuple[list[Row], str]:
    """Measure four pods, each a process of its own."""
    rows = [*await _loads(), *await _cost(), *await _writes()]
    for how in ("is stopped", "says nothing"):
        rows += await _away(how)
    notes = (
        f"{PODS} processes of `bff serve`; sources of 150 ms for the loads, {SOURCE_SECONDS * 1000:.0f} ms for writes"
        f" and outages; {RATE} pages a second of products that nobody has asked for, while Redis is away."
    )
    return rows, notes


@asynccontextmanager
async def _pods(sources: Sources, count: int, **settings: object) -> AsyncIterator[tuple[list[Serving], RedisServer]]:
    with redis_server() as redis:
        async with AsyncExitStack() as stack:
            own = {"redis_url": redis.url, "auth__tokens": AUTH, **settings}
            pods = [await stack.enter_async_context(serving(templates(sources), **own)) for _ in range(count)]
            yield pods, redis


async def _loads() -> list[Row]:
    async with playing(lambda name: late(name, 0.15)) as sources, _pods(sources, PODS) as (pods, redis):
        with_redis = await _together(pods, sources, "G1")
        redis.stop()
        await asyncio.sleep(2)
        without = await _together(pods, sources, "G2")
    what = f"{PODS} x {CLIENTS} cold reads of one key at once: loads"
    return [
        Row(what, "<= 1", str(with_redis), with_redis <= 1),
        Row(f"{what}, without Redis", "<= 4", str(without), without <= PODS),
    ]


async def _together(pods: Sequence[Serving], sources: Sources, sku: str) -> int:
    replies = await asyncio.gather(*(ask(pod.public, [sku] * CLIENTS, clients=CLIENTS) for pod in pods))
    assert {reply.status for each in replies for reply in each} == {200}, "a page failed"
    return max(source.asked[sku] for source in sources.values())


async def _cost() -> list[Row]:
    skus = [f"G{number}" for number in range(PAGES)]
    async with playing(well) as sources, _pods(sources, 2, **everywhere(fresh_seconds=3600)) as (pods, _):
        first, second = pods
        await ask(first.public, skus, clients=8)
        await ask(second.public, [f"G9{number}" for number in range(200)], clients=8)
        began = cpu_seconds(second.pid)
        from_redis = await ask(second.public, skus, clients=8)
        between = cpu_seconds(second.pid)
        await ask(second.public, skus, clients=8)  # the first one from memory renders the page
        rendered = cpu_seconds(second.pid)
        await ask(second.public, skus, clients=8)
        ended = cpu_seconds(second.pid)
    assert all(reply.head.count(b"hit; ttl") == 3 for reply in from_redis), "a page was not found in Redis"
    redis, memory, hot = (
        (to - since) / PAGES * 1000 for since, to in ((began, between), (between, rendered), (rendered, ended))
    )
    measured = f"+{redis - memory:.2f} ms ({redis:.2f}; from memory {memory:.2f}, rendered {hot:.2f})"
    return [Row("CPU of a page from Redis, beside one from memory", "<= +0.35 ms", measured, redis - memory <= 0.35)]


async def _writes() -> list[Row]:
    async with playing(lambda name: late(name, SOURCE_SECONDS)) as sources, _pods(sources, PODS) as (pods, _):
        url = sources["price"].url
        await asyncio.sleep(1.5)  # the registry is older than a lease
        for pod in pods:
            await ask(pod.public, ["G1"] * 10)
        alone = [await _put(url, "/price/G1") for _ in range(WRITES)]
        through = [await _put(pods[n % PODS].public, "/api/v1/products/G1/price") for n in range(WRITES)]
    more = (median(through) - median(alone)) * 1000
    worst = quantiles(through, n=100)[98] * 1000
    measured = f"+{more:.1f} ms (owner {median(alone) * 1000:.1f} ms; p99 {worst:.1f} ms)"
    return [Row(f"a PUT through one of {PODS} pods, beside its owner alone, median", "<= +15 ms", measured, more <= 15)]


async def _put(url: str, path: str) -> float:
    body = b'{"sku_id":"G1","price":12.5}'
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    began = time.perf_counter()
    reader, writer = await open_stream(url)
    with closing(writer):
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status = (await reader.readuntil(b"\r\n")).split()[1]
    assert status == b"200", status
    return time.perf_counter() - began


async def _away(how: str) -> list[Row]:
    async with playing(lambda name: late(name, SOURCE_SECONDS)) as sources, _pods(sources, PODS) as (pods, redis):
        well_off = await _steadily(pods, "G1", seconds=4)
        pid = redis.pid
        if how == "is stopped":
            redis.stop()
        else:
            os.kill(pid, signal.SIGSTOP)
        try:
            found_out = await _steadily(pods, "G2", seconds=1)
            away = await _steadily(pods, "G3", seconds=4)
        finally:
            if how != "is stopped":
                os.kill(pid, signal.SIGCONT)
    usual = _p99(well_off)
    errors = sum(reply.status >= 500 for reply in (*found_out, *away))
    return [
        _more(f"Redis {how}: p99 of pages in the first second", usual, found_out, 60),
        _more(f"Redis {how}: p99 of pages afterwards", usual, away, 10),
        Row(f"Redis {how}: answers of 5xx", "0", str(errors), errors == 0),
    ]


async def _steadily(pods: Sequence[Serving], prefix: str, seconds: int) -> list[Reply]:
    """Ask for so many pages a second, each of another product and over a connection of its own."""
    loop = asyncio.get_running_loop()
    began, asked = loop.time(), []
    for number in range(RATE * seconds):
        await asyncio.sleep(began + number / RATE - loop.time())
        asked.append(asyncio.ensure_future(ask(pods[number % len(pods)].public, [f"{prefix}{number:05}"])))
    return [reply for each in await asyncio.gather(*asked) for reply in each]


def _more(what: str, usual: float, replies: Sequence[Reply], goal: int) -> Row:
    more = _p99(replies) - usual
    return Row(what, f"<= +{goal} ms", f"{more:+.1f} ms (usually {usual:.1f} ms)", more <= goal)


def _p99(replies: Sequence[Reply]) -> float:
    return quantiles((reply.seconds * 1000 for reply in replies), n=100)[98]
