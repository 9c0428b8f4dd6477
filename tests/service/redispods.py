"""Several pods of one service inside a test: one Redis, one set of upstreams that the test plays."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from tests.contract.process import Served, serving
from tests.harness import SOURCES, Answer, Bff, bff, request
from tests.redis_server import RedisServer
from tests.upstreams import Seen, part, parts, response, upstream

TOKENS = {"writer": {"token": "w-secret", "scopes": ["catalog:write"]}}
ALLOWED = [("Content-Type", "application/json"), ("Authorization", "Bearer w-secret")]
LONG: dict[str, Any] = {f"{name}__fresh_seconds": "600" for name in SOURCES}


class Owner:
    """A source that keeps what is written to it.

    read_seconds: between the moment when a value is read and its answer; written_seconds: the same of a write. stores:
    whether what is written is kept; unknown: whether it has no product at all.
    """

    def __init__(self, source: str) -> None:
        self.read_seconds = 0.0
        self.written_seconds = 0.0
        self.stores = True
        self.unknown = False
        self._source = source
        self._stored: dict[str, str] = {}

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "PUT":
            if self.stores:
                self._stored[seen.sku] = seen.body.decode()
            await asyncio.sleep(self.written_seconds)
            writer.write(response(seen.body))
            return
        status, value = (404, "{}") if self.unknown else (200, self._value(seen.sku))
        await asyncio.sleep(self.read_seconds)
        writer.write(response(value, status))

    def change(self, sku: str, **fields: Any) -> None:
        """Have another value from now on."""
        self._stored[sku] = part(self._source, sku, **fields)

    def _value(self, sku: str) -> str:
        return self._stored.get(sku) or part(self._source, sku)


@asynccontextmanager
async def pods(count: int, url: str, **settings: Any) -> AsyncIterator[list[Bff]]:
    """Run pods over upstreams that are everybody's. settings: as `bff` takes them, scripts among them."""
    scripts = {name: settings.pop(name, None) or parts(name) for name in SOURCES}
    async with AsyncExitStack() as stack:
        ups = {name: await stack.enter_async_context(upstream(script)) for name, script in scripts.items()}
        urls = {f"{name}__url": up.template for name, up in ups.items()}
        common = {"redis_url": url, "auth__tokens": TOKENS, **urls, **settings}
        end = asyncio.Event()
        started: list[asyncio.Future[Bff]] = [asyncio.get_running_loop().create_future() for _ in range(count)]
        running = [asyncio.ensure_future(_pod(common, one, end)) for one in started]
        try:
            async with asyncio.timeout(20):
                waiting: set[asyncio.Future[Any]] = {asyncio.gather(*started), *running}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            yield [replace(one.result(), info=ups["info"], price=ups["price"], stock=ups["stock"]) for one in started]
        finally:  # not by an exception: where its body fails the service closes nothing
            end.set()
            await asyncio.gather(*running)


async def _pod(settings: dict[str, Any], started: "asyncio.Future[Bff]", end: asyncio.Event) -> None:
    async with bff(**settings) as pod:
        started.set_result(pod)
        await end.wait()


@asynccontextmanager
async def process(like: Bff | dict[str, str], url: str, **settings: Any) -> AsyncIterator[Served]:
    """Run one more pod, a real process over the same upstreams. like: a pod, or the settings that name them."""
    given = {"redis_url": url, "auth__tokens": json.dumps(TOKENS), "log__level": "error", **settings}
    given |= {f"{name}__url": getattr(like, name).template for name in SOURCES} if isinstance(like, Bff) else like
    async with serving(settings={f"BFF_{name.upper()}": value for name, value in given.items()}) as served:
        yield served


async def put(to: Bff | Served, price: float, sku: str = "1") -> Answer:
    """Write a price by way of a pod."""
    url = to.run.public_url if isinstance(to, Bff) else to.public
    return await request(url, "PUT", f"/api/v1/products/{sku}/price", ALLOWED, json.dumps({"price": price}).encode())


async def page(of: Bff | Served, sku: str = "1") -> Answer:
    """Ask a pod for a page."""
    url = of.run.public_url if isinstance(of, Bff) else of.public
    return await request(url, "GET", f"/api/v1/products/{sku}")


async def prices(of: Sequence[Bff | Served], sku: str = "1") -> list[Any]:
    """Return the price that each pod serves, a status where it serves none."""
    answers = await asyncio.gather(*(page(pod, sku) for pod in of))
    return [answer.json["price"]["price"] if answer.status == 200 else answer.status for answer in answers]


async def invalidate(pod: Bff, sku: str = "1") -> Answer:
    """Have a pod forget a product."""
    return await pod.admin("/cache/invalidate", "POST", {"sku_ids": [sku]})


def age(server: RedisServer) -> None:
    """Have the registry of pods older than a lease, so that changes wait for nobody who is not in it yet."""
    run_id = server.client().info("server")["run_id"]
    server.command("HSET", f"bff:{run_id[:16]}:pods", "since", server.command("TIME")[0] * 1000 - 5000)


def states(answer: Answer) -> list[str]:
    """Return what Cache-Status says of each source, without numbers: `hit`, `fwd=miss` and so on."""
    return [member.split("; ")[1] for member in answer.headers["cache-status"].split(", ")]


def places(server: RedisServer, pattern: str = "*") -> list[str]:
    """Return the keys that there are."""
    return sorted(server.command("KEYS", pattern))


async def kept(server: RedisServer, sku: str = "1", count: int = 3) -> bool:
    """Return whether so many values of a SKU are in Redis."""
    return len(places(server, f"*{{{sku}}}:v:*")) == count


def trusting(pod: Bff) -> bool:
    """Whether a pod uses Redis and trusts its memory."""
    redis = pod.service.caching.figures()["redis"]
    return bool(redis["usable"] and redis["trusted"])
