"""How the cache is put together: within the process, or shared by pods through Redis."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from bff.cache.entry import Lifetimes
from bff.cache.memory import MemoryTier
from bff.cache.redis.address import Address
from bff.cache.redis.lane import Lane
from bff.cache.redis.pods import Pods
from bff.cache.redis.tier import RedisTier
from bff.cache.tiers import Tiers
from bff.cache.trust import NO_EPOCH, Trust
from bff.metrics import Metrics
from bff.product.fence import Fence, ProcessFence
from bff.product.loader import Loading, Time
from bff.product.parts import SOURCES, SourceName
from bff.product.podsfence import PodsFence
from bff.product.questions import Questions
from bff.product.shared import Shared
from bff.product.sharing import Sharing
from bff.resilience.alarms import Alarms
from bff.settings import Settings
from bff.wiring.clocks import clock

START_SECONDS = 0.5  # how long a start waits for Redis; without it the service is there all the same

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Redis:
    """What is there where pods share."""

    tier: RedisTier
    pods: Pods
    fence: PodsFence
    questions: Questions


@dataclass(frozen=True, slots=True)
class Caching:
    """The cache, what keeps it true, and what its life needs."""

    tiers: Tiers
    fence: Fence
    alarms: Alarms
    redis: Redis | None

    def loading(
        self,
        name: SourceName,
        alone: Loading,
        lifetimes: Lifetimes,
        time: Time,
        looked_up: Callable[[SourceName, str], None],
    ) -> Loading:
        """Return how a source's parts are loaded, from how they are where no pods share them."""
        if self.redis is None:
            return alone
        redis = self.redis
        return Shared(
            Sharing(
                name,
                alone,
                redis.questions,
                redis.tier,
                self.tiers.of(name),
                lifetimes,
                time,
                self.alarms,
                redis.pods.cut_off_since,
                looked_up,
            )
        )

    def figures(self) -> dict[str, dict[str, int]]:
        """Return what each tier holds, and how it is."""
        figures = {"memory": self.tiers.memory.figures}
        if self.redis is not None:
            trusted = clock() < self.tiers.trust.until
            figures["redis"] = {"usable": int(self.redis.tier.usable), "trusted": int(trusted)}
            figures["redis"]["pods"] = self.redis.pods.known
        return figures

    async def start(self) -> None:
        """Take a place among the pods."""
        if self.redis is None:
            log.info("no Redis: what is written or changes is forgotten in this process, and in no other")
        else:
            await self.redis.pods.start(START_SECONDS)
            if not self.redis.tier.usable:
                log.warning("Redis cannot be used yet: see bff check")

    async def aclose(self) -> None:
        """Leave the pods."""
        if self.redis is not None:
            await self.redis.fence.aclose()
            await self.redis.pods.aclose()


def caching(settings: Settings, alarms: Alarms, metrics: Metrics) -> Caching:
    """Put the cache together."""
    memory = MemoryTier(SOURCES, settings.cache.max_entries, settings.cache.max_bytes)
    second_seconds = settings.invalidation.second_delete_seconds
    if settings.redis_url is None:
        tiers = Tiers(memory, SOURCES)
        return Caching(tiers, ProcessFence(tiers, alarms, clock, second_seconds), alarms, None)
    trust = Trust(until=0.0, epoch=NO_EPOCH)
    tiers = Tiers(memory, SOURCES, trust)
    address = Address(settings.redis_url)
    lane = Lane(address, clock, metrics.redis_failed)
    new_token = partial(secrets.token_hex, 16)
    pods = Pods(secrets.token_hex(8), lane, address, trust, clock, settings.deadline_seconds, tiers.forget)
    fence = PodsFence(pods, lane, clock, second_seconds, new_token)
    tier = RedisTier(lane, pods.name, clock, new_token)
    metrics.watch_redis(lambda: lane.usable, lambda: clock() < trust.until)
    return Caching(tiers, fence, alarms, Redis(tier, pods, fence, Questions(tier, _soon)))


def _soon(what: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_soon(what)
