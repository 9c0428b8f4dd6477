"""Works of a closed loop: who takes part, what is asked, and what the ratios are to be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from benchmarks.comparison.figures import Spread, spread
from benchmarks.comparison.plan import Contender, Entrant, Plan, taking_part
from benchmarks.comparison.results import Bar, Goal, Result
from benchmarks.comparison.rounds import Round, in_turn, remarks
from benchmarks.comparison.wrk import FIRST, Load, Mode
from benchmarks.peers import upstreams

STRIDE = 2_000_000
HEADER = ["", "pages/s", "p50 ms", "p99 ms", "CPU us/page", "{first} / it", "load's core", ""]


@dataclass(frozen=True, slots=True)
class Target:
    """How many times the peer's pages a second ours must have, and should."""

    ours: str
    peer: str
    least: float
    aim: float | None = None

    @property
    def text(self) -> str:
        """The goal in words."""
        return f"{self.ours} >= {self.least} x {self.peer}" + (f" (aim {self.aim})" if self.aim else "")


@dataclass(frozen=True, slots=True)
class Closed:
    """A work. skus: how many are asked for, 0 for such as never come again; the first contender is ours."""

    about: str
    mode: Mode
    skus: int
    connections: int
    warm_seconds: int
    contenders: Sequence[Contender]
    targets: Sequence[Target]

    async def measure(self, plan: Plan) -> Result:
        """Run the rounds and put them into a table."""
        async with upstreams(plan.cores.load) as ups, taking_part(self.contenders, ups, plan) as entered:
            rounds = await in_turn(entered.entrants, self._loads(), plan, warm_seconds=self.warm_seconds)
        first = self.contenders[0].label
        return Result(
            about=self.about,
            goals=[_goal(target, rounds, entered.absent) for target in self.targets],
            header=[cell.format(first=first) for cell in HEADER],
            rows=[_row(each.label, rounds, entered.absent, first) for each in self.contenders],
            bars=[_bar(label, taken) for label, taken in rounds.items() if spread(_rates(taken))],
        )

    def _loads(self) -> Callable[[Entrant, int], Load]:
        ranges = count(FIRST, STRIDE)

        def load(_: Entrant, number: int) -> Load:
            if self.skus:
                return Load(self.mode, self.connections, count=self.skus, seed=number + 1)
            return Load(self.mode, self.connections, first=next(ranges), count=STRIDE)

        return load


def _rates(rounds: Sequence[Round]) -> list[float]:
    return [each.rate for each in rounds if not each.fault]


def ratio(ours: Sequence[Round], its: Sequence[Round]) -> Spread | None:
    """Return how many times its pages a second ours had, round by round."""
    return spread(a.rate / b.rate for a, b in zip(ours, its, strict=True) if not a.fault and not b.fault)


def _goal(target: Target, rounds: Mapping[str, list[Round]], absent: Mapping[str, str]) -> Goal:
    for label in (target.ours, target.peer):
        if label in absent:
            return Goal(target.text, f"{label} is missing", reached=None)
    found = ratio(rounds[target.ours], rounds[target.peer])
    if found is None:
        return Goal(target.text, "no round that counts", reached=None)
    return Goal(target.text, found.text(".2f"), reached=found.middle >= target.least)


def _row(label: str, rounds: Mapping[str, list[Round]], absent: Mapping[str, str], first: str) -> list[str]:
    if label in absent:
        return [label, *[""] * 6, f"missing: {absent[label]}"]
    good = [each for each in rounds[label] if not each.fault]
    times = ratio(rounds.get(first, []), rounds[label]) if first in rounds and label != first else None
    return [
        label,
        _text(",.0f", [each.rate for each in good]),
        _middle(".2f", [each.p50_ms for each in good]),
        _middle(".2f", [each.p99_ms for each in good]),
        _middle(".0f", [each.cpu_us for each in good]),
        times.text(".2f") if times else "",
        _middle(".0%", [each.load_busy for each in good]),
        remarks(rounds[label]),
    ]


def _text(form: str, figures: Sequence[float]) -> str:
    found = spread(figures)
    return found.text(form) if found else ""


def _middle(form: str, figures: Sequence[float]) -> str:
    found = spread(figures)
    return f"{found.middle:{form}}" if found else ""


def _bar(label: str, rounds: Sequence[Round]) -> Bar:
    found = spread(_rates(rounds))
    assert found is not None, "only peers with a round that counts have a bar"
    return Bar(label, found.middle, found.low, found.high)
