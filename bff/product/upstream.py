"""One source as the page sees it: every question gets a part, never an exception."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import structlog

from bff.cache.entry import Entry, Lifetimes
from bff.cache.flights import Flight
from bff.cache.tiers import Failed, Outcome, Tiers, key_of
from bff.product.parts import Missing, Ok, Part, Reason, SourceName, Stale, Via
from bff.resilience.breaker import Circuit
from bff.resilience.budget import RetryBudget
from bff.resilience.bulkhead import Bulkhead
from bff.resilience.errors import CircuitOpen, Overloaded
from bff.resilience.stack import Call, Clock, Next
from clients.errors import Garbled, Rejected, Throttled, Unavailable
from clients.source import Caller, Source

log = structlog.get_logger(__name__)

_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (TimeoutError, "timeout"),
    (Unavailable, "unavailable"),
    (Throttled, "overloaded"),  # before what it is a kind of
    (Rejected, "rejected"),
    (Garbled, "garbled"),
    (CircuitOpen, "circuit_open"),
    (Overloaded, "overloaded"),
)


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands around a source's calls: the stack, and the stateful layers in it for those who look at them."""

    call: Next
    circuit: Circuit
    bulkhead: Bulkhead
    budget: RetryBudget


@dataclass(frozen=True, slots=True)
class Time:
    """What an upstream needs of time: seconds for a whole call, two clocks, and jitter from 0 to 1."""

    call_seconds: float
    clock: Clock
    wall_clock: Clock
    jitter: Callable[[], float]


class Upstream:
    """A source behind its guard and the cache."""

    def __init__(
        self,
        name: SourceName,
        source: Source,
        guard: Guard,
        cache: Tiers,
        lifetimes: Lifetimes,
        time: Time,
        looked_up: Callable[[SourceName, str], None],
    ) -> None:
        self.name = name
        self.guard = guard
        self._source = source
        self._cache = cache
        self._lifetimes = lifetimes
        self._time = time
        self._looked_up = looked_up

    def __repr__(self) -> str:
        return f"<Upstream {self.name} {self.guard.circuit!r} {self.guard.bulkhead!r}>"

    def cached(self, entry: Entry | None) -> Part | None:
        """Return the part that may be served without waiting, None where the source has to be asked first."""
        now = self._time.clock()
        if entry is None or now >= entry.bound:
            self._looked_up(self.name, "miss")
            return None
        if entry.body is None:
            self._looked_up(self.name, "not_found")
            return Missing("not_found", "cache", entry)
        if now < entry.fresh_until:
            self._looked_up(self.name, "fresh")
            return Ok(entry, "cache")
        self._looked_up(self.name, "stale")
        if now < entry.revalidate_until:
            return Stale(entry, cast(Reason, entry.failure or "revalidating"), "cache")
        return None

    def keep_fresh(self, sku: str, part: Part | None, caller: Caller) -> None:
        """Start a refresh of a cached value that has ended, or is about to, where none is running."""
        if isinstance(part, Ok):
            if self._time.clock() < part.entry.refresh_at:
                return
            part.entry.refresh_at = float("inf")  # once: a source that fails is not asked again at each read
        elif not isinstance(part, Stale):
            return
        flight, _ = self.ask(sku, caller)
        flight.detach()

    def ask(self, sku: str, caller: Caller) -> tuple[Flight[Outcome], bool]:
        """Join the load of the part or start it; return it, and whether it was started."""
        call = Call(
            send=lambda seconds: self._source.fetch(sku, caller, seconds),
            deadline=self._time.clock() + self._time.call_seconds,
        )
        return self._cache.load(key_of(self.name, sku), lambda: self._load(call), about=call)

    def answered(self, sku: str, outcome: Outcome, via: Via) -> Part:
        """Return the part that a load has brought."""
        if isinstance(outcome, Failed):
            return self.failed(sku, cast(Reason, outcome.reason), via)
        if outcome.entry.body is None:
            return Missing("not_found", via, outcome.entry)
        return Ok(outcome.entry, via, outcome.stored)

    def late(self, sku: str, flight: Flight[Outcome], via: Via) -> Part:
        """Return the part of a page whose time is up before the load has ended."""
        return self.failed(sku, "overloaded" if flight.about.queued else "timeout", via)

    def failed(self, sku: str, reason: Reason, via: Via) -> Part:
        """Return what there is where the source was asked and failed: a value within its bound, or nothing."""
        entry, now = self._cache.current(key_of(self.name, sku)), self._time.clock()
        if entry is None or entry.body is None or now >= entry.bound:
            return Missing(reason, via)
        # A newer load may have succeeded meanwhile: the value before was invalidated, and this load with it.
        return Ok(entry, "cache") if now < entry.fresh_until else Stale(entry, reason, via)

    def expired(self, part: Part) -> bool:
        """Return whether a part may no longer be sent as what it was when the page came by it.

        What was loaded for this very page may: it is as young as an answer can be.
        """
        if isinstance(part, Stale):
            return self._time.clock() >= part.entry.bound
        return part.via == "cache" and part.entry is not None and self._time.clock() >= part.entry.fresh_until

    async def _load(self, call: Call) -> Entry | Failed:
        try:
            body = await self.guard.call(call)
        except Exception as exc:
            return Failed(self._reason(exc))
        as_of = self._time.wall_clock() - (self._time.clock() - call.began)
        return self._lifetimes.entry(body, _iso(as_of), call.began, self._time.jitter())

    def _reason(self, error: Exception) -> Reason:
        for kind, reason in _REASONS:
            if isinstance(error, kind):
                return reason
        log.error("a call failed in a way that nobody thought of", source=self.name, exc_info=error)
        return "unavailable"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
