"""A great many SKUs through the real pages and cache, in this process, over sources that answer at once.

`python -m benchmarks.numbers.million known|unknown COUNT` prints a line of JSON for each tenth.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import uvloop

from benchmarks.numbers.process import MIB, weight
from bff.cache.entry import Lifetimes
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Tiers
from bff.environment import load
from bff.product.fanout import Needs, Page
from bff.product.guard import Guard
from bff.product.loader import Landings, Singly, Time
from bff.product.pages import Pages
from bff.product.parts import SOURCES, Ok, SourceName
from bff.product.upstream import Upstream
from bff.resilience.alarms import Alarms
from bff.resilience.breaker import BreakerPolicy, Circuit
from bff.resilience.budget import RetryBudget
from bff.resilience.bulkhead import Bulkhead
from bff.resilience.retry import Retry, RetryPolicy
from bff.resilience.stack import Call
from bff.wiring.sources import source_client
from clients.source import Caller

MAX_ENTRIES = 30_000
MAX_BYTES = 16 * MIB
HOT = 100
AT_ONCE = 50
READ_EVERY = 1000
_BODY = b'{"sku_id":"%d","name":"Everyday Kettle","description":"' + b"x" * 200 + b'"}'


class Answers:
    """Sources that answer at once: with a part of its own for each question, or that there is none."""

    def __init__(self) -> None:
        self.unknown = False
        self.count = 0

    async def __call__(self, call: Call) -> bytes | None:
        """Answer a question."""
        self.count += 1
        await asyncio.sleep(0)
        call.began = time.perf_counter()
        return None if self.unknown else _BODY % self.count


def made(answers: Answers) -> tuple[Pages, Tiers]:
    """Put pages and cache together, as wiring does, but for what stands around a call."""
    clock = time.perf_counter
    cache = Tiers(MemoryTier(SOURCES, MAX_ENTRIES, MAX_BYTES), SOURCES)
    upstreams = {name: _upstream(name, answers, cache) for name in SOURCES}
    needs = Needs(upstreams, cache.memory, cache.trust, frozenset({"info"}), clock, Alarms(clock), _nothing, _nothing)
    return Pages(needs, _nothing), cache


def _upstream(name: SourceName, answers: Answers, cache: Tiers) -> Upstream:
    clock = time.perf_counter
    settings = load({f"BFF_{source.upper()}__URL": "http://127.0.0.1:9/{sku}" for source in SOURCES})
    circuit = Circuit(BreakerPolicy(0.5, 20, 10, 5, 3), clock)
    budget = RetryBudget(0.2, 10, clock)
    retry = Retry(RetryPolicy(1, (), lambda _: 0.0), budget, clock, random.uniform, asyncio.sleep)
    guard = Guard(answers, retry, circuit, Bulkhead(64, 256, clock), budget)
    lifetimes = Lifetimes(fresh=86_400, revalidate=0, stale=0, not_found=5)
    wall = Time(0.8, clock, clock, random.random)
    landings = Landings(name, cache.of(name), lifetimes, wall)
    loading = Singly(source_client(name, getattr(settings, name)), answers, landings, wall)
    return Upstream(name, loading, guard, cache.of(name), clock, _nothing)


def _nothing(*_: Any) -> None:
    """Count nothing."""


async def run(kind: str, count: int) -> None:
    """Ask for so many SKUs, reading the hot pages now and then where the others are known too."""
    answers = Answers()
    pages, cache = made(answers)
    load_page = partial(_load, pages)
    for number in range(HOT):
        await load_page(f"H{number}")
    answers.unknown = kind == "unknown"
    began = time.perf_counter()
    for start in range(0, count, READ_EVERY):
        await asyncio.gather(
            *(_share(load_page, start + first, min(start + READ_EVERY, count)) for first in range(AT_ONCE))
        )
        if kind == "known":  # what is asked for stays; of what nobody asks, products may be pushed out by products
            await _hits(load_page)
        if (start + READ_EVERY) % max(READ_EVERY, count // 10) == 0:
            hits = await _hits(load_page) if start + READ_EVERY >= count else None
            _tell(start + READ_EVERY, cache, hits, time.perf_counter() - began)


async def _share(load_page: Callable[[str], Any], start: int, end: int) -> None:
    for number in range(start, end, AT_ONCE):
        await load_page(f"S{number}")


async def _load(pages: Pages, sku: str) -> Page:
    return await pages.load(sku, Caller("r", "0" * 32), time.perf_counter() + 5)


async def _hits(load_page: Callable[[str], Any]) -> int:
    found = [await load_page(f"H{number}") for number in range(HOT)]
    return sum(all(isinstance(part, Ok) and part.via == "cache" for part in page.parts.values()) for page in found)


def _tell(asked: int, cache: Tiers, hits: int | None, seconds: float) -> None:
    step = {"asked": asked, "rss": weight().now / MIB, "entries": len(cache.memory)}
    print(json.dumps(step | {"bytes": cache.memory.size / MIB, "hits": hits, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], int(sys.argv[2])))
