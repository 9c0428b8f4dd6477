"""The memory tier: an aiocache backend, bounded in entries and bytes, least recently used first out.

aiocache's own memory backend is unbounded and keeps a timer for each key; its BaseCache is the frame. Ages are the
entries' own affair, so a ttl is not supported here.
"""

from collections import OrderedDict
from typing import Any

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer

from bff.cache.entry import Entry
from bff.cache.fence import Fence, Nonce

UNKNOWN_SHARE = 10  # remembered 404s take at most one in so many, so that they cannot push products out


class MemoryTier(BaseCache):  # type: ignore[misc] # aiocache has no types
    """Entries by key. `set` takes the nonce of the load as `_cas_token`, aiocache's compare-and-set."""

    NAME = "memory"

    def __init__(self, fence: Fence, max_entries: int, max_bytes: int) -> None:
        super().__init__(serializer=NullSerializer(), timeout=None)
        self.evicted = 0
        self._fence = fence
        self._products = _Shelf(max_entries, max_bytes)
        self._unknown = _Shelf(max(1, max_entries // UNKNOWN_SHARE), max(1, max_bytes // UNKNOWN_SHARE))

    def __repr__(self) -> str:
        return f"<MemoryTier {self._products!r}, unknown {self._unknown!r}>"

    def __len__(self) -> int:
        return len(self._products.entries) + len(self._unknown.entries)

    @property
    def size(self) -> int:
        """How many bytes all entries cost, about."""
        return self._products.size + self._unknown.size

    def peek(self, key: str) -> Entry | None:
        """Return an entry without waiting and without counting as a use of it."""
        return self._products.entries.get(key) or self._unknown.entries.get(key)

    # aiocache's backend interface

    async def _get(self, key: str, encoding: Any = None, _conn: Any = None) -> Entry | None:
        return self._products.use(key) or self._unknown.use(key)

    async def _multi_get(self, keys: list[str], encoding: Any = None, _conn: Any = None) -> list[Entry | None]:
        return [self._products.use(key) or self._unknown.use(key) for key in keys]

    async def _set(
        self, key: str, value: Entry, ttl: Any = None, _cas_token: Nonce | None = None, _conn: Any = None
    ) -> bool:
        if _cas_token is None or not self._fence.stands(key, _cas_token):
            return False
        standing = self.peek(key)
        if standing is not None and standing.began > value.began:
            return False
        self._drop(key)
        (self._products if value.body is not None else self._unknown).put(key, value)
        self._evict()
        return self.peek(key) is value  # an entry larger than all bounds goes at once

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return self._drop(key)

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return self.peek(key) is not None

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        self._products.clear()
        self._unknown.clear()
        return True

    def _drop(self, key: str) -> int:
        return self._products.drop(key) + self._unknown.drop(key)

    def _evict(self) -> None:
        while self._unknown.too_full(0, 0):
            self.evicted += self._unknown.drop_oldest()
        while self._products.too_full(len(self._unknown.entries), self._unknown.size):
            self.evicted += self._products.drop_oldest()


class _Shelf:
    """Entries in the order of their last use, and what they cost."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.size = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    def __repr__(self) -> str:
        return f"{len(self.entries)} entries of {self.size} bytes"

    def use(self, key: str) -> Entry | None:
        entry = self.entries.get(key)
        if entry is not None:
            self.entries.move_to_end(key)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        self.entries[key] = entry
        self.size += entry.size

    def drop(self, key: str) -> int:
        entry = self.entries.pop(key, None)
        if entry is None:
            return 0
        self.size -= entry.size
        return 1

    def drop_oldest(self) -> int:
        return self.drop(next(iter(self.entries)))

    def too_full(self, more_entries: int, more_bytes: int) -> bool:
        """Return whether it exceeds a bound together with so much more that counts against it."""
        return bool(self.entries) and (
            len(self.entries) + more_entries > self._max_entries or self.size + more_bytes > self._max_bytes
        )

    def clear(self) -> None:
        self.entries.clear()
        self.size = 0
