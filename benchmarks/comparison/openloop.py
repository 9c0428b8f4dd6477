"""Pages at times of their own, whatever was answered: what a page takes beyond its slowest source."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.comparison.arrivals import Arrivals
from benchmarks.comparison.figures import percentile, spread
from benchmarks.comparison.pages import wrong
from benchmarks.comparison.plan import Contender, Plan, taking_part
from benchmarks.comparison.proc import read
from benchmarks.comparison.results import Goal, Result, reason
from benchmarks.comparison.rounds import remarks
from benchmarks.comparison.wrk import FIRST, sku
from benchmarks.peers import upstreams

RATE = 500
DELAYS_MS = (50, 30, 20)
SLOWEST_MS = 50.0
MEDIAN_MS, P99_MS = 2.0, 8.0
WARM_PAGES = 500
DRIVER, SOURCE = "bare", "the info service alone"
HEADER = ["", "beyond, median ms", "beyond, p99 ms", "greatest ms", "CPU us/page", ""]


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked: a URL with `{sku}`, and what is taken off its times."""

    label: str
    template: str
    pids: Sequence[int]
    off_ms: float
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One round. late_ms: how late the driver itself sent, 99 % of the time."""

    median_ms: float
    p99_ms: float
    greatest_ms: float
    late_ms: float
    cpu_us: float
    load_busy: float
    others: float
    fault: str


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """The work. Its contenders are ours first, then the peers, and the server that shows what the driver takes."""

    about: str
    ours: Sequence[Contender]
    peers: Sequence[Contender]

    async def measure(self, plan: Plan) -> Result:
        """Run the rounds, everybody in turn."""
        async with (
            upstreams(plan.cores.load, delays_ms=DELAYS_MS) as ups,
            taking_part([*self.ours, *self.peers], ups, plan) as entered,
        ):
            targets = [
                Target(
                    each.contender.label,
                    f"{each.server.base}{each.contender.prefix}{{sku}}",
                    each.server.pids,
                    0.0 if each.shown else SLOWEST_MS,
                    each.shown,
                )
                for each in entered.entrants
            ]
            targets.append(Target(SOURCE, ups.single["info"], (), SLOWEST_MS))
            done = await _in_turn(targets, plan)
        missing = [[label, *[""] * 4, f"missing: {why}"] for label, why in entered.absent.items()]
        return Result(
            about=self.about,
            goals=[goal for each in self.ours for goal in _goals(each.label, done, entered.absent)],
            header=HEADER,
            rows=[*(_row(label, rounds) for label, rounds in done.items()), *missing],
            notes=[_driver(done)],
        )


async def _in_turn(targets: Sequence[Target], plan: Plan) -> dict[str, list[Round]]:
    done: dict[str, list[Round]] = {target.label: [] for target in targets}
    number = FIRST
    for turn in range(plan.rounds):
        first = turn % len(targets)
        for target in [*targets[first:], *targets[:first]]:
            await Arrivals(target.template, RATE, seed=turn).run(_skus(number, WARM_PAGES))
            number += WARM_PAGES
            done[target.label].append(await _round(target, _skus(number, RATE * plan.seconds), turn, plan))
            number += RATE * plan.seconds
    return done


def _skus(first: int, count: int) -> list[str]:
    return [sku(number) for number in range(first, first + count)]


async def _round(target: Target, skus: Sequence[str], turn: int, plan: Plan) -> Round:
    arrivals = Arrivals(target.template, RATE, seed=turn)
    before = read(target.pids, plan.cores)
    await arrivals.run(skus)
    reading = read(target.pids, plan.cores) - before
    times = [each.reply.seconds * 1000 - target.off_ms for each in arrivals.done] or [0.0]
    late = [each.late * 1000 for each in arrivals.done] or [0.0]
    return Round(
        median(times),
        percentile(times, 0.99),
        max(times),
        percentile(late, 0.99),
        reading.server / len(skus) * 1e6,
        reading.load_busy,
        reading.others,
        reason(await asyncio.to_thread(_fault, target, arrivals)),
    )


def _fault(target: Target, arrivals: Arrivals) -> str:
    if arrivals.broken or arrivals.waited:
        return f"{arrivals.broken} without an answer, {arrivals.waited} waited for a connection"
    if target.label == SOURCE:
        return "" if all(each.reply.status == 200 for each in arrivals.done) else "the source failed"
    faults = [wrong(each.reply, target.shown or each.sku) for each in arrivals.done]
    return next((fault for fault in faults if fault), "")


def _row(label: str, rounds: Sequence[Round]) -> list[str]:
    good = [each for each in rounds if not each.fault]
    figures = [[each.median_ms for each in good], [each.p99_ms for each in good], [each.greatest_ms for each in good]]
    texts = [found.text(".2f") if (found := spread(each)) else "" for each in figures]
    cpu = spread(each.cpu_us for each in good if each.cpu_us)
    return [label, *texts, f"{cpu.middle:.0f}" if cpu else "", remarks(rounds)]


def _goals(label: str, done: dict[str, list[Round]], absent: Mapping[str, str]) -> list[Goal]:
    good = [each for each in done.get(label, []) if not each.fault]
    goals = []
    for what, bound, found in (
        ("median", MEDIAN_MS, spread(each.median_ms for each in good)),
        ("p99", P99_MS, spread(each.p99_ms for each in good)),
    ):
        text = f"{label}: page less its slowest source, {what} <= {bound:.0f} ms"
        if found is None:
            goals.append(Goal(text, f"{label} is missing" if label in absent else "no round that counts", reached=None))
        else:
            goals.append(Goal(text, f"{found.text('.2f')} ms", reached=found.middle <= bound))
    return goals


def _driver(done: dict[str, list[Round]]) -> str:
    late = spread(each.late_ms for rounds in done.values() for each in rounds)
    assert late is not None, "there is always the source"
    return f"The driver sent 99 % of its requests within {late.text('.2f')} ms of when they were due."
