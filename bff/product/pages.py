"""The fan-out: three sources at once, one deadline, an answer as soon as nothing outstanding can change it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from bff.cache.flights import Flight
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Outcome
from bff.product.parts import SOURCES, Missing, Ok, Parts, SourceName, Via
from bff.product.rendered import RenderedPage, render
from bff.product.upstream import Upstream
from bff.product.view import FOUND, Unknown, Verdict, verdict
from bff.resilience.alarms import Alarms
from bff.resilience.stack import Clock
from clients.source import Caller


class ClientLeft(Exception):
    """The client left before its page was answered."""


class Client(Protocol):
    """Whoever a page is for, as far as it may leave."""

    def start(self, left: Callable[[], None]) -> None:
        """Have something done when it leaves."""

    def stop(self) -> None:
        """Look no more."""


class Page(msgspec.Struct, frozen=True):
    """The parts, the answer that they make, and the seconds that the page waited for each."""

    sku: str
    parts: Parts
    verdict: Verdict
    waited: dict[SourceName, float]


class _Waiting:
    """One page under way: the parts that it has, and the loads that it still waits for; it is their reader."""

    __slots__ = ("_began", "_loads", "_missing", "_pages", "answered", "caller", "parts", "sku", "waited")

    def __init__(self, pages: "Pages", sku: str, caller: Caller) -> None:
        self.sku = sku
        self.caller = caller
        self.parts: Parts = {}
        self.waited: dict[SourceName, float] = {"info": 0.0, "price": 0.0, "stock": 0.0}
        self.answered: asyncio.Future[Verdict]
        self._pages = pages
        self._began = 0.0
        self._missing = False
        self._loads: dict[Flight[Outcome], tuple[SourceName, Via]] = {}

    async def wait(self, deadline: float, client: Client | None) -> Verdict:
        """Ask for the parts that are not there and wait until the answer is certain, or the time is up."""
        self._missing = any(type(part) is Missing for part in self.parts.values())
        self._ask()
        self._began = self._pages.clock()
        self.answered = asyncio.get_running_loop().create_future()
        alarm = self._pages.alarms.set(deadline, self._time_is_up)
        if client is not None:
            client.start(self._client_left)
        try:
            answer = await self.answered
        except (asyncio.CancelledError, ClientLeft):
            for flight in self._loads:
                flight.disconnect(self)
            raise
        finally:
            alarm.disarm()
            if client is not None:
                client.stop()
        if self._loads:
            self._leave()
        return answer

    def landed(self, flight: Flight[Outcome]) -> None:
        """Take the part that a load has brought."""
        name, via = self._loads.pop(flight)
        assert flight.outcome is not None, "a flight lands with its outcome"
        part = self.parts[name] = self._pages.upstreams[name].answered(self.sku, flight.outcome, via)
        self.waited[name] += self._pages.clock() - self._began
        if type(part) is Missing:
            self._missing = True
        if self._missing or not self._loads:  # else what is outstanding can change it
            self._answer_if_certain()

    def via(self, name: SourceName) -> Via:
        """Return how a part that is still outstanding would have been come by."""
        return next((via for other, via in self._loads.values() if other == name), "none")

    def _ask(self) -> None:
        for name, upstream in self._pages.upstreams.items():
            if name not in self.parts:
                flight, is_new = upstream.ask(self.sku, self.caller)
                flight.join(self)
                self._loads[flight] = (name, "load" if is_new else "join")

    def _client_left(self) -> None:
        if not self.answered.done():
            self.answered.set_exception(ClientLeft())

    def _time_is_up(self) -> None:
        for flight, (name, via) in tuple(self._loads.items()):
            if not self.answered.done():
                del self._loads[flight]
                flight.leave(self)
                self.parts[name] = self._pages.upstreams[name].late(self.sku, flight, via)
                self.waited[name] += self._pages.clock() - self._began
                self._answer_if_certain()

    def _answer_if_certain(self) -> None:
        if not self.answered.done() and (answer := verdict(self.parts, self._pages.required)) is not None:
            self.answered.set_result(answer)

    def _leave(self) -> None:
        for flight, (name, _) in self._loads.items():
            flight.leave(self)
            self.waited[name] += self._pages.clock() - self._began


class Pages:
    """Loads pages. upstreams: in the order of the page."""

    def __init__(
        self,
        upstreams: dict[SourceName, Upstream],
        memory: MemoryTier,
        required: frozenset[SourceName],
        clock: Clock,
        alarms: Alarms,
        page_made: Callable[[Parts], None],
        hot_page_made: Callable[[], None],
    ) -> None:
        self.upstreams = upstreams
        self.required = required
        self.clock = clock
        self.alarms = alarms
        self._memory = memory
        self._page_made = page_made
        self._hot_page_made = hot_page_made

    def hot(self, sku: str) -> RenderedPage | None:
        """Return the page of a product as it was rendered, where all of its parts are still fresh."""
        rendered: RenderedPage | None = self._memory.rendered(sku)
        if rendered is None or self.clock() >= rendered.until:
            return None
        self._hot_page_made()
        return rendered

    async def load(self, sku: str, caller: Caller, deadline: float, client: Client | None = None) -> Page:
        """Return the page of a product by the deadline, whatever its sources do.

        Raises ClientLeft; then, and when cancelled, loads that nobody else waits for are abandoned.
        """
        page = _Waiting(self, sku, caller)
        answer = self._look_up(page, SOURCES) or await page.wait(deadline, client)
        # While the page waited for one source, what the cache had of another may have come to its end.
        while len(page.parts) == len(SOURCES) and (ended := self._ended(page)):
            asked = [name for name in ended if self._withdrawn(page, name)]
            answer = self._look_up(page, asked) or await page.wait(deadline, client)
        parts = page.parts
        if len(parts) < len(SOURCES):
            parts = {name: parts.get(name) or Missing(None, page.via(name)) for name in SOURCES}
        self._page_made(parts)
        if answer is FOUND and (rendered := render(parts)) is not None:
            self._memory.render(sku, [parts[name].entry for name in SOURCES], rendered)
        return Page(sku, parts, answer, page.waited)

    def _look_up(self, page: _Waiting, names: Sequence[SourceName]) -> Verdict | None:
        """Take what the cache has; return the answer where it is certain already."""
        entries = self._memory.look_up(page.sku)
        if entries is None:
            for name in names:
                self.upstreams[name].missed()
            return verdict(page.parts, self.required) if page.parts else None
        for upstream, entry in zip(self.upstreams.values(), entries, strict=True):
            if upstream.name in names and (part := upstream.cached(entry)) is not None:
                page.parts[upstream.name] = part
        answer = verdict(page.parts, self.required)
        if not isinstance(answer, Unknown):  # while a 404 is remembered no source is asked, not even for a refresh
            for name in names:
                self.upstreams[name].keep_fresh(page.sku, page.parts.get(name), page.caller)
        return answer

    def _ended(self, page: _Waiting) -> list[SourceName]:
        return [
            name
            for name, part in page.parts.items()
            if not (type(part) is Ok and part.via != "cache") and self.upstreams[name].expired(part)
        ]

    def _withdrawn(self, page: _Waiting, name: SourceName) -> bool:
        """Take back a part that has ended, and return whether its source may still be asked."""
        part = page.parts.pop(name)
        if part.via == "cache":
            return True
        page.parts[name] = Missing(part.reason, part.via)  # it was asked, and failed
        return False
