"""What a hot page costs as the cache and the number of connections grow, beyond what any server costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from benchmarks.comparison.figures import Spread, spread
from benchmarks.comparison.plan import Contender, Entrant, Plan, taking_part
from benchmarks.comparison.results import Goal, Result
from benchmarks.comparison.rounds import Round, measured, remarks
from benchmarks.comparison.wrk import FIRST, Load, walk
from benchmarks.peers import upstreams

SIZES = (100, 1_000, 10_000, 100_000)
CONNECTIONS = (8, 64, 512)
USUAL_SIZE, USUAL_CONNECTIONS = 1_000, 64
FLAT = 0.20
SECONDS = 2
ASKED = 3  # the service keeps a page as it was rendered only once it was asked for again
ROOMY = {"cache__max_entries": 400_000, "cache__max_bytes": 4 * 2**30}
BARE = "bare"
HEADER = ["cached SKUs", "connections", "CPU us/page", "bare", "own: the difference", "pages/s", ""]


@dataclass(frozen=True, slots=True)
class Point:
    """So many SKUs cached, so many connections, and its rounds: ours and, right after each of them, bare's."""

    skus: int
    connections: int
    ours: list[Round]
    bare: list[Round]

    @property
    def own(self) -> Spread | None:
        """Microseconds of CPU that a page costs beyond bare's."""
        pairs = zip(self.ours, self.bare, strict=True)
        return spread(a.cpu_us - b.cpu_us for a, b in pairs if not a.fault and not b.fault)


@dataclass(frozen=True, slots=True)
class Growth:
    """The work. options: what our servers are run with."""

    about: str
    options: Mapping[str, Any]

    async def measure(self, plan: Plan) -> Result:
        """Fill a server for each size, then measure all points in turn."""
        ours = [
            Contender(_label(size), "bff", {**self.options, "settings": _own(self.options, size)}) for size in SIZES
        ]
        contenders = [*ours, Contender(BARE, "bare", replays=True)]
        async with upstreams(plan.cores.load) as ups, taking_part(contenders, ups, plan) as entered:
            if entered.absent:
                return _without(self.about, entered.absent)
            running = {each.contender.label: each for each in entered.entrants}
            for size in SIZES:
                load = Load("turn", USUAL_CONNECTIONS, count=size)
                await walk(running[_label(size)].server.base, ours[0].prefix, load, ASKED)
            points = await _points(running, replace(plan, seconds=min(SECONDS, plan.seconds)))
        return _result(self.about, points)


def _label(size: int) -> str:
    return f"bff, {size:,} SKUs"


def _own(options: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return settings that differ for each size, so that each has a server of its own."""
    return {**options.get("settings", {}), **ROOMY, "cache__max_entries": ROOMY["cache__max_entries"] + size}


async def _points(running: Mapping[str, Entrant], plan: Plan) -> list[Point]:
    points = [Point(size, USUAL_CONNECTIONS, [], []) for size in SIZES]
    points += [Point(USUAL_SIZE, count, [], []) for count in CONNECTIONS if count != USUAL_CONNECTIONS]
    for turn in range(-1, plan.rounds):  # the first time round is for warming up
        for point in [*points[turn % len(points) :], *points[: turn % len(points)]]:
            load = Load("uniform", point.connections, first=FIRST, count=point.skus, seed=turn + 2)
            ours = await measured(running[_label(point.skus)], load, plan)
            bare = await measured(running[BARE], load, plan)
            if turn >= 0:
                point.ours.append(ours)
                point.bare.append(bare)
    return points


def _result(about: str, points: Sequence[Point]) -> Result:
    return Result(
        about=about,
        goals=[
            _flat("cached SKUs", [each for each in points if each.connections == USUAL_CONNECTIONS]),
            _flat("connections", sorted((each for each in points if each.skus == USUAL_SIZE), key=_connections)),
        ],
        header=HEADER,
        rows=[_row(point) for point in sorted(points, key=lambda each: (each.connections, each.skus))],
    )


def _flat(what: str, points: Sequence[Point]) -> Goal:
    """Return what became of a goal. points: the least work first."""
    text = f"own CPU a page, over {what}: within {FLAT:.0%}"
    own = [found.middle for point in points if (found := point.own)]
    if len(own) < len(points):
        return Goal(text, "rounds that do not count", reached=None)
    spread_out = f"({min(own):.1f} to {max(own):.1f} us)"
    if min(own) <= 0:  # a page that costs less than the bare answer: no share of that can be taken, but of the whole
        grown = _grown([median(each.cpu_us for each in point.ours if not each.fault) for point in points])
        return Goal(text, f"less than bare {spread_out}; the whole page {grown:.0%}", reached=grown <= FLAT)
    grown = _grown(own)
    return Goal(text, f"{grown:.0%} {spread_out}", reached=grown <= FLAT)


def _grown(costs: Sequence[float]) -> float:
    """Return the most that a cost has grown from less work to more, as a share."""
    return max(after / min(costs[: place + 1]) for place, after in enumerate(costs)) - 1


def _connections(point: Point) -> int:
    return point.connections


def _row(point: Point) -> list[str]:
    good = [each for each in point.ours if not each.fault]
    own, cpu = point.own, spread(each.cpu_us for each in good)
    bare, rate = spread(each.cpu_us for each in point.bare if not each.fault), spread(each.rate for each in good)
    texts = [
        found.text(form) if found else "" for found, form in ((cpu, ".1f"), (bare, ".1f"), (own, ".1f"), (rate, ",.0f"))
    ]
    return [f"{point.skus:,}", str(point.connections), *texts, remarks([*point.ours, *point.bare])]


def _without(about: str, absent: Mapping[str, str]) -> Result:
    why = "; ".join(f"{label} is missing: {reason}" for label, reason in absent.items())
    texts = [f"own CPU a page, over {what}: within {FLAT:.0%}" for what in ("cached SKUs", "connections")]
    rows = [[label, *[""] * 5, f"missing: {reason}"] for label, reason in absent.items()]
    return Result(about, [Goal(text, why, reached=None) for text in texts], HEADER, rows)
