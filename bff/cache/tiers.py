"""The cache as the product sees it: look up, load once, invalidate."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bff.cache.entry import Entry
from bff.cache.fence import Fence, Nonce
from bff.cache.flights import Flight, Flights
from bff.cache.memory import MemoryTier


@dataclass(frozen=True, slots=True)
class Failed:
    """A load that brought no answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load that brought an answer, and whether it was kept."""

    entry: Entry
    stored: bool


Outcome = Loaded | Failed


def key_of(source: str, sku: str) -> str:
    """Return the key of one part of one SKU; the variant is empty until a header varies an answer."""
    return f"{source}:{sku}:"


class Tiers:
    """The memory tier, its fence and the loads under way."""

    def __init__(self, memory: MemoryTier, fence: Fence) -> None:
        self.memory = memory
        self.flights: Flights[Outcome] = Flights(fence)
        self._fence = fence

    def __repr__(self) -> str:
        return f"<Tiers {self.memory!r} {self.flights!r}>"

    async def lookup(self, keys: list[str]) -> list[Entry | None]:
        """Return the entries of several keys at once, however old."""
        entries: list[Entry | None] = await self.memory.multi_get(keys)
        return entries

    def current(self, key: str) -> Entry | None:
        """Return what a lookup would, at once."""
        return self.memory.peek(key)

    def load(self, key: str, load: Callable[[], Awaitable[Entry | Failed]], about: Any) -> tuple[Flight[Outcome], bool]:
        """Join the load of a key or start it; return it, and whether it was started."""

        async def fly(nonce: Nonce) -> Outcome:
            result = await load()
            if isinstance(result, Failed):
                standing = self.memory.peek(key)
                if standing is not None and self._fence.stands(key, nonce):
                    standing.failure = result.reason
                return result
            return Loaded(result, bool(await self.memory.set(key, result, _cas_token=nonce)))

        return self.flights.board(key, fly, about)

    async def invalidate(self, keys: Iterable[str]) -> None:
        """Forget values and fence off the loads that are under way: later readers get neither."""
        keys = list(keys)
        self._fence.revoke(keys)
        for key in keys:
            await self.memory.delete(key)

    async def aclose(self) -> None:
        """Cancel the loads under way."""
        await self.flights.aclose()
