"""Two pods of one service, each with a way to Redis that can fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.harness import Bff, until
from tests.redis_server import RedisServer
from tests.service.proxy import Faulty, faulty
from tests.service.redispods import LONG, age, page, pods, states, trusting


@dataclass(frozen=True)
class Stage:
    """Pods, and their way to Redis. asked: the SKUs that were asked for to see whether it is well."""

    server: RedisServer
    proxy: Faulty
    first: Bff
    second: Bff
    asked: list[str] = field(default_factory=list)

    async def well(self) -> bool:
        """Return whether the second pod finds in Redis what the first has loaded."""
        if not (trusting(self.first) and trusting(self.second)):
            return False
        self.asked.append(f"well-{id(self)}-{len(self.asked)}")
        assert (await page(self.first, self.asked[-1])).status == 200
        await asyncio.sleep(0.01)  # until Redis has it; else it is asked anew
        return states(await page(self.second, self.asked[-1])) == ["hit"] * 3


@asynccontextmanager
async def stage(server: RedisServer, **settings: Any) -> AsyncIterator[Stage]:
    """Run the pods, and wait until they share."""
    age(server)
    async with faulty(server) as proxy, pods(2, proxy.url, **{**LONG, **settings}) as (first, second):
        staged = Stage(server, proxy, first, second)
        await until(staged.well)
        yield staged


async def pages_go_on(pod: Bff, name: str, count: int = 12) -> None:
    """Check that pages that nobody has asked for yet are whole, and none takes for ever."""
    async with asyncio.timeout(20):
        for number in range(count):
            answer = await page(pod, f"{name}-{number}")
            assert (answer.status, answer.json["meta"]["complete"]) == (200, True)
