"""Deadlines of many waiters under one timer of the event loop.

Nearly every page is answered long before its deadline, and a timer of the loop's own for each costs more than all else
that waiting does. Here setting an alarm is a push onto a heap, and one that was disarmed is passed over in its time.
"""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from bff.resilience.stack import Clock


class Alarm:
    """Something to be done at a time, unless it is disarmed before."""

    __slots__ = ("ring",)

    def __init__(self, ring: Callable[[], None]) -> None:
        self.ring: Callable[[], None] | None = ring

    def __repr__(self) -> str:
        return f"<Alarm {'disarmed' if self.ring is None else 'set'}>"

    def disarm(self) -> None:
        """Let it pass."""
        self.ring = None


class Alarms:
    """The alarms that are set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Alarm]] = []
        self._numbers = count()  # of equal times the one that was set first is first
        self._timer: asyncio.TimerHandle | None = None
        self._timed_for = 0.0

    def __repr__(self) -> str:
        return f"<Alarms {len(self._heap)}>"

    def set(self, when: float, ring: Callable[[], None]) -> Alarm:
        """Have something done at a time of the clock, or in the next turn where that is past."""
        alarm = Alarm(ring)
        heappush(self._heap, (when, next(self._numbers), alarm))
        if self._timer is None or when < self._timed_for:
            self._time()
        return alarm

    def _time(self) -> None:
        """Set the timer for the first alarm that is not disarmed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._heap and self._heap[0][2].ring is None:
            heappop(self._heap)
        if self._heap:
            self._timed_for = self._heap[0][0]
            seconds = max(0.0, self._timed_for - self._clock())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            alarm = heappop(self._heap)[2]
            if alarm.ring is not None:
                alarm.ring()
        self._time()
