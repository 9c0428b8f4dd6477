"""Counts over a sliding window of time, in ten steps."""

from bff.resilience.stack import Clock

_STEPS = 10


class SlidingWindow:
    """Two counters over the last `seconds`: how many there were, and how many of them were marked."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._step = seconds / _STEPS
        self._clock = clock
        self.clear()

    def __repr__(self) -> str:
        return f"<SlidingWindow {self.marked}/{self.total}>"

    def clear(self) -> None:
        """Forget everything."""
        self._totals = [0] * _STEPS
        self._marks = [0] * _STEPS
        self._total = self._marked = 0
        self._now = int(self._clock() / self._step)

    def add(self, total: int = 0, marked: int = 0) -> None:
        """Count something that happens now."""
        self._advance()
        slot = self._now % _STEPS
        self._totals[slot] += total
        self._marks[slot] += marked
        self._total += total
        self._marked += marked

    @property
    def total(self) -> int:
        """How many there were."""
        self._advance()
        return self._total

    @property
    def marked(self) -> int:
        """How many of them were marked."""
        self._advance()
        return self._marked

    def _advance(self) -> None:
        now = int(self._clock() / self._step)
        for step in range(self._now + 1, min(now, self._now + _STEPS) + 1):
            slot = step % _STEPS
            self._total -= self._totals[slot]
            self._marked -= self._marks[slot]
            self._totals[slot] = self._marks[slot] = 0
        self._now = max(now, self._now)
