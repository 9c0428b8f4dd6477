"""What the cache weighs, over HTTP; a million of SKUs are asked for in a process of their own (million.py)."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE

from benchmarks.numbers.client import ask
from benchmarks.numbers.process import MIB, ROOT, everywhere, serving
from benchmarks.numbers.report import Row
from benchmarks.numbers.sources import Sources, playing, templates, well

CACHED = 10_000
DISTINCT = 50_000
BOUND = 10_000
CLIENTS = 16
LASTING = everywhere(fresh_seconds=3600)


async def measure() -> tuple[list[Row], str]:
    """Weigh what is cached, and what a great many SKUs leave behind."""
    return [*await _cached(), *await _distinct()], f"{CLIENTS} clients, the demo's generated products."


async def million(skus: int) -> tuple[list[Row], str]:
    """Ask for so many distinct SKUs, known ones and unknown ones, in a process each."""
    curves = await asyncio.gather(*(_million(kind, skus) for kind in ("known", "unknown")))
    return [row for rows, _ in curves for row in rows], "\n\n".join(curve for _, curve in curves)


def _calls(sources: Sources) -> int:
    return sum(source.asked.total() for source in sources.values())


async def _cached() -> list[Row]:
    async with playing(well) as sources, serving(templates(sources), **LASTING) as bff:
        await ask(bff.public, (f"G9{number:05}" for number in range(200)), clients=CLIENTS)
        before = bff.weight.now
        skus = [f"G{number}" for number in range(CACHED)]
        await ask(bff.public, skus, clients=CLIENTS)
        after, calls = bff.weight.now, _calls(sources)
        again = await ask(bff.public, skus, clients=CLIENTS)
        asked = _calls(sources) - calls
    hits = sum(reply.status == 200 for reply in again)
    cost = (after - before) / MIB
    each = (after - before) / (3 * CACHED)
    measured = f"{after / MIB:.0f} MiB; +{cost:.1f} MiB over an empty one, {each:.0f} bytes a part"
    return [
        Row("10,000 cached SKUs, the whole process", "< 150 MB", measured, after < 150e6),
        Row(
            "read again: pages, and questions to sources", "10000, 0", f"{hits}, {asked}", (hits, asked) == (CACHED, 0)
        ),
    ]


async def _distinct() -> list[Row]:
    steps: list[int] = []
    bounds = {"cache__max_entries": BOUND}
    async with playing(well) as sources, serving(templates(sources), **LASTING, **bounds) as bff:
        for start in range(0, DISTINCT, 10_000):
            await ask(bff.public, (f"G{number}" for number in range(start, start + 10_000)), clients=CLIENTS)
            steps.append(bff.weight.now)
    grown = (steps[-1] - steps[0]) / MIB
    curve = ", ".join(f"{step / MIB:.1f}" for step in steps)
    what = "50,000 SKUs over HTTP, 10,000 entries: MiB at each 10,000"
    return [Row(what, "no growth (+8)", curve, grown <= 8)]


async def _million(kind: str, skus: int) -> tuple[list[Row], str]:
    command = (sys.executable, "-m", "benchmarks.numbers.million", kind, str(skus))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=ROOT)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    steps = [json.loads(line) for line in output.splitlines()]
    first, last = steps[0], steps[-1]
    grown = last["rss"] - first["rss"]
    rows = [
        Row(f"{skus:,} {kind} SKUs in process: entries, MiB of bytes", "<= 30000, <= 16",
            f"{last['entries']}, {last['bytes']:.1f}", last["entries"] <= 30_000 and last["bytes"] <= 16),
        Row(f"{skus:,} {kind} SKUs in process: memory", "no growth (+8)",
            f"{first['rss']:.1f} to {last['rss']:.1f} MiB", grown <= 8),
        Row(f"{skus:,} {kind} SKUs in process: hot pages that are hits", "100 of 100",
            f"{last['hits']} of 100", last["hits"] == 100),
    ]  # fmt: skip
    curve = ", ".join(f"{step['asked'] // 1000}k {step['rss']:.1f}" for step in steps)
    return rows, f"{kind}: MiB at {curve}; {last['seconds']:.0f} s."
