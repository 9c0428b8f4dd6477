"""How late the event loop is: the longest delay of a short sleep, over the last ten seconds."""

import asyncio
from collections import deque
from collections.abc import Callable

from bff.resilience.stack import Clock

INTERVAL_SECONDS = 0.25
REMEMBERED = 40


async def watch(report: Callable[[float], None], clock: Clock) -> None:
    """Measure until cancelled."""
    lags: deque[float] = deque(maxlen=REMEMBERED)
    while True:
        began = clock()
        await asyncio.sleep(INTERVAL_SECONDS)
        lags.append(max(0.0, clock() - began - INTERVAL_SECONDS))
        report(max(lags))
