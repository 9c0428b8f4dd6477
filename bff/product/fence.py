"""How a change gets into every cache: what was there before is forgotten, and kept out while its owner is being told.

A delayed second delete follows each change. It is for what a reader had in hand between an owner's change and its
notice. Nothing rests on it: the fence alone keeps old values out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

from bff.cache.tiers import Tiers
from bff.product.parts import SourceName
from bff.resilience.alarms import Alarms
from bff.resilience.stack import Clock


class Untold(Exception):
    """Not every pod could be told of a change: nothing may be said to hold in all of them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A part that is being written. token: no other mark's.

    settle_seconds: how long after the owner's answer loads may still be joined that began before it; see `Fence.lift`.
    """

    source: SourceName
    sku: str
    token: bytes
    settle_seconds: float = 0.0


class Fence(Protocol):
    """Between the owners' values and every cache of them. All of its methods raise Untold."""

    async def forget(self, skus: Sequence[str], sources: Sequence[SourceName]) -> None:
        """Forget parts that have changed; once it returns, nobody who asks is given what was there before."""

    async def mark(self, source: SourceName, sku: str, seconds: float) -> Mark:
        """Forget a part, and keep it out of every cache until the mark is lifted, or for so long."""

    async def lift(self, mark: Mark) -> None:
        """Let a part be kept again, once its owner has answered; then nobody who asks is given what was there before.

        A mark that is never lifted ends by itself: that is for a write of which nobody knows the outcome.
        """


class ProcessFence:
    """The fence of one process, which is all that there is without Redis. It never raises Untold.

    second_seconds: after which the second delete comes.
    """

    def __init__(self, cache: Tiers, alarms: Alarms, clock: Clock, second_seconds: float) -> None:
        self._cache = cache
        self._alarms = alarms
        self._clock = clock
        self._second_seconds = second_seconds
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<ProcessFence, again after {self._second_seconds:g} s>"

    async def forget(self, skus: Sequence[str], sources: Sequence[SourceName]) -> None:
        """Forget parts that have changed, now and once more later."""
        self._cache.forget(skus, sources)
        self._in(self._second_seconds, partial(self._cache.forget, tuple(skus), tuple(sources)))

    async def mark(self, source: SourceName, sku: str, seconds: float) -> Mark:
        """Forget a part, and keep it out of the cache until the mark is lifted, or for so long."""
        mark = Mark(source, sku, b"%d" % next(self._numbers))
        self._cache.of(source).mark(sku, mark.token)
        self._in(seconds, partial(self._cache.of(source).lift, sku, mark.token))
        return mark

    async def lift(self, mark: Mark) -> None:
        """Let a part be kept again, and forget it once more later."""
        self._cache.of(mark.source).lift(mark.sku, mark.token)
        self._in(self._second_seconds, partial(self._cache.forget, (mark.sku,), (mark.source,)))

    def _in(self, seconds: float, what: partial[None]) -> None:
        self._alarms.set(self._clock() + seconds, what)
