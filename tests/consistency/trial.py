"""One run: four pods, everybody who asks them, and the nemesis, with all guards or without one."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

from tests.consistency.fleet import WRITE_SECONDS, Pod, fleet
from tests.consistency.nemesis import Fault, Nemesis
from tests.consistency.owner import owning
from tests.consistency.traffic import Old, Tally, Traffic
from tests.redis_server import RedisServer

PODS = 4
READERS, WRITERS = 32, 12  # of each pod
ENOUGH = 20  # old values, where there are to be some
PROGRESS_SECONDS = 10.0
FULL = "full"  # the run with all guards


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run. name: of the guard that is off, or `FULL`; seconds: the longest that it takes."""

    name: str
    seconds: float
    seed: int

    @property
    def command(self) -> tuple[str, ...]:
        """What runs a pod."""
        if self.is_control:
            return ("tests.consistency.pod", "--without", self.name, "--", "serve")
        return ("bff", "serve")

    @property
    def is_control(self) -> bool:
        """Whether a guard is off, so that old values have to be found."""
        return self.name != FULL


@dataclass(frozen=True, slots=True)
class Result:
    """What a run has found. logged: what pods have told of errors, with the pod's name."""

    plan: Plan
    seconds: float
    tally: Tally
    faults: tuple[Fault, ...]
    logged: tuple[str, ...] = ()

    @property
    def is_as_it_should_be(self) -> bool:
        """Whether old values were found where, and only where, a guard was off; a run of nothing proves nothing."""
        seen = self.tally.bound and self.tally.acknowledged
        return bool(seen) and (self.tally.old.total() > 0) == self.plan.is_control

    def around(self, old: Old) -> list[Fault]:
        """Return the faults that may have had to do with an old value."""
        return [fault for fault in self.faults if fault.touches(old.promise.at - WRITE_SECONDS, old.received)]


async def run(plan: Plan, redis: RedisServer, say: Callable[[str], None]) -> Result:
    """Run a plan to its end, which comes early where a guard is off and enough old values were found.

    Raises NotStarted and Died.
    """
    clock, random = time.perf_counter, Random(plan.seed)
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(owning(random, WRITE_SECONDS))
        pods = await stack.enter_async_context(fleet(PODS, plan.command, owner.url, redis.port))
        traffic = Traffic(random, clock)
        nemesis = Nemesis(random, clock, pods, redis, owner, traffic.tally.faults)
        began = clock()
        await _until_over(plan, pods, traffic, nemesis, say)
        for pod in pods:
            pod.check()
        logged = tuple(f"{pod.name}: {line}" for pod in pods for line in pod.told())
        return Result(plan, clock() - began, traffic.tally, tuple(nemesis.faults), logged)


async def _until_over(
    plan: Plan, pods: list[Pod], traffic: Traffic, nemesis: Nemesis, say: Callable[[str], None]
) -> None:
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(traffic.read(pod)) for pod in pods for _ in range(READERS)]
        asking += [group.create_task(traffic.write(pod)) for pod in pods for _ in range(WRITERS)]
        breaking = group.create_task(nemesis.run(over))
        await _watch(plan, pods, traffic, say)
        over.set()
        await breaking  # pods are asked until all is mended: some of them, only then
        for task in asking:
            task.cancel()


async def _watch(plan: Plan, pods: list[Pod], traffic: Traffic, say: Callable[[str], None]) -> None:
    """Return when the run is over, or a pod is, and say every now and then how it goes."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    said = began
    while (now := loop.time()) - began < plan.seconds and not any(pod.has_ended for pod in pods):
        if plan.is_control and traffic.tally.old.total() >= ENOUGH:
            return
        if now - said >= PROGRESS_SECONDS:
            said = now
            say(f"{now - began:.0f} s: {traffic!r}")
        await asyncio.sleep(0.1)
