"""What a run is given, and the servers that take part in a work."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.comparison.pages import get
from benchmarks.comparison.proc import Cores
from benchmarks.comparison.results import reason
from benchmarks.comparison.wrk import FIRST, sku
from benchmarks.numbers.client import PATH
from benchmarks.peers import Server, Upstreams, record, running


@dataclass(frozen=True, slots=True)
class Plan:
    """How often, how long and where. missing: peers that cannot be had, and why."""

    rounds: int
    seconds: int
    cores: Cores
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contender:
    """A server and the route that is asked. replays: it answers with what the first contender answered."""

    label: str
    peer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = PATH
    replays: bool = False


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contender whose server runs. shown: the SKU that a replay answers with."""

    contender: Contender
    server: Server
    shown: str | None


@dataclass(frozen=True, slots=True)
class Field:
    """Who takes part, in order, and who cannot, by label, with the reason."""

    entrants: Sequence[Entrant]
    absent: Mapping[str, str]


@asynccontextmanager
async def taking_part(contenders: Sequence[Contender], ups: Upstreams, plan: Plan) -> AsyncIterator[Field]:
    """Run the contenders' servers, all of them at once, over the same upstreams."""
    entrants: list[Entrant] = []
    absent = {each.label: plan.missing[each.peer] for each in contenders if each.peer in plan.missing}
    async with AsyncExitStack() as stack:
        start = _Starter(ups, plan, stack, Path(stack.enter_context(TemporaryDirectory())) / "answer.json")
        for contender in contenders:
            if contender.label in absent:
                continue
            try:
                server = await start(contender)
            except Exception as exc:  # whatever it is, the others go on and the table says so
                absent[contender.label] = f"did not start: {reason(f'{type(exc).__name__}: {exc}')}"
            else:
                entrants.append(Entrant(contender, server, sku(FIRST) if contender.replays else None))
        yield Field(entrants, absent)


class _Starter:
    """Start servers, each only once, and stop them with the stack."""

    def __init__(self, ups: Upstreams, plan: Plan, stack: AsyncExitStack, replay: Path) -> None:
        self._ups, self._plan, self._stack, self._replay = ups, plan, stack, replay
        self._started: dict[str, Server] = {}

    async def __call__(self, contender: Contender) -> Server:
        key = f"{contender.peer} {sorted(contender.options.items())}"
        if key not in self._started:
            options = dict(contender.options)
            if contender.replays:
                first = next(iter(self._started.values()))
                record(await get(first.base, PATH, FIRST), self._replay)
                options["replay"] = self._replay
            started = running(contender.peer, self._ups, self._plan.cores.server, **options)
            self._started[key] = await self._stack.enter_async_context(started)
        return self._started[key]
