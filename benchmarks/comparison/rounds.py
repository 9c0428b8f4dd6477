"""Rounds of a closed loop: every contender in turn, the order moved on by one each time."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Protocol

from benchmarks.comparison.pages import look, watch
from benchmarks.comparison.plan import Entrant, Plan
from benchmarks.comparison.proc import read
from benchmarks.comparison.results import reason
from benchmarks.comparison.wrk import Load, drive

FULL = 0.95
DISTURBED = 0.05
WARM_SEED = 1_000_000


class Judged(Protocol):
    """What is known of any round. fault: why it does not count; the rest: `Reading`."""

    @property
    def fault(self) -> str: ...
    @property
    def load_busy(self) -> float: ...
    @property
    def others(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one contender: a `Judged` one."""

    rate: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_us: float = 0.0
    load_busy: float = 0.0
    others: float = 0.0
    fault: str = ""


async def in_turn(
    entrants: Sequence[Entrant], load_of: Callable[[Entrant, int], Load], plan: Plan, *, warm_seconds: int
) -> dict[str, list[Round]]:
    """Return each contender's rounds by its label. load_of: what is asked of it in which round."""
    done: dict[str, list[Round]] = {entrant.contender.label: [] for entrant in entrants}
    for number in range(plan.rounds):
        first = number % max(1, len(entrants))
        for entrant in [*entrants[first:], *entrants[:first]]:
            if warm_seconds:  # with another seed: what is measured must not be drawn a second time
                warm = replace(load_of(entrant, number), seed=WARM_SEED + number)
                await drive(entrant.server.base, entrant.contender.prefix, warm, warm_seconds)
            done[entrant.contender.label].append(await measured(entrant, load_of(entrant, number), plan))
    return done


async def measured(entrant: Entrant, load: Load, plan: Plan) -> Round:
    """Run one round, looking at pages before it, after it and now and then meanwhile."""
    base, prefix = entrant.server.base, entrant.contender.prefix
    numbers = _beside(load)
    if fault := await look(base, prefix, next(numbers), entrant.shown):
        return Round(fault=reason(fault))
    watching = asyncio.ensure_future(watch(base, prefix, numbers, entrant.shown))
    try:
        before = read(entrant.server.pids, plan.cores)
        outcome = await drive(base, prefix, load, plan.seconds)
        reading = read(entrant.server.pids, plan.cores) - before
    except OSError as exc:
        return Round(fault=f"the server is gone: {exc.strerror}")
    finally:
        seen = watching.result() if watching.done() else ""
        watching.cancel()
    after = await look(base, prefix, next(numbers), entrant.shown)
    return Round(
        rate=outcome.pages / outcome.seconds,
        p50_ms=outcome.p50_ms,
        p99_ms=outcome.p99_ms,
        cpu_us=reading.server / max(1, outcome.pages) * 1e6,
        load_busy=reading.load_busy,
        others=reading.others,
        fault=reason(outcome.fault or seen or after),
    )


def remarks(rounds: Sequence[Judged]) -> str:
    """Say which rounds do not count, and what kept a server from doing all that it could."""
    faults = [each.fault for each in rounds if each.fault]
    others = [each.others for each in rounds if each.others > DISTURBED]
    full = sum(each.load_busy > FULL for each in rounds)
    said = {
        f"{len(faults)} of {len(rounds)} rounds do not count: {next(iter(faults), '')}": faults,
        f"load's core was full in {full} of {len(rounds)}: this may not be the bottleneck": full,
        f"strangers had up to {max(others, default=0):.0%} of its core": others,
    }
    return "; ".join(remark for remark, reason in said.items() if reason)


def _beside(load: Load) -> Iterator[int]:
    """Return SKUs of the load's from the last one on: the load itself does not get so far."""
    return cycle(range(load.first + load.count - 1, max(load.first - 1, load.first + load.count - 1001), -1))
