"""How long a page takes with the demo's sources and their delays."""

import asyncio
from statistics import median, quantiles

from benchmarks.numbers.client import Reply, ask
from benchmarks.numbers.process import serving
from benchmarks.numbers.report import Row
from bff.demo.launch import sample_sources

SLOWEST_MS = 500.0
SUM_MS = 1000.0
SKUS = 64
CACHED = 2000


async def measure() -> tuple[list[Row], str]:
    """Ask for pages that are not cached, alone and in company, and for one that is."""
    async with sample_sources() as urls:
        settings = {"price__fresh_seconds": 60, "stock__fresh_seconds": 60}  # cached while it is measured
        async with serving({name: f"{url}/{name}/{{sku}}" for name, url in urls.items()}, **settings) as bff:
            await ask(bff.public, (f"G{number}" for number in range(900, 908)), clients=8)
            alone = await ask(bff.public, (f"G{number}" for number in range(1, SKUS + 1)))
            company = await ask(bff.public, (f"G{number}" for number in range(1001, 1001 + SKUS)), clients=8)
            await asyncio.sleep(0.1)
            cached = await ask(bff.public, ["G1001"] * CACHED)
    rows = [
        _uncached("uncached page, one at a time", alone),
        _uncached("uncached page, 8 at a time", company),
        _cached(cached),
    ]
    return rows, f"{SKUS} generated SKUs each, sources of 500, 300 and 200 ms; {CACHED} reads of one cached page."


def _uncached(what: str, replies: list[Reply]) -> Row:
    times = _times(replies)
    middle = median(times)
    ok = middle <= SLOWEST_MS + 10 and max(times) < SUM_MS and len(times) >= 60
    return Row(what, "median <= 510 ms, never 1000 ms", f"median {middle:.1f} ms, worst {max(times):.1f} ms", ok)


def _cached(replies: list[Reply]) -> Row:
    times = _times(replies)
    assert all(b"bff-info; hit" in reply.head or b"hit" in reply.head for reply in replies), "it was not cached"
    measured = f"median {median(times):.2f} ms, p99 {quantiles(times, n=100)[98]:.2f} ms"
    return Row("cached page", "median < 2 ms", measured, median(times) < 2)


def _times(replies: list[Reply]) -> list[float]:
    assert {reply.status for reply in replies} == {200}, "a page failed"
    assert all(b'"complete":true' in reply.body for reply in replies), "a page was incomplete"
    return [reply.seconds * 1000 for reply in replies]
