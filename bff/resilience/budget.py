"""A retry budget: retries are a share of questions and a small floor (Finagle's RetryBudget)."""

from bff.resilience.stack import Clock
from bff.resilience.window import SlidingWindow

WINDOW_SECONDS = 10.0


class RetryBudget:
    """Allows, over any ten seconds, `ratio` retries for each question and `floor` besides."""

    def __init__(self, ratio: float, floor: int, clock: Clock) -> None:
        self.ratio = ratio
        self._floor = floor
        # total: questions; marked: retries. A window forgets up to a tenth of its time early.
        self._window = SlidingWindow(WINDOW_SECONDS * 10 / 9, clock)

    def __repr__(self) -> str:
        return f"<RetryBudget {self.left} left>"

    @property
    def left(self) -> int:
        """How many retries would be allowed now."""
        # The tiny addition keeps a share such as 0.2 * 5 from falling short of its whole number.
        return max(0, int(self._floor + self.ratio * self._window.total + 1e-9) - self._window.marked)

    def ask(self) -> None:
        """Count a question."""
        self._window.add(total=1)

    def take(self) -> bool:
        """Use up a retry, where one is left."""
        if self.left == 0:
            return False
        self._window.add(marked=1)
        return True
