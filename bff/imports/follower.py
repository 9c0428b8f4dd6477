"""Changes followed to their ends, by asking after them: the oldest first, since the service goes by age.

As long as most of those that are asked after have ended, so may those behind them. Now and then all are asked after,
so that none is hidden by those in front of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from bff.imports.rows import Outcome

PAUSE_SECONDS = 0.25
THOROUGH = 20
"""Each so many rounds, all are asked after."""

Ended = Callable[[str], Awaitable[Outcome | None]]


class Follower:
    """Follows changes. ended: returns how one has ended, if it has; together: how many are asked after at once."""

    def __init__(self, ended: Ended, together: int) -> None:
        self._ended = ended
        self._together = together
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}

    def __repr__(self) -> str:
        return f"<Follower of {len(self)}>"

    def __len__(self) -> int:
        return len(self._waiting)

    async def end_of(self, change_id: str) -> Outcome:
        """Wait until a change has ended, and return how."""
        waiting = self._waiting.setdefault(change_id, asyncio.get_running_loop().create_future())
        return await asyncio.shield(waiting)

    async def run(self) -> None:
        """Ask, until cancelled."""
        for turn in count(1):
            await asyncio.sleep(PAUSE_SECONDS)
            await self._round(thorough=turn % THOROUGH == 0)

    async def _round(self, *, thorough: bool) -> None:
        oldest_first = list(self._waiting)
        for start in range(0, len(oldest_first), self._together):
            group = oldest_first[start : start + self._together]
            async with asyncio.TaskGroup() as asking:
                looks = [asking.create_task(self._look(change_id)) for change_id in group]
            if sum(look.result() for look in looks) * 2 < len(group) and not thorough:
                return

    async def _look(self, change_id: str) -> bool:
        outcome = await self._ended(change_id)
        if outcome is not None:
            self._waiting.pop(change_id).set_result(outcome)
        return outcome is not None
