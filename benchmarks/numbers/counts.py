"""What callers without time, clients that leave and failing sources cost; counts, as an outsider sees them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.numbers.client import PATH, ask, get, open_stream
from benchmarks.numbers.process import MIB, Serving, serving
from benchmarks.numbers.report import Row
from benchmarks.numbers.sources import Peer, Sources, failing, late, playing, templates, well

IMPATIENT = 10_000
LEAVING = 20_000
QUESTIONS = 1000
CLIENTS = 50
IDLE_SECONDS = 5.0
OPEN_SECONDS = 5.0


async def deadlines() -> tuple[list[Row], str]:
    """10,000 requests that give a page a millisecond."""
    async with playing(partial(late, seconds=0.3)) as sources, serving(templates(sources)) as bff:
        header = "X-Request-Timeout-Ms: 1\r\n"
        replies = await ask(bff.public, (f"G{number}" for number in range(IMPATIENT)), clients=CLIENTS, header=header)
        state = await get(bff.admin, "/sources")
        again = sum(count - 1 for source in sources.values() for count in source.asked.values())
        calls = sum(source.asked.total() for source in sources.values())
    statuses = dict(Counter(reply.status for reply in replies))
    closed = sum(source["circuit"] == "closed" for source in state.values())
    rows = [
        Row("circuits closed", "3 of 3", f"{closed} of 3", closed == 3),
        Row("retries", "0", f"{again} in {calls} calls", again == 0),
    ]
    return rows, f"{IMPATIENT} requests by {CLIENTS} clients, sources of 300 ms; answers: {statuses}."


async def disconnects() -> tuple[list[Row], str]:
    """20,000 clients that leave mid-page."""
    async with playing(well) as sources, serving(templates(sources)) as bff:
        await ask(bff.public, (f"G{number}" for number in range(500)), clients=CLIENTS)
        await asyncio.sleep(IDLE_SECONDS)
        before, descriptors = bff.weight.now, bff.descriptors
        await _leave(bff, sources)
        state = await get(bff.admin, "/sources")
        await asyncio.sleep(IDLE_SECONDS)
        held = sum(source["in_flight"] + source["waiting"] for source in state.values())
        left = bff.descriptors - descriptors, sum(len(source.peers) for source in sources.values())
        more = (bff.weight.now - before) / MIB
        closed = sum(source["circuit"] == "closed" for source in state.values())
        replies = await ask(bff.public, (f"G9{number:03}" for number in range(100)), clients=8)
    fine = sum(reply.status == 200 and b'"complete":true' in reply.body for reply in replies)
    rows = [
        Row("slots held and calls waiting afterwards", "0", str(held), held == 0),
        Row("descriptors held, and connections at the sources", "0, 0", f"{left[0]}, {left[1]}", left == (0, 0)),
        Row("circuits closed", "3 of 3", f"{closed} of 3", closed == 3),
        Row("the next pages", "100 x 200", f"{fine} x 200, complete", fine == 100),
        Row("memory", "", f"{more:+.1f} MiB", None),
    ]
    return rows, f"{LEAVING} clients, {CLIENTS} at a time; every other one left once a source was asked for its page."


async def _leave(bff: Serving, sources: Sources) -> None:
    asked: dict[str, asyncio.Event] = {}

    def tell(_peer: Peer, sku: str) -> None:
        if sku in asked:
            asked[sku].set()

    for source in sources.values():
        source.script = tell
    left = iter(range(LEAVING))
    await asyncio.gather(*(_leaver(bff, left, asked) for _ in range(CLIENTS)))
    await asyncio.sleep(1)
    for name, source in sources.items():
        source.script = well(name)


async def _leaver(bff: Serving, left: Iterator[int], asked: dict[str, asyncio.Event]) -> None:
    for number in left:
        sku = f"G5{number:06}"
        asked[sku] = asyncio.Event()
        _, writer = await open_stream(bff.public)
        writer.write(f"GET {PATH}{sku} HTTP/1.1\r\nHost: bff\r\n\r\n".encode())
        if number % 2:
            async with asyncio.timeout(5):
                await asked[sku].wait()
        writer.transport.abort()
        del asked[sku]


async def failures() -> tuple[list[Row], str]:
    """A stock service that always answers 500."""
    rows = [
        await _attempts(
            "the budget alone", {"stock__circuit__min_attempts": 10**9}, lambda n: n <= 1.2 * QUESTIONS + 10
        ),
        await _attempts("control: neither", {"stock__circuit__min_attempts": 10**9, "stock__retry_ratio": 1}, None),
        await _attempts(
            "the circuit too, one client", {"stock__circuit__open_seconds": 60}, lambda n: n <= 20, clients=1
        ),
        await _probes(),
    ]
    return rows, f"{QUESTIONS} questions each; an open circuit is asked for 12 s and more."


async def _attempts(
    what: str, settings: dict[str, int], within: Callable[[int], bool] | None, clients: int = CLIENTS
) -> Row:
    async with playing(well) as sources, serving(templates(sources), **settings) as bff:
        sources["stock"].script = failing
        await ask(bff.public, (f"G{number}" for number in range(QUESTIONS)), clients=clients)
        count = sources["stock"].asked.total()
    goal = f"<= {'20' if clients == 1 else '1210'}" if within else ""
    return Row(f"attempts: {what}", goal, str(count), within(count) if within else None)


async def _probes() -> Row:
    async with playing(well) as sources, serving(templates(sources)) as bff:
        sources["stock"].script = failing
        await ask(bff.public, (f"G{number}" for number in range(100)), clients=1)
        sources["stock"].asked.clear()
        questions, began = 0, time.perf_counter()
        async with asyncio.timeout(60):
            for turn in range(12):
                questions += len(await ask(bff.public, (f"G1{turn:02}{n:03}" for n in range(200)), clients=8))
                await asyncio.sleep(1)
        count = sources["stock"].asked.total()
    allowed = 3 * int((time.perf_counter() - began) / OPEN_SECONDS + 1)
    measured = f"{count} at {questions} questions"
    return Row("attempts: circuit open, 5 s at a time", f"<= {allowed}, 3 probes each", measured, count <= allowed)
