"""What unknown products cost the cache: their tenth of it, and no product its place.

A million of them over the whole path are in benchmarks/numbers.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bff.cache.entry import Lifetimes
from bff.cache.memory import MemoryTier
from tests.harness import SOURCES, Bff, bff
from tests.service.test_numbers import PATIENCE, ask, everywhere, skus
from tests.upstreams import Script, Seen, always, parts


def known(source: str) -> Script:
    """Answer 404 for SKUs that begin with a U."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        answer = always("{}", 404) if seen.sku.startswith("U") else parts(source)
        await answer(seen, writer)

    return script


@asynccontextmanager
async def with_hot_pages() -> AsyncIterator[Bff]:
    """A small cache that holds 50 pages, which nobody reads meanwhile: what keeps them is the bound alone."""
    sources: dict[str, Any] = {name: known(name) for name in SOURCES}
    async with bff(**sources, **everywhere(fresh_seconds=3600), cache__max_entries=300, **PATIENCE) as service:
        assert await ask(service.run.public_url, skus(50, "H")) == {200: 50}
        yield service


async def hot_pages_asked_again(service: Bff) -> int:
    before = sum(len(getattr(service, name).seen) for name in SOURCES)
    assert await ask(service.run.public_url, skus(50, "H")) == {200: 50}
    return sum(len(getattr(service, name).seen) for name in SOURCES) - before


async def test_unknown_products_push_no_hot_page_out() -> None:
    async with with_hot_pages() as service:
        assert await ask(service.run.public_url, skus(1_000, "U")) == {404: 1_000}
        assert len(service.service.caching.tiers.memory) == 150 + 30  # and a tenth of the bound
        assert await hot_pages_asked_again(service) == 0


async def test_control_known_products_do_push_pages_out_that_nobody_reads() -> None:
    async with with_hot_pages() as service:
        assert await ask(service.run.public_url, skus(1_000, "K")) == {200: 1_000}
        assert len(service.service.caching.tiers.memory) == 300
        assert await hot_pages_asked_again(service) == 150


def test_a_flood_of_unknown_products_stays_within_a_tenth_of_the_cache() -> None:
    memory = MemoryTier(SOURCES, 10_000, 64 * 2**20)
    life = Lifetimes(fresh=60, revalidate=0, stale=0, not_found=60)
    for column, _ in enumerate(SOURCES):
        for hot in skus(3_000, "H"):
            memory.fill(hot, column, life.entry(b"{}", b"", 0.0, 0.0))
    for unknown in skus(200_000, "U"):
        memory.fill(unknown, 0, life.entry(None, b"", 0.0, 0.0))
    assert len(memory) == 10_000
    assert all(all(memory.look_up(hot) or [None]) for hot in skus(3_000, "H"))
