"""The rule that is checked, and what has to be known to apply it. Pure; times are monotonic seconds of one clock.

A `PUT` that wrote version v of a part and was answered 200 at the time t is acknowledged. Every page whose request is
*sent* after t must show that part at version v or a later one: else what it shows is old. A `PUT` that was answered 202
holds in the same way 10 s later. Every other answer promises nothing: the write may have happened or not.

Versions of a part only grow at its owner, so what is not older than v holds v. A part that is not shown is no value.

One case is no fault: a pod that is cut off from Redis, and whose source fails too, may serve an old value marked
`stale` with the reason of that failure. `revalidating` is no failure.
"""

from bisect import bisect, bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum

CONFIRMED_SECONDS = 10.0
SETTLE_SECONDS = 2.0  # how long a pod may take to find its way back to a Redis that it reaches again

Key = tuple[str, str]  # a source, a SKU


@dataclass(frozen=True, slots=True, order=True)
class Promise:
    """From a time on, no version of a part below this one may be shown. status: of the `PUT` that promised it."""

    at: float
    version: int
    status: int = field(default=200, compare=False)


class History:
    """What has been promised of every part."""

    def __init__(self) -> None:
        # Of each part, in the order of time, without those that an earlier and higher one makes say nothing.
        self._promises: dict[Key, list[Promise]] = defaultdict(list)

    def acknowledged(self, key: Key, version: int, at: float) -> None:
        """Note that a write was answered 200."""
        self._insert(key, Promise(at, version))

    def accepted(self, key: Key, version: int, at: float) -> None:
        """Note that a write was answered 202."""
        self._insert(key, Promise(at + CONFIRMED_SECONDS, version, 202))

    def standing(self, key: Key, sent: float) -> Promise | None:
        """Return what binds a page whose request was sent at this time, None where nothing does."""
        promises = self._promises[key]
        index = bisect_left(promises, sent, key=_at)  # those before it; one of the very same time does not bind
        return promises[index - 1] if index else None

    def _insert(self, key: Key, promise: Promise) -> None:
        promises = self._promises[key]
        index = bisect(promises, promise)
        if index and promises[index - 1].version >= promise.version:
            return
        end = index
        while end < len(promises) and promises[end].version <= promise.version:
            end += 1
        promises[index:end] = [promise]


class Outages:
    """When a pod was cut off from Redis. Outages may overlap; each ends once."""

    def __init__(self) -> None:
        self._ended: list[tuple[float, float]] = []
        self._standing: list[float] = []

    def begin(self, at: float) -> None:
        """Note that one begins."""
        self._standing.append(at)

    def end(self, at: float) -> None:
        """Note that one ends: which of those that stand is all the same."""
        self._ended.append((self._standing.pop(), at))

    def touch(self, sent: float, received: float) -> bool:
        """Return whether the pod was cut off, or on its way back, at any time between these."""
        ended = any(began <= received and sent <= end + SETTLE_SECONDS for began, end in self._ended)
        return ended or any(began <= received for began in self._standing)


class Verdict(Enum):
    """What is to be said of a part that a page shows."""

    CURRENT = "current"
    EXCUSED = "excused"
    OLD = "old"


@dataclass(frozen=True, slots=True)
class Shown:
    """A part as a page shows it."""

    source: str
    version: int
    state: str
    reason: str | None

    @property
    def how(self) -> str:
        """Its state, with the reason where there is one."""
        return self.state if self.reason is None else f"{self.state} ({self.reason})"

    @property
    def admits_failure(self) -> bool:
        """Whether it says of itself that its source was asked, and failed."""
        return self.state == "stale" and self.reason != "revalidating"


def judge(shown: Shown, promise: Promise | None, *, cut_off: bool) -> Verdict:
    """Apply the rule. cut_off: whether the page's pod was, while it was asked."""
    if promise is None or shown.version >= promise.version:
        return Verdict.CURRENT
    return Verdict.EXCUSED if cut_off and shown.admits_failure else Verdict.OLD


def _at(promise: Promise) -> float:
    return promise.at
