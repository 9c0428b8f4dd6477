"""The cache as the product sees it: look up, load once, invalidate."""

from collections.abc import Iterable, Sequence

import msgspec

from bff.cache.entry import Entry
from bff.cache.flights import Flight, Flights
from bff.cache.memory import MemoryTier
from bff.cache.trust import Trust


class Failed(msgspec.Struct, frozen=True, gc=False):
    """A load that brought no answer."""

    reason: str


class Loaded(msgspec.Struct, frozen=True, gc=False):
    """A load that brought an answer, and whether it was kept."""

    entry: Entry
    stored: bool


class Found(msgspec.Struct, frozen=True, gc=False):
    """A load that found what another pod had loaded, and that may still be served at once."""

    entry: Entry


Outcome = Loaded | Found | Failed


def key_of(source: str, sku: str) -> str:
    """Return the key of one part of one SKU; the variant is empty until a header varies an answer."""
    return f"{source}:{sku}:"


class Tiers:
    """The memory tier, and each source's loads under way.

    sources: their names, in the order of a row's entries. trust: in what memory holds; without other pods it is always.
    """

    def __init__(self, memory: MemoryTier, sources: Sequence[str], trust: Trust | None = None) -> None:
        self.memory = memory
        self.trust = trust or Trust()
        self._sources = {name: SourceTiers(memory, name, column, self.trust) for column, name in enumerate(sources)}

    def __repr__(self) -> str:
        return f"<Tiers {self.memory!r} {list(self._sources.values())!r}>"

    def of(self, source: str) -> "SourceTiers":
        """Return one source's part of the cache."""
        return self._sources[source]

    @property
    def loading(self) -> int:
        """How many loads are under way that readers may join."""
        return sum(len(source.flights) for source in self._sources.values())

    def forget(self, skus: Iterable[str], sources: Iterable[str]) -> None:
        """Forget values and fence off the loads that are under way: later readers get neither.

        Sources that are not known, as they may be to another release, have nothing here.
        """
        known = [self._sources[source] for source in sources if source in self._sources]
        for sku in skus:
            for tiers in known:
                tiers.forget(sku)


class SourceTiers:
    """One source's part of the cache."""

    def __init__(self, memory: MemoryTier, name: str, column: int, trust: Trust) -> None:
        self.flights: Flights[Outcome] = Flights()
        self.trust = trust
        self._memory = memory
        self._name = name
        self._column = column
        self._marks: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"<SourceTiers {self._name} {self.flights!r}>"

    def current(self, sku: str) -> Entry | None:
        """Return the entry of one part, however old."""
        return self._memory.peek(sku, self._column)

    def forget(self, sku: str) -> None:
        """Forget a value and fence off the load that is under way: later readers get neither."""
        self.flights.revoke(sku)
        self._memory.drop(sku, self._column)

    def mark(self, sku: str, token: bytes) -> None:
        """Forget a value, and keep nothing of it until the mark is lifted; another mark is replaced."""
        self.forget(sku)
        self._marks[sku] = token

    def lift(self, sku: str, token: bytes) -> None:
        """Forget what was loaded under a mark, and keep values again where no other mark has replaced it."""
        self.forget(sku)
        if self._marks.get(sku) == token:
            del self._marks[sku]

    def land(self, flight: Flight[Outcome], entry: Entry) -> None:
        """Keep what a load has brought, unless it was fenced off, and tell its readers.

        The fence is asked in the turn of the event loop in which the value is written.
        """
        fills, standing = not (self._marks and flight.key in self._marks), flight.standing
        if standing is not None:
            entry.epoch = standing.epoch
            fills = fills and standing.fills
            standing.brought(entry)
        stored = (
            self.flights.take(flight)
            and fills
            and entry.bound > entry.began  # else it could never be served
            and self._memory.fill(flight.key, self._column, entry)
        )
        flight.land(Loaded(entry, stored))

    def found(self, flight: Flight[Outcome], entry: Entry) -> None:
        """Keep what another pod has loaded, unless the flight was fenced off, and tell its readers."""
        if self.flights.take(flight):
            self._memory.fill(flight.key, self._column, entry)
        flight.land(Found(entry))

    def disown(self, sku: str, now: float) -> None:
        """Forget a value that is not trusted: Redis was asked and has answered, so that it is of no use any more."""
        entry = self.current(sku)
        if entry is not None and not self.trust.holds(entry.epoch, now):
            self._memory.drop(sku, self._column)

    def lend(self, flight: Flight[Outcome], entry: Entry) -> None:
        """Keep what another pod has loaded, for where the source fails, while a flight goes on to ask it."""
        if self.flights.stands(flight):
            self._memory.fill(flight.key, self._column, entry)

    def fail(self, flight: Flight[Outcome], failed: Failed) -> None:
        """Note why a load has brought nothing, and tell its readers."""
        if flight.standing is not None:
            flight.standing.failed()
        if self.flights.take(flight) and (kept := self.current(flight.key)) is not None:
            kept.failure = failed.reason
        flight.land(failed)
