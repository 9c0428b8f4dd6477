"""A cached value and its ages. Times are monotonic seconds."""

import math
from dataclasses import dataclass

import msgspec

OVERHEAD_BYTES = 600  # an entry's own objects and its share of its row and of the tier's tables, as measured
AHEAD_SHARE = 0.2
AHEAD_SECONDS = 2.0
MAX_JITTER = 0.1


class Entry(msgspec.Struct, gc=False):
    """One part of one SKU, or the knowledge that there is none.

    body: the part as JSON, None for a remembered 404.
    as_of: when the attempt that brought it began, as text, as it is shown to clients.
    began: the same by the monotonic clock; all ages count from it.
    fresh_until: until then it is served without a question.
    revalidate_until: until then it is served while it is being asked for.
    bound: nothing is served later.
    refresh_at: when reading it begins to ask for a new one; infinite once that was done.
    failure: why the last refresh since it was loaded failed; the cache keeps it, but knows no meaning of it.
    epoch: in which it was come by; see `bff.cache.trust`.
    """

    body: bytes | None
    as_of: bytes
    began: float
    fresh_until: float
    revalidate_until: float
    bound: float
    refresh_at: float
    failure: str | None = None
    epoch: int = 0

    @property
    def size(self) -> int:
        """How many bytes it costs, about."""
        return OVERHEAD_BYTES + (0 if self.body is None else len(self.body))


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a source's values live, in seconds."""

    fresh: float
    revalidate: float
    stale: float
    not_found: float

    @property
    def servable(self) -> tuple[float, float]:
        """How old a value and a remembered 404 may be that are served at once, however jitter falls, in seconds."""
        return self.fresh * (1 - MAX_JITTER) + self.revalidate, self.not_found * (1 - MAX_JITTER)

    @property
    def refreshed(self) -> tuple[float, float]:
        """How old they may be to need no refresh."""
        fresh = self.fresh * (1 - MAX_JITTER)
        return fresh - min(AHEAD_SHARE * fresh, AHEAD_SECONDS), self.not_found * (1 - MAX_JITTER)

    def entry(self, body: bytes | None, as_of: bytes, began: float, jitter: float) -> Entry:
        """Make an entry; `jitter`, from 0 to 1, shortens its fresh time by at most a tenth."""
        fresh = (self.not_found if body is None else self.fresh) * (1 - MAX_JITTER * jitter)
        until = began + fresh
        if body is None:
            return Entry(None, as_of, began, until, until, until, math.inf)
        ahead = AHEAD_SHARE * fresh
        return Entry(
            body,
            as_of,
            began,
            until,
            until + self.revalidate,
            until + (self.stale if self.stale > self.revalidate else self.revalidate),
            until - (ahead if ahead < AHEAD_SECONDS else AHEAD_SECONDS),
        )
