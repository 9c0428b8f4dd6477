"""When to ask again: pauses that grow for as long as no answer comes, and the end of patience."""

from collections.abc import Callable

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0


class Impatient(Exception):
    """The service has not answered well for too long."""


class Pace:
    """One for all that is asked: while the service is ill, whoever asks waits for the same time. clock: monotonic."""

    def __init__(self, clock: Callable[[], float], patience_seconds: float) -> None:
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._pauses = 0
        self._until = 0.0
        self._since: float | None = None

    def __repr__(self) -> str:
        return f"<Pace {'well' if self.well else f'ill, {self._pauses} pauses'}>"

    @property
    def well(self) -> bool:
        """Whether the last answer was one."""
        return self._since is None

    def wait(self) -> float:
        """Return how many seconds to wait before anything is asked, 0 where it may be."""
        return max(0.0, self._until - self._clock())

    def answered(self) -> None:
        """An answer came."""
        self._pauses, self._since = 0, None

    def failed(self, asked_seconds: float) -> None:
        """None came, or one that asks to come again, after so many seconds; raises Impatient."""
        now = self._clock()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._patience_seconds:
            raise Impatient
        if now >= self._until:  # else it is one of those that were under way when the first of them failed
            self._pauses += 1
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (self._pauses - 1))
            self._until = now + pause
        self._until = max(self._until, now + min(asked_seconds, self._patience_seconds))
