"""What sources that misbehave cost in time and memory."""

import asyncio
from collections import Counter

from benchmarks.numbers.client import Reply, ask
from benchmarks.numbers.process import MIB, Serving, everywhere, serving
from benchmarks.numbers.report import Row
from benchmarks.numbers.sources import Script, Sources, hostile, playing, templates, well

PAGES = 120
CLIENTS = 8
WARM_UP = 500
DEADLINE_MS = 800
SLACK_MS = 50
MORE_MIB = 16.0


async def measure() -> tuple[list[Row], str]:
    """Ask for pages of sources that misbehave, all of them or stock alone."""
    rows: list[Row] = []
    # No circuit, so that every page meets what it is about.
    async with playing(well) as sources, serving(templates(sources), **everywhere(circuit__min_attempts=10**9)) as bff:
        await ask(bff.public, (f"G{number}" for number in range(WARM_UP)), clients=64)
        await asyncio.sleep(0.5)
        warm = bff.weight.now
        for number, (what, script) in enumerate(hostile().items()):
            for which in (tuple(sources), ("stock",)):
                replies = await _meet(bff, sources, script, which, f"G{number}{len(which)}")
                rows += [_time(f"{'stock' if which == ('stock',) else 'every source'} {what}", replies)]
            rows.append(_memory(f"memory after a source that {what}", bff, warm))
        rows.append(await _well_again(bff))
    note = f"{PAGES} pages each, {CLIENTS} at a time, circuits off; {warm / MIB:.1f} MiB when warm ({WARM_UP} pages)."
    return rows, note


async def _meet(bff: Serving, sources: Sources, script: Script, which: tuple[str, ...], prefix: str) -> list[Reply]:
    for name in which:
        sources[name].script = script
    replies = await ask(bff.public, (f"{prefix}{number:03}" for number in range(PAGES)), clients=CLIENTS)
    for name in which:
        sources[name].script = well(name)
    await asyncio.sleep(1)  # calls outlive the callers that did not wait for them
    return replies


def _time(what: str, replies: list[Reply]) -> Row:
    worst = max(reply.seconds for reply in replies) * 1000
    statuses = ", ".join(f"{count} x {status}" for status, count in Counter(r.status for r in replies).items())
    goal = f"<= {DEADLINE_MS + SLACK_MS} ms"
    return Row(
        what, goal, f"worst {worst:.0f} ms ({statuses})", worst <= DEADLINE_MS + SLACK_MS and len(replies) == PAGES
    )


def _memory(what: str, bff: Serving, warm: int) -> Row:
    now, peak = (size / MIB - warm / MIB for size in (bff.weight.now, bff.weight.peak))
    return Row(what, f"<= +{MORE_MIB:.0f} MiB", f"{now:+.1f} MiB, peak {peak:+.1f} MiB", peak <= MORE_MIB)


async def _well_again(bff: Serving) -> Row:
    replies = await ask(bff.public, (f"G77{number:03}" for number in range(100)), clients=CLIENTS)
    fine = sum(reply.status == 200 and b'"complete":true' in reply.body for reply in replies)
    return Row("complete pages afterwards", "100 of 100", f"{fine} of 100", fine == 100)
