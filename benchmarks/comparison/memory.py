"""What a cached part weighs beyond its own bytes, once every page has been rendered."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any

from benchmarks.comparison.growth import ROOMY
from benchmarks.comparison.pages import get, look
from benchmarks.comparison.plan import Contender, Entrant, Plan, taking_part
from benchmarks.comparison.results import Goal, Result
from benchmarks.comparison.wrk import AGG, FIRST, Load, walk
from benchmarks.numbers.client import PATH
from benchmarks.numbers.process import MIB, weight
from benchmarks.peers import upstreams
from benchmarks.peers.upstreams import NAMES

SKUS = 100_000
TIMES = 3
CONNECTIONS = 64
WARM_SKUS = 1_000
SAMPLE = 500
GOAL_BYTES = 1_500
SETTLE_SECONDS = 2
TEXT = f"resident bytes a cached part beyond its own <= {GOAL_BYTES:,}"


@dataclass(frozen=True, slots=True)
class Memory:
    """The work. options: what our server is run with."""

    about: str
    options: Mapping[str, Any]

    async def measure(self, plan: Plan) -> Result:
        """Fill the cache and weigh the process before and after."""
        settings = {**self.options.get("settings", {}), **ROOMY}
        contender = Contender("bff", "bff", {**self.options, "settings": settings})
        async with upstreams(plan.cores.load) as ups, taking_part([contender], ups, plan) as entered:
            if entered.absent:
                return _without(self.about, entered.absent["bff"])
            return await _weighed(self.about, entered.entrants[0])


async def _weighed(about: str, entrant: Entrant) -> Result:
    base = entrant.server.base
    warm = Load("turn", CONNECTIONS, first=FIRST + 10 * SKUS, count=WARM_SKUS)
    await walk(base, PATH, warm, TIMES)
    await walk(base, AGG, warm)
    await asyncio.sleep(SETTLE_SECONDS)
    steps = [("empty and warm", _resident(entrant))]
    load = Load("turn", CONNECTIONS, first=FIRST, count=SKUS)
    for what, prefix, times in (("every page asked for once", PATH, 1), ("again", PATH, TIMES - 1), ("agg", AGG, 1)):
        await walk(base, prefix, load, times)
        steps.append((what, _resident(entrant)))
    await asyncio.sleep(SETTLE_SECONDS)
    steps.append(("at rest", _resident(entrant)))
    return await _result(about, base, steps)


def _resident(entrant: Entrant) -> int:
    return sum(weight(pid).now for pid in entrant.server.pids)


async def _result(about: str, base: str, steps: list[tuple[str, int]]) -> Result:
    numbers = range(FIRST, FIRST + SKUS, SKUS // SAMPLE)
    faults = [found for number in numbers if (found := await look(base, PATH, number))]
    sizes = [_bytes_of_parts((await get(base, PATH, number)).body) for number in numbers]
    own = sum(sizes) / (3 * len(sizes))
    beyond = [(now - steps[0][1]) / (3 * SKUS) - own for _, now in steps]
    goal = Goal(TEXT, f"{beyond[-1]:,.0f}", None if faults else beyond[-1] <= GOAL_BYTES)
    rows = [
        [what, f"{now / MIB:.1f}", f"{more:,.0f}" if now != steps[0][1] else ""]
        for (what, now), more in zip(steps, beyond, strict=True)
    ]
    notes = [f"A part's own bytes: {own:.0f} on average, as it stands in the page.", *faults[:1]]
    return Result(about, [goal], ["", "resident MiB", "bytes a part beyond its own"], rows, notes=notes)


def _bytes_of_parts(body: bytes) -> int:
    text = body.decode()
    return sum(len(_value(text, name).encode()) for name in NAMES)


def _value(page: str, name: str) -> str:
    start = page.index(f'"{name}":') + len(name) + 3
    start += len(page[start:]) - len(page[start:].lstrip())
    return page[start : JSONDecoder().raw_decode(page, start)[1]]


def _without(about: str, why: str) -> Result:
    return Result(about, [Goal(TEXT, f"bff is missing: {why}", reached=None)], ["", ""], [["bff", f"missing: {why}"]])
