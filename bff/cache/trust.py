"""Whether what memory holds may be given out as it is.

Without Redis always. With it, for as long as the pod is sure to hear of every change: see `bff.cache.redis.pods`. What
came into memory in another epoch, before the pod's subscription broke or while it had none, is demoted: it is never
`ok` again, and stale only where its source was asked and failed.
"""

import math

NO_EPOCH = -1


class Trust:
    """until: by the pod's monotonic clock. epoch: what is trusted came in it; NO_EPOCH while nothing may come."""

    __slots__ = ("epoch", "until")

    def __init__(self, until: float = math.inf, epoch: int = 0) -> None:
        self.until = until
        self.epoch = epoch

    def __repr__(self) -> str:
        return f"<Trust until {self.until:.3f}, epoch {self.epoch}>"

    def holds(self, epoch: int, now: float) -> bool:
        """Return whether what came in an epoch may be given out."""
        return epoch == self.epoch and now < self.until
