"""One source as the page sees it: every question gets a part, never an exception."""

from collections.abc import Callable
from typing import cast

from bff.cache.entry import Entry
from bff.cache.flights import Flight
from bff.cache.tiers import Failed, Found, Loaded, Outcome, SourceTiers
from bff.product.guard import Guard
from bff.product.loader import Loading
from bff.product.parts import Missing, Ok, Part, Reason, SourceName, Stale, Via
from bff.resilience.stack import Clock
from clients.source import Caller


class Upstream:
    """A source behind its guard and the cache."""

    def __init__(
        self,
        name: SourceName,
        loading: Loading,
        guard: Guard,
        cache: SourceTiers,
        clock: Clock,
        looked_up: Callable[[SourceName, str], None],
    ) -> None:
        self.name = name
        self.guard = guard
        self._loading = loading
        self._cache = cache
        self._clock = clock
        self._looked_up = looked_up

    def __repr__(self) -> str:
        return f"<Upstream {self.name} {self.guard.circuit!r} {self.guard.bulkhead!r}>"

    def cached(self, entry: Entry | None) -> Part | None:
        """Return the part that may be served without waiting, None where the source has to be asked first."""
        if entry is None or (now := self._clock()) >= entry.bound or not self._trusted(entry, now):
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
            if self._clock() < part.entry.refresh_at:
                return
            part.entry.refresh_at = float("inf")  # once: a source that fails is not asked again at each read
        elif not isinstance(part, Stale):
            return
        flight, is_new = self._cache.flights.board(sku)
        flight.keep()
        if is_new:
            self._loading.start(flight, caller)

    def ask(self, sku: str, caller: Caller) -> tuple[Flight[Outcome], bool]:
        """Join the load of the part or start it; return it, and whether it was started."""
        flight, is_new = boarded = self._cache.flights.board(sku)
        if is_new:
            self._loading.start(flight, caller)
        return boarded

    def answered(self, sku: str, outcome: Outcome, via: Via) -> Part:
        """Return the part that a load has brought."""
        if type(outcome) is Failed:
            return self.failed(sku, cast(Reason, outcome.reason), via)
        if type(outcome) is Found:
            return self._found(outcome.entry)
        assert type(outcome) is Loaded, outcome
        if outcome.entry.body is None:
            return Missing("not_found", via, outcome.entry)
        return Ok(outcome.entry, via, outcome.stored)

    def late(self, sku: str, flight: Flight[Outcome], via: Via) -> Part:
        """Return the part of a page whose time is up before the load has ended.

        What is not trusted is not given out while Redis may still answer: it is not Redis that failed, but time.
        """
        at_any_rate = flight.standing is None or flight.standing.alone
        return self.failed(sku, "overloaded" if flight.queued else "timeout", via, at_any_rate=at_any_rate)

    def failed(self, sku: str, reason: Reason, via: Via, *, at_any_rate: bool = True) -> Part:
        """Return what there is where the source was asked and failed: a value within its bound, or nothing.

        at_any_rate: a value that is not trusted, too, unless this pod hears of every change again: then it may have
        missed some, and knows it.
        """
        entry, now = self._cache.current(sku), self._clock()
        if entry is None or entry.body is None or now >= entry.bound:
            return Missing(reason, via)
        if not self._trusted(entry, now) and (not at_any_rate or now < self._cache.trust.until):
            return Missing(reason, via)
        # A newer load may have succeeded meanwhile: the value before was invalidated, and this load with it.
        if now < entry.fresh_until and self._trusted(entry, now):
            return Ok(entry, "cache")
        return Stale(entry, reason, via)

    def expired(self, part: Part) -> bool:
        """Return whether a part may no longer be sent as what it was when the page came by it.

        What was loaded for this very page may: it is as young as an answer can be.
        """
        if type(part) is Stale:
            return self._clock() >= part.entry.bound
        return part.via == "cache" and part.entry is not None and self._clock() >= part.entry.fresh_until

    def _trusted(self, entry: Entry, now: float) -> bool:
        trust = self._cache.trust
        return entry.epoch == trust.epoch and now < trust.until

    def _found(self, entry: Entry) -> Part:
        """Return the part that another pod has loaded."""
        if entry.body is None:
            return Missing("not_found", "cache", entry)
        if self._clock() < entry.fresh_until:
            return Ok(entry, "cache")
        return Stale(entry, "revalidating", "cache")

    async def aclose(self) -> None:
        """Cancel the loads under way, and wait until they have ended."""
        await self._loading.aclose()
