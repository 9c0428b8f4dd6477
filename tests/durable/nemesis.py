"""Kills pods at random moments, and starts each again after a while."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.durable.pods import SQLITE, Pod, Site

DOWN_SECONDS = (1.0, 2.0)
WORKING_SHARE = 0.7  # of those that come back: killed again only once they work, the others perhaps while they start


@dataclass(frozen=True, slots=True)
class Kills:
    """How many, and how long after one another, at least and at most; of a pod alone, from when it is up again."""

    count: int
    gap_seconds: tuple[float, float]


class Nemesis:
    """Who kills. killed: how often each pod was; last_at: when one was, by the loop's clock."""

    def __init__(self, site: Site, random: Random, say: Callable[[str], None]) -> None:
        self.killed: Counter[str] = Counter()
        self._away: set[Pod] = set()
        self.last_at = 0.0
        self._site = site
        self._random = random
        self._say = say

    def __repr__(self) -> str:
        return f"<Nemesis {dict(self.killed)}>"

    async def run(self, kills: Kills) -> None:
        """Kill so often, and return once all are up again; raise NotStarted, alone or in a group."""
        async with asyncio.TaskGroup() as group:
            for kind in self._turns(kills.count):
                pod = await self._one_of(kind, self._random.uniform(*kills.gap_seconds))
                await self.kill(pod)
                group.create_task(self._bring_back(pod))

    async def kill(self, pod: Pod) -> None:
        """Kill a pod."""
        self._away.add(pod)
        await pod.kill()
        self.killed[pod.name] += 1
        self.last_at = asyncio.get_running_loop().time()
        self._say(f"killed {pod.name}")

    def _turns(self, count: int) -> list[Sequence[Pod]]:
        """Return whose turn it is to lose one: each kind as often as the other, in any order."""
        if self._site.database == SQLITE:
            return [self._site.pods] * count
        turns = [(self._site.apis, self._site.workers)[nth % 2] for nth in range(count)]
        self._random.shuffle(turns)
        return list(turns)

    async def _one_of(self, pods: Sequence[Pod], after_seconds: float) -> Pod:
        while self._away.issuperset(pods):
            await asyncio.sleep(0.05)
        await asyncio.sleep(after_seconds)
        return self._random.choice([pod for pod in pods if pod not in self._away])

    async def _bring_back(self, pod: Pod) -> None:
        await asyncio.sleep(self._random.uniform(*DOWN_SECONDS))
        await pod.launch()
        await pod.listening()
        if pod in self._site.workers and self._random.random() < WORKING_SHARE:
            await pod.working()
        self._away.discard(pod)
