"""The memory tier: an aiocache backend, bounded in entries and bytes, what was not used lately first out.

aiocache's own memory backend is unbounded and keeps a timer for each key; its BaseCache is the frame. Ages are the
entries' own affair, so a ttl is not supported here.

A row is what is kept of one SKU: an entry for each source, and what was rendered of them. It is looked up, used and
evicted as a whole, so that a page costs one look-up and a hit writes one flag (second chance, as in CLOCK).
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer

from bff.cache.entry import Entry

UNKNOWN_SHARE = 10  # remembered 404s take at most one in so many, so that they cannot push products out
SECOND_CHANCES = 16  # rows that one eviction passes over at most, so that none holds up a request


class Rendered(Protocol):
    """What was made of a row's entries, and is gone with any of them."""

    @property
    def size(self) -> int:
        """How many bytes it costs, about."""


class Row:
    """What is kept of one SKU.

    entries: one for each source, in their order; size: bytes that it costs, about; used: since eviction last looked.
    """

    __slots__ = ("entries", "rendered", "size", "used")

    def __init__(self, width: int) -> None:
        self.entries: list[Entry | None] = [None] * width
        self.rendered: Rendered | None = None
        self.size = 0
        self.used = False

    def __repr__(self) -> str:
        return f"<Row {sum(1 for entry in self.entries if entry is not None)} of {len(self.entries)}>"


class MemoryTier(BaseCache):  # type: ignore[misc] # aiocache has no types
    """Rows by SKU, in the order in which they came. The keys of aiocache's interface are those of `key_of`.

    sources: their names, in the order of a row's entries.
    """

    NAME = "memory"

    def __init__(self, sources: Sequence[str], max_entries: int, max_bytes: int) -> None:
        super().__init__(serializer=NullSerializer(), timeout=None)
        self.evicted = 0
        self.size = 0  # bytes that all entries and what is rendered of them cost, about
        self._count = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_unknown = max(1, max_entries // UNKNOWN_SHARE)
        self._max_unknown_bytes = max(1, max_bytes // UNKNOWN_SHARE)
        self._columns = {name: column for column, name in enumerate(sources)}
        self._none = (None,) * len(sources)
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._unknown: OrderedDict[tuple[str, int], Entry] = OrderedDict()  # the remembered 404s, oldest first
        self._unknown_size = 0

    def __repr__(self) -> str:
        return f"<MemoryTier {self._count} entries of {self.size} bytes, {len(self._unknown)} of them unknown>"

    def __len__(self) -> int:
        return self._count

    @property
    def figures(self) -> dict[str, int]:
        """What it holds and may hold: entries, remembered 404s among them, bytes; and how many it has evicted."""
        return {
            "entries": self._count,
            "not_found": len(self._unknown),
            "bytes": self.size,
            "max_entries": self._max_entries,
            "max_bytes": self._max_bytes,
            "evicted": self.evicted,
        }

    def rendered(self, sku: str) -> Any:
        """Return what was rendered of a SKU's entries, None where nothing was; a use of them all."""
        row = self._rows.get(sku)
        if row is None:
            return None
        row.used = True
        return row.rendered

    def render(self, sku: str, entries: Sequence[Entry | None], rendered: Rendered) -> None:
        """Keep what was rendered, where these entries are still the ones that are there."""
        row = self._rows.get(sku)
        if row is not None and all(mine is theirs for mine, theirs in zip(row.entries, entries, strict=True)):
            self._withdraw(row)
            row.rendered = rendered
            row.size += rendered.size
            self.size += rendered.size
            self._evict()

    def look_up(self, sku: str) -> Sequence[Entry | None] | None:
        """Return a SKU's entries, however old, None where there are none; a use of them."""
        row = self._rows.get(sku)
        if row is None:
            return None
        row.used = True
        return row.entries

    def peek(self, sku: str, column: int) -> Entry | None:
        """Return one entry, without counting as a use of it."""
        row = self._rows.get(sku)
        return None if row is None else row.entries[column]

    def fill(self, sku: str, column: int, entry: Entry) -> bool:
        """Keep an entry, and return whether it is kept: not where one stands whose load began later."""
        row = self._rows.get(sku)
        if row is None:
            row = self._rows[sku] = Row(len(self._none))
        else:
            standing = row.entries[column]
            if standing is not None:
                if standing.began > entry.began:
                    return False
                self._forget(sku, row, column)
            self._rows.move_to_end(sku)  # what comes now must not be what goes for it
            if row.rendered is not None:
                self._withdraw(row)
        row.entries[column] = entry
        size = entry.size
        row.size += size
        self._count += 1
        self.size += size
        if entry.body is None:
            self._unknown[sku, column] = entry
            self._unknown_size += size
        if self._count <= self._max_entries and self.size <= self._max_bytes and entry.body is not None:
            return True
        self._evict()
        return self.peek(sku, column) is entry  # one larger than all bounds goes at once

    def drop(self, sku: str, column: int) -> int:
        """Forget an entry, and return how many there were."""
        row = self._rows.get(sku)
        if row is None or row.entries[column] is None:
            return 0
        self._forget(sku, row, column)
        self._withdraw(row)
        if not any(row.entries):
            del self._rows[sku]
        return 1

    # aiocache's backend interface

    async def _get(self, key: str, encoding: Any = None, _conn: Any = None) -> Entry | None:
        sku, column = self._place(key)
        return (self.look_up(sku) or self._none)[column]

    async def _multi_get(self, keys: list[str], encoding: Any = None, _conn: Any = None) -> list[Entry | None]:
        return [(self.look_up(sku) or self._none)[column] for sku, column in map(self._place, keys)]

    async def _set(self, key: str, value: Entry, ttl: Any = None, _cas_token: Any = None, _conn: Any = None) -> bool:
        sku, column = self._place(key)
        if _cas_token is not None and _cas_token is not self.peek(sku, column):
            return False
        return self.fill(sku, column, value)

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return self.drop(*self._place(key))

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return self.peek(*self._place(key)) is not None

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        self._rows.clear()
        self._unknown.clear()
        self._count = self.size = self._unknown_size = 0
        return True

    def _place(self, key: str) -> tuple[str, int]:
        name, sku, _variant = key.split(":")
        return sku, self._columns[name]

    def _forget(self, sku: str, row: Row, column: int) -> None:
        entry = row.entries[column]
        assert entry is not None, "only what is there is forgotten"
        row.entries[column] = None
        row.size -= entry.size
        self._count -= 1
        self.size -= entry.size
        if entry.body is None:
            self._know(sku, column, entry)

    def _know(self, sku: str, column: int, entry: Entry) -> None:
        del self._unknown[sku, column]
        self._unknown_size -= entry.size

    def _withdraw(self, row: Row) -> None:
        if row.rendered is not None:
            row.size -= row.rendered.size
            self.size -= row.rendered.size
            row.rendered = None

    def _evict(self) -> None:
        while self._unknown and (
            len(self._unknown) > self._max_unknown or self._unknown_size > self._max_unknown_bytes
        ):
            self.evicted += self.drop(*next(iter(self._unknown)))
        while self._rows and (self._count > self._max_entries or self.size > self._max_bytes):
            self.evicted += self._drop_oldest()

    def _drop_oldest(self) -> int:
        """Drop the row that came first of those that were not used since they last were looked at here."""
        for _ in range(SECOND_CHANCES):
            sku, row = self._rows.popitem(last=False)
            if not row.used:
                break
            row.used = False
            self._rows[sku] = row
        else:
            sku, row = self._rows.popitem(last=False)
        count = 0
        for column, entry in enumerate(row.entries):
            if entry is not None:
                count += 1
                if entry.body is None:
                    self._know(sku, column, entry)
        self._count -= count
        self.size -= row.size
        return count
