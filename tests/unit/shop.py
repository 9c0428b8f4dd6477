"""Pages out of sources that a test plays: everything between a request and a source's client, put together."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

from bff.cache.entry import Lifetimes
from bff.cache.fence import Fence
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Tiers, key_of
from bff.product.pages import Page, Pages
from bff.product.parts import SOURCES, Parts, SourceName
from bff.product.upstream import Guard, Time, Upstream
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
        **scripts: Script,
    ) -> None:
        clock = asyncio.get_running_loop().time
        numbers = itertools.count(1)
        self.fence = Fence(lambda _: next(numbers))
        self.cache = Tiers(MemoryTier(self.fence, 1000, 10**7), self.fence)
        self.scripts: dict[SourceName, Script] = {name: scripts.get(name) or script() for name in SOURCES}
        self.played: dict[SourceName, Played] = {name: play(knobs) for name in SOURCES}
        self.lookups: list[tuple[SourceName, str]] = []
        self.made: list[Parts] = []
        times = Time(DEADLINE, clock, lambda: EPOCH + clock(), lambda: 0.0)
        self.upstreams = {
            name: Upstream(
                name,
                PlayedSource(self.scripts[name]),
                Guard(own.call, own.circuit, own.bulkhead, own.budget),
                self.cache,
                {**LIVES, **(lives or {})}[name],
                times,
                lambda source, result: self.lookups.append((source, result)),
            )
            for name, own in self.played.items()
        }
        self.pages = Pages(self.upstreams, self.cache, required, clock, self.made.append)

    async def page(self, seconds: float = DEADLINE, sku: str = "1") -> Page:
        return await self.pages.load(sku, CALLER, now() + seconds)

    async def invalidate(self, *names: SourceName, sku: str = "1") -> None:
        await self.cache.invalidate(key_of(name, sku) for name in names)

    @property
    def calls(self) -> dict[str, list[float]]:
        return {name: played.calls for name, played in self.scripts.items()}

    @property
    def at_rest(self) -> bool:
        """Whether nothing at all is held."""
        idle = all(own.bulkhead.in_flight == own.bulkhead.waiting == 0 for own in self.played.values())
        return idle and len(self.cache.flights) == 0 and repr(self.fence) == "<Fence 0>"


def states(page: Page) -> dict[str, str]:
    """Return the parts in a word or two each."""
    return {name: f"{part.state} {part.reason}" if part.reason else part.state for name, part in page.parts.items()}


async def until(moment: float) -> None:
    await asyncio.sleep(moment - now())


def vias(page: Page) -> list[Any]:
    return [page.parts[name].via for name in SOURCES]
