"""The fan-out: three sources at once, one deadline, an answer as soon as nothing outstanding can change it.

A page is a state machine without an await. Its loads tell it that they have landed, an alarm that its time is up, its
client that it has left; and it tells who asked for it, once. So a page costs no task, and an answer is made in the very
turn of the event loop in which its last part came.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bff.cache.flights import Flight
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Outcome
from bff.cache.trust import Trust
from bff.product.parts import SOURCES, Missing, Ok, Parts, SourceName, Via
from bff.product.rendered import render
from bff.product.upstream import Upstream
from bff.product.view import FOUND, Unknown, Verdict, verdict
from bff.resilience.alarms import Alarm, Alarms
from bff.resilience.stack import Clock
from clients.source import Caller


class Page(msgspec.Struct, frozen=True):
    """The parts, the answer that they make, and the seconds that the page waited for each."""

    sku: str
    parts: Parts
    verdict: Verdict
    waited: dict[SourceName, float]


Done = Callable[[Page | Exception], None]
"""Takes a page, or what broke while it was made; must not raise."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What every page needs.

    upstreams: in the order of the page; missed: told of products of which nothing is cached, and by which sources they
    were looked up; counted: told of each page's parts.
    """

    upstreams: dict[SourceName, Upstream]
    memory: MemoryTier
    trust: Trust
    required: frozenset[SourceName]
    clock: Clock
    alarms: Alarms
    missed: Callable[[Sequence[SourceName]], None]
    counted: Callable[[Parts], None]


_NOTHING: Mapping[SourceName, Via] = {}


class FanOut:
    """One page under way: the parts that it has, and the loads that it still waits for; it is their reader."""

    __slots__ = (
        "_aging",
        "_alarm",
        "_began",
        "_deadline",
        "_done",
        "_loads",
        "_missing",
        "_needs",
        "caller",
        "parts",
        "sku",
        "waited",
    )

    def __init__(self, needs: Needs, sku: str, caller: Caller, deadline: float, done: Done) -> None:
        self.sku = sku
        self.caller = caller
        self.parts: Parts = {}
        self.waited: dict[SourceName, float] = {"info": 0.0, "price": 0.0, "stock": 0.0}
        self._needs = needs
        self._deadline = deadline
        self._done = done
        self._alarm: Alarm | None = None
        self._aging = False  # whether a part may end before the page does
        self._began = 0.0
        self._missing = False
        self._loads: dict[Flight[Outcome], tuple[SourceName, Via]] = {}

    def __repr__(self) -> str:
        return f"<FanOut {self.sku}, {len(self._loads)} outstanding>"

    def begin(self) -> None:
        """Take what the cache has, and ask for the rest."""
        try:
            self._go_on(self._look_up(SOURCES))
        except Exception as exc:
            self._break(exc)

    def landed(self, flight: Flight[Outcome]) -> None:
        """Take the part that a load has brought."""
        try:
            name, via = self._loads.pop(flight)
            assert flight.outcome is not None, "a flight lands with its outcome"
            upstream = self._needs.upstreams[name]
            part = self.parts[name] = upstream.answered(self.sku, flight.outcome, via)
            self.waited[name] += self._needs.clock() - self._began
            if type(part) is not Ok:
                self._aging = True
                self._missing = self._missing or type(part) is Missing
            if part.via == "cache":  # another pod's
                self._aging = True
                upstream.keep_fresh(self.sku, part, self.caller)
            if self._missing or not self._loads:  # else what is outstanding can change it
                self._answer_if_certain()
        except Exception as exc:
            self._break(exc)

    def leave(self) -> None:
        """Wait no longer: the client is gone, and nobody is told. Loads that nobody else waits for are abandoned."""
        self._done = _nobody
        self._disarm()
        loads, self._loads = self._loads, {}
        for flight in loads:
            flight.disconnect(self)

    def _go_on(self, answer: Verdict | None, outstanding: Mapping[SourceName, Via] = _NOTHING) -> None:
        """Answer where that is certain; else wait for what is outstanding."""
        while answer is not None:
            # While the page waited for one source, what the cache had of another may have come to its end.
            ended = self._ended() if self._aging and len(self.parts) == len(SOURCES) else ()
            if not ended:
                page = self._finish(answer, outstanding)
                done, self._done = self._done, _nobody
                done(page)
                return
            answer = self._look_up([name for name in ended if self._withdrawn(name)])
        self._wait()

    def _look_up(self, names: Sequence[SourceName]) -> Verdict | None:
        """Take what the cache has; return the answer where it is certain already."""
        upstreams, required = self._needs.upstreams, self._needs.required
        entries = self._needs.memory.look_up(self.sku)
        if entries is None:
            self._needs.missed(names)
            return verdict(self.parts, required) if self.parts else None
        for upstream, entry in zip(upstreams.values(), entries, strict=True):
            if upstream.name in names and (part := upstream.cached(entry)) is not None:
                self.parts[upstream.name] = part
                self._aging = True
        answer = verdict(self.parts, required)
        if not isinstance(answer, Unknown):  # while a 404 is remembered no source is asked, not even for a refresh
            for name in names:
                upstreams[name].keep_fresh(self.sku, self.parts.get(name), self.caller)
        return answer

    def _ended(self) -> list[SourceName]:
        """Return which parts may no longer be sent as what they were when the page came by them."""
        return [
            name
            for name, part in self.parts.items()
            if not (type(part) is Ok and part.via != "cache") and self._needs.upstreams[name].expired(part)
        ]

    def _finish(self, answer: Verdict, outstanding: Mapping[SourceName, Via]) -> Page:
        parts = self.parts
        if len(parts) < len(SOURCES):
            parts = {name: parts.get(name) or Missing(None, outstanding.get(name, "none")) for name in SOURCES}
        self._needs.counted(parts)
        if answer is FOUND and (rendered := render(parts)) is not None:
            self._needs.memory.render(self.sku, [parts[name].entry for name in SOURCES], rendered)
        return Page(self.sku, parts, answer, self.waited)

    def _wait(self) -> None:
        self._missing = any(type(part) is Missing for part in self.parts.values())
        for name, upstream in self._needs.upstreams.items():
            if name not in self.parts:
                flight, is_new = upstream.ask(self.sku, self.caller)
                flight.join(self)
                self._loads[flight] = (name, "load" if is_new else "join")
        self._began = self._needs.clock()
        self._alarm = self._needs.alarms.set(self._deadline, self._time_is_up)

    def _withdrawn(self, name: SourceName) -> bool:
        """Take back a part that has ended, and return whether its source may still be asked."""
        part = self.parts.pop(name)
        if part.via == "cache":
            return True
        self.parts[name] = Missing(part.reason, part.via)  # it was asked, and failed
        return False

    def _time_is_up(self) -> None:
        try:
            for flight, (name, via) in tuple(self._loads.items()):
                del self._loads[flight]
                flight.leave(self)
                self.parts[name] = self._needs.upstreams[name].late(self.sku, flight, via)
                self._aging = True
                self.waited[name] += self._needs.clock() - self._began
                if self._answer_if_certain():
                    return
        except Exception as exc:
            self._break(exc)

    def _answer_if_certain(self) -> bool:
        answer = verdict(self.parts, self._needs.required)
        if answer is None:
            return False
        self._disarm()
        loads, self._loads = self._loads, {}
        for flight, (name, _) in loads.items():
            flight.leave(self)
            self.waited[name] += self._needs.clock() - self._began
        self._go_on(answer, dict(loads.values()) if loads else _NOTHING)
        return True

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.disarm()
            self._alarm = None

    def _break(self, error: Exception) -> None:
        done = self._done
        self.leave()
        done(error)


def _nobody(page: Page | Exception) -> None:
    """Stand where nobody is to be told any more."""
