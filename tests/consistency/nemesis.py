"""Breaks, again and again and at random, what lies between the pods; never for long, and always mends it."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from redis import RedisError

from bff.cache.redis.keys import Keys
from tests.consistency.fleet import Pod
from tests.consistency.owner import Owner
from tests.consistency.proxy import Proxy, Way
from tests.consistency.traffic import Clock
from tests.redis_server import RedisServer

PAUSE_SECONDS = (0.1, 1.7)
STOPPED_SECONDS = (0.3, 3.0)
CUT_SECONDS = (0.5, 3.0)
AWAY_SECONDS = 1.5  # Redis, at most, in half of its restarts; else it is back at once
LOST_SHARE = 0.5  # of the cuts, after which what was under way is lost; else it arrives late
KEPT = 400  # faults that are remembered
NONCES = Keys("*").part("*", "*")[1]  # marks among them, which stand in their place

STOPPED = "pod stopped"
CUT = "pod cut off"
RESTARTED = "Redis restarted"
EVICTED = "nonces evicted"
CLOSED = "subscriptions killed"
HUNG = "write hung"
SHARES = {STOPPED: 3, CUT: 3, EVICTED: 3, CLOSED: 2, HUNG: 2, RESTARTED: 1}

CUTS: dict[str, Callable[[Proxy], None]] = {
    "both ways held": lambda proxy: proxy.hold(),
    "held to Redis": lambda proxy: proxy.hold((Way.TO_REDIS,)),
    "held to the pod": lambda proxy: proxy.hold((Way.TO_POD,)),
    "refused": Proxy.refuse,
}


@dataclass
class Fault:
    """What was broken, and from when to when; ended is infinite while it is broken."""

    what: str
    began: float
    ended: float = float("inf")

    def touches(self, since: float, until: float) -> bool:
        """Return whether any of it was between these times."""
        return self.began <= until and since <= self.ended


class Nemesis:
    """Who breaks things. counts: takes how often each was; faults: the last ones, in the order of their beginning."""

    def __init__(
        self,
        random: Random,
        clock: Clock,
        pods: Sequence[Pod],
        redis: RedisServer,
        owner: Owner,
        counts: Counter[str],
    ) -> None:
        self.faults: deque[Fault] = deque(maxlen=KEPT)
        self._random = random
        self._clock = clock
        self._pods = pods
        self._redis = redis
        self._owner = owner
        self._counts = counts
        self._broken: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        return f"<Nemesis {dict(self._counts)}, broken: {sorted(self._broken)}>"

    async def run(self, stop: asyncio.Event) -> None:
        """Break things until told to stop; return when all of it is mended."""
        ways = {
            STOPPED: self._stop_pod,
            CUT: self._cut_pod,
            EVICTED: self._evict_nonces,
            CLOSED: self._kill_subscriptions,
            HUNG: self._hang_write,
            RESTARTED: self._restart_redis,
        }
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                (name,) = self._random.choices(list(SHARES), list(SHARES.values()))
                group.create_task(ways[name]())
                await asyncio.sleep(self._random.uniform(*PAUSE_SECONDS))

    async def _stop_pod(self) -> None:
        pod = self._random.choice(self._pods)
        if (STOPPED, pod.name) in self._broken:
            return
        with self._breaking(STOPPED, pod.name):
            pod.pause()
            try:
                await asyncio.sleep(self._random.uniform(*STOPPED_SECONDS))
            finally:
                pod.resume()

    async def _cut_pod(self) -> None:
        pod = self._random.choice(self._pods)
        if (CUT, pod.name) in self._broken:
            return
        how = self._random.choice(list(CUTS))
        lost = self._random.random() < LOST_SHARE
        with self._breaking(CUT, pod.name, f", {how}{', then reset' if lost else ''}", [pod]):
            CUTS[how](pod.proxy)
            try:
                await asyncio.sleep(self._random.uniform(*CUT_SECONDS))
            finally:
                if lost:
                    pod.proxy.reset()
                pod.proxy.open()

    async def _restart_redis(self) -> None:
        if (RESTARTED, "") in self._broken:
            return
        way = self._random.choice((self._redis.kill, self._redis.stop))
        with self._breaking(RESTARTED, cut_off=self._pods):
            await asyncio.to_thread(way)
            await asyncio.sleep(max(0.0, self._random.uniform(-AWAY_SECONDS, AWAY_SECONDS)))
            await asyncio.to_thread(self._redis.start)

    async def _evict_nonces(self) -> None:
        share = self._random.random()
        keys = await self._order("KEYS", NONCES) or ()
        if chosen := [key for key in keys if self._random.random() < share]:
            with self._breaking(EVICTED, how=f": {len(chosen)}"):
                await self._order("DEL", *chosen)

    async def _kill_subscriptions(self) -> None:
        with self._breaking(CLOSED):
            await self._order("CLIENT", "KILL", "TYPE", "pubsub")

    async def _hang_write(self) -> None:
        with self._breaking(HUNG):
            self._owner.hang()

    async def _order(self, *words: str) -> Any:
        try:
            return await asyncio.to_thread(self._redis.command, *words)
        except RedisError:  # it is away, or comes back
            return None

    @contextmanager
    def _breaking(self, name: str, where: str = "", how: str = "", cut_off: Sequence[Pod] = ()) -> Iterator[None]:
        """Note a fault while the body runs. cut_off: who does not reach Redis meanwhile."""
        fault = Fault(f"{name} {where}{how}".strip(), self._clock())
        self._counts[name] += 1
        self.faults.append(fault)
        self._broken.add((name, where))
        for pod in cut_off:
            pod.outages.begin(fault.began)
        try:
            yield
        finally:
            fault.ended = self._clock()
            self._broken.discard((name, where))
            for pod in cut_off:
                pod.outages.end(fault.ended)
