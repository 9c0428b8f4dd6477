"""The fan-out: three sources at once, one deadline, an answer as soon as nothing outstanding can change it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from bff.cache.flights import Flight
from bff.cache.tiers import Outcome, Tiers, key_of
from bff.product.parts import SOURCES, Missing, Parts, SourceName, Via
from bff.product.upstream import Upstream
from bff.product.view import Unknown, Verdict, verdict
from bff.resilience.stack import Clock
from clients.source import Caller


@dataclass(frozen=True, slots=True)
class Page:
    """The parts, the answer that they make, and the seconds that the page waited for each."""

    sku: str
    parts: Parts
    verdict: Verdict
    waited: dict[SourceName, float]


Load = tuple[SourceName, Flight[Outcome], Via]


@dataclass(slots=True)
class _Waiting:
    """One page under way: the parts that it has, and the loads that it still waits for."""

    sku: str
    caller: Caller
    deadline: float
    parts: Parts = field(default_factory=dict)
    loads: dict[asyncio.Task[Outcome], Load] = field(default_factory=dict)
    waited: dict[SourceName, float] = field(default_factory=lambda: dict.fromkeys(SOURCES, 0.0))


class Pages:
    """Loads pages."""

    def __init__(
        self,
        upstreams: dict[SourceName, Upstream],
        cache: Tiers,
        required: frozenset[SourceName],
        clock: Clock,
        page_made: Callable[[Parts], None],
    ) -> None:
        self._upstreams = upstreams
        self._cache = cache
        self._required = required
        self._clock = clock
        self._page_made = page_made

    async def load(self, sku: str, caller: Caller, deadline: float) -> Page:
        """Return the page of a product by the deadline, whatever its sources do.

        Cancelling it says that the client is gone: loads that nobody else waits for are cancelled too.
        """
        page = _Waiting(sku, caller, deadline)
        answer = await self._answer(page, SOURCES)
        # While the page waited for one source, what the cache had of another may have come to its end.
        while len(page.parts) == len(SOURCES) and (ended := self._ended(page)):
            answer = await self._answer(page, tuple(name for name in ended if self._withdrawn(page, name)))
        parts = {name: page.parts.get(name) or self._outstanding(page, name) for name in SOURCES}
        self._page_made(parts)
        return Page(sku, parts, answer, page.waited)

    async def _answer(self, page: _Waiting, names: tuple[SourceName, ...]) -> Verdict:
        await self._look_up(page, names)
        answer = verdict(page.parts, self._required)
        if isinstance(answer, Unknown):
            return answer  # while a 404 is remembered no source is asked, not even for a refresh
        for name in names:
            self._upstreams[name].keep_fresh(page.sku, page.parts.get(name), page.caller)
        return answer or await self._wait(page)

    async def _look_up(self, page: _Waiting, names: tuple[SourceName, ...]) -> None:
        entries = await self._cache.lookup([key_of(name, page.sku) for name in names])
        for name, entry in zip(names, entries, strict=True):
            part = self._upstreams[name].cached(entry)
            if part is not None:
                page.parts[name] = part

    async def _wait(self, page: _Waiting) -> Verdict:
        for name in SOURCES:
            if name not in page.parts:
                flight, started = self._upstreams[name].ask(page.sku, page.caller)
                flight.join()
                page.loads[flight.task] = (name, flight, "load" if started else "join")
        began = self._clock()
        try:
            while (answer := verdict(page.parts, self._required)) is None:
                left = max(0.0, page.deadline - self._clock())
                done, _ = await asyncio.wait(page.loads, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in done or tuple(page.loads):
                    self._land(page, task, self._clock() - began)
        except asyncio.CancelledError:
            for _, flight, _ in page.loads.values():
                flight.disconnect()
            raise
        for name, flight, _ in page.loads.values():
            flight.leave()
            page.waited[name] += self._clock() - began
        return answer

    def _land(self, page: _Waiting, task: asyncio.Task[Outcome], waited: float) -> None:
        """Take the part that a load has brought, or what there is without it where the time is up."""
        name, flight, via = page.loads.pop(task)
        flight.leave()
        upstream = self._upstreams[name]
        if not task.done():
            page.parts[name] = upstream.late(page.sku, flight, via)
        elif task.cancelled():  # the service is stopping, and its grace is over
            page.parts[name] = upstream.failed(page.sku, "unavailable", via)
        else:
            page.parts[name] = upstream.answered(page.sku, task.result(), via)
        page.waited[name] += waited

    def _ended(self, page: _Waiting) -> tuple[SourceName, ...]:
        return tuple(name for name, part in page.parts.items() if self._upstreams[name].expired(part))

    def _withdrawn(self, page: _Waiting, name: SourceName) -> bool:
        """Take back a part that has ended, and return whether its source may still be asked."""
        part = page.parts.pop(name)
        if part.via == "cache":
            return True
        page.parts[name] = Missing(part.reason, part.via)  # it was asked, and failed
        return False

    def _outstanding(self, page: _Waiting, name: SourceName) -> Missing:
        asked: Via = next((via for other, _, via in page.loads.values() if other == name), "none")
        return Missing(None, asked)
