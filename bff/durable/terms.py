"""The terms on which a worker works."""

from dataclasses import dataclass

IDLE_SECONDS = 0.2
ALONE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How a worker works.

    alone: whether there can be no other one, nor anybody else who takes work in: it is told of all there is.
    overdue_seconds: after which it takes over.
    """

    alone: bool
    overdue_seconds: float
    grace_seconds: float

    @property
    def poll_seconds(self) -> float:
        """How often it looks for work that nobody has told it of."""
        return ALONE_SECONDS if self.alone else IDLE_SECONDS
