"""Forgetting what changed: at once, and once more after a while.

The second delete is for what a reader had in hand between an owner's change and its notice. Nothing rests on it: the
fence alone keeps old values out.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from bff.cache.tiers import Tiers
from bff.product.parts import SourceName
from bff.resilience.alarms import Alarms
from bff.resilience.stack import Clock


class Invalidations:
    """Invalidates parts. second_seconds: when it does so again."""

    def __init__(self, cache: Tiers, alarms: Alarms, clock: Clock, second_seconds: float) -> None:
        self._cache = cache
        self._alarms = alarms
        self._clock = clock
        self._second_seconds = second_seconds

    def __repr__(self) -> str:
        return f"<Invalidations, again after {self._second_seconds:g} s>"

    def changed(self, skus: Iterable[str], sources: Sequence[SourceName]) -> None:
        """Forget parts now, and once more after a while."""
        kept = tuple(skus)
        self._forget(kept, sources)
        self._alarms.set(self._clock() + self._second_seconds, partial(self._forget, kept, sources))

    def _forget(self, skus: Sequence[str], sources: Sequence[SourceName]) -> None:
        for source in sources:
            self._cache.invalidate(source, skus)
