"""Pages out of sources that a test plays: everything between a request and a source's client, put together."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from bff.cache.entry import Entry, Lifetimes
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Tiers
from bff.product.fanout import Needs, Page
from bff.product.guard import Guard
from bff.product.loader import Landings, Singly, Time
from bff.product.pages import Client, Pages
from bff.product.parts import SOURCES, Parts, SourceName
from bff.product.upstream import Upstream
from bff.resilience.alarms import Alarms
from clients.source import Caller, Source
from tests.unit.playing import Knobs, Played, Script, now, play, script

EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z, when every virtual time begins
CALLER = Caller("a-request", "0" * 31 + "1")
DEADLINE = 0.8
LIVES: Mapping[SourceName, Lifetimes] = {
    "info": Lifetimes(60, 300, 86400, 5),
    "price": Lifetimes(5, 5, 120, 5),
    "stock": Lifetimes(2, 0, 5, 1),
}
NEVER_KEPT = Lifetimes(0, 0, 0, 0)


class PlayedSource(Source):
    """A source's client without a transport: a script answers."""

    def __init__(self, upstream: Script) -> None:
        self.upstream = upstream

    async def fetch(self, sku: str, caller: Caller, seconds: float) -> bytes | None:
        says = await self.upstream(seconds)
        return b'{"sku_id":"%b"}' % sku.encode() if says == "answer" else says


class Shop:
    """The sources, their guards, the cache, and pages of them."""

    def __init__(
        self,
        *,
        required: frozenset[SourceName] = frozenset({"info"}),
        lives: Mapping[SourceName, Lifetimes] | None = None,
        knobs: Knobs | None = None,
        max_entries: int = 1000,
        **scripts: Script,
    ) -> None:
        self.clock = asyncio.get_running_loop().time
        self.memory = MemoryTier(SOURCES, max_entries, 10**7)
        self.cache = Tiers(self.memory, SOURCES)
        self.scripts: dict[SourceName, Script] = {name: scripts.get(name) or script() for name in SOURCES}
        self.played: dict[SourceName, Played] = {name: play(knobs) for name in SOURCES}
        self.lookups: list[tuple[SourceName, str]] = []
        self.made: list[Parts] = []
        self.hot = 0
        self.alarms = Alarms(self.clock)
        times = Time(DEADLINE, self.clock, lambda: EPOCH + self.clock(), lambda: 0.0)
        own = {**LIVES, **(lives or {})}
        self.loads = {name: self._singly(name, own[name], times) for name in SOURCES}
        self.upstreams = {name: self._upstream(name) for name in SOURCES}
        self.needs = Needs(
            self.upstreams,
            self.memory,
            self.cache.trust,
            required,
            self.clock,
            self.alarms,
            self._missed,
            self.made.append,
        )
        self.pages = Pages(self.needs, self._hot_page_made)

    def _singly(self, name: SourceName, lives: Lifetimes, times: Time) -> Singly:
        landings = Landings(name, self.cache.of(name), lives, times)
        return Singly(PlayedSource(self.scripts[name]), self.played[name].call, landings, times)

    def _upstream(self, name: SourceName) -> Upstream:
        own = self.played[name]
        return Upstream(
            name,
            self.loads[name],
            Guard(own.call, own.retry, own.circuit, own.bulkhead, own.budget),
            self.cache.of(name),
            self.clock,
            lambda source, result: self.lookups.append((source, result)),
        )

    def _missed(self, names: Sequence[SourceName]) -> None:
        self.lookups += [(name, "miss") for name in names]

    def _hot_page_made(self) -> None:
        self.hot += 1

    async def page(self, seconds: float = DEADLINE, sku: str = "1", client: Client | None = None) -> Page:
        return await self.pages.load(sku, CALLER, now() + seconds, client)

    async def invalidate(self, *names: SourceName, sku: str = "1") -> None:
        for name in names:
            self.cache.forget([sku], [name])

    def kept(self, name: SourceName, sku: str = "1") -> Entry | None:
        """Return what the cache has of a part, however old."""
        return self.cache.of(name).current(sku)

    async def aclose(self) -> None:
        for upstream in self.upstreams.values():
            await upstream.aclose()

    @property
    def calls(self) -> dict[str, list[float]]:
        return {name: played.calls for name, played in self.scripts.items()}

    @property
    def at_rest(self) -> bool:
        """Whether nothing at all is held."""
        idle = all(own.bulkhead.in_flight == own.bulkhead.waiting == 0 for own in self.played.values())
        return idle and self.cache.loading == 0 and {repr(own) for own in self.loads.values()} == {"<Singly <Tasks 0>>"}


def states(page: Page) -> dict[str, str]:
    """Return the parts in a word or two each."""
    return {name: f"{part.state} {part.reason}" if part.reason else part.state for name, part in page.parts.items()}


async def until(moment: float) -> None:
    await asyncio.sleep(moment - now())


def vias(page: Page) -> list[Any]:
    return [page.parts[name].via for name in SOURCES]
