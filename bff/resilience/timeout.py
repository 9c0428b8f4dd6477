"""One attempt's time, connecting, body and decoding included."""

import asyncio
from typing import Any

from bff.resilience.errors import AttemptTimeout, DeadlineExceeded
from bff.resilience.stack import Call, Clock, Next

WHOLE = 0.98  # share of an attempt's time: between a call's start and its attempt's, some microseconds pass


class Timeout:
    """Ends an attempt after its own time, or the call's where less is left. The innermost layer."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Timeout {self._seconds:g}s>"

    async def __call__(self, call: Call, proceed: Next) -> Any:
        """Make the attempt; raise AttemptTimeout, or DeadlineExceeded where it did not get its whole time."""
        call.began = self._clock()
        left = call.deadline - call.began
        if left <= 0:
            raise DeadlineExceeded
        seconds = min(self._seconds, left)
        try:
            async with asyncio.timeout(seconds):
                return await call.send(left)
        except TimeoutError as exc:
            raise (AttemptTimeout if left >= self._seconds * WHOLE else DeadlineExceeded) from exc
