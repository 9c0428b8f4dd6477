"""Work that is under way when its process is killed, with reconciliation and without it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from random import Random

from tests.durable.asking import Clients, Request, Unexpected, change, reserve
from tests.durable.guards import RECONCILER
from tests.durable.ledger import owning
from tests.durable.nemesis import Nemesis
from tests.durable.orders import ENDS
from tests.durable.pods import BFF, SQLITE, Site, site
from tests.durable.report import Result

WITHOUT = ("tests.durable.pod", "--without", RECONCILER, "--")
SKUS = 40  # of each kind: more than one worker takes at once, so that each of two has some
EACH = 2  # reservations of a SKU
STOCK = 1_000
FAULTS = {"delay_ms": 500}
IN_FLIGHT_SECONDS = 0.8
STILL_SECONDS, LONGEST_SECONDS = 15.0, 60.0
LOOK_SECONDS = 0.5
CONNECTIONS = 40
_ENDS = (*ENDS, "confirmed", "rejected", "released")

Say = Callable[[str], None]


async def control(urls: Sequence[str | None], random: Random, say: Say) -> list[Result]:
    """Run both at once. urls: of a database for each, None for SQLite."""
    kept = _run("reconciler on", urls[0], BFF, Random(random.random()), say)
    lost = _run("reconciler off", urls[1], WITHOUT, Random(random.random()), say)
    on, off = await asyncio.gather(kept, lost)
    on.expect_equal("stuck", on.counts["stuck"], 0)
    off.expect(off.counts["stuck"] > 0, "without reconciliation there should be some stuck work")
    return [on, off]


async def _run(name: str, url: str | None, command: tuple[str, ...], random: Random, say: Say) -> Result:
    async with AsyncExitStack() as stack:
        owners = await stack.enter_async_context(owning())
        pods = await stack.enter_async_context(site(owners, url, command))
        for number in range(SKUS):
            await owners.put("stock", _sku(number), quantity=STOCK)
        await owners.misbehave(**FAULTS)
        clients, loop = Clients(pods.apis, CONNECTIONS, random), asyncio.get_running_loop()
        began, paths = loop.time(), await _accepted(clients)
        await asyncio.sleep(IN_FLIGHT_SECONDS)
        await _kill(pods, random, lambda text: say(f"{name}: {text}"))
        left = await _standing_still(clients, paths)
        clients.close()
        result = Result(f"control, {name}", pods.database)
        result.counts = {"seconds": round(loop.time() - began), "kills": 1, "accepted": len(paths), "stuck": len(left)}
        stuck = {kind: sum(1 for path in left if kind in path) for kind in ("reservations", "changes")}
        result.notes.append(f"stuck: {stuck}")
        result.expect_none("a pod's error", pods.errors())
        return result


def _sku(number: int) -> str:
    return f"G74{number:04}"


async def _accepted(clients: Clients) -> list[str]:
    """Ask for reservations and changes, and return where each is to be looked at."""
    requests = [reserve(_sku(number), f"{number}-{nth}") for number in range(SKUS) for nth in range(EACH)]
    requests += [_change(_sku(number)) for number in range(SKUS)]
    return list(await asyncio.gather(*(_location(clients, request) for request in requests)))


async def _location(clients: Clients, request: Request) -> str:
    answer = await clients.insist(request)
    if answer.status != 202:
        raise Unexpected(f"{request}: {answer.status} {answer.body!r}")
    kind = "changes" if request.path.endswith("changes") else "reservations"
    return f"/api/v1/{kind}/{json.loads(answer.body)['id']}"


def _change(sku: str) -> Request:
    return change({"sku_id": sku, "info": {"name": "control"}, "price": {"price": 1}}, sku)


async def _kill(pods: Site, random: Random, say: Say) -> None:
    """Kill a worker, for good where there is another one."""
    victim = pods.workers[0]
    await Nemesis(pods, random, say).kill(victim)
    if pods.database == SQLITE:
        await victim.launch()
        await victim.listening()


async def _standing_still(clients: Clients, paths: list[str]) -> list[str]:
    """Wait until all has ended, or nothing has for long; return what has not."""
    loop, left = asyncio.get_running_loop(), paths
    began = moved = loop.time()
    while left and loop.time() - moved < STILL_SECONDS and loop.time() - began < LONGEST_SECONDS:
        ended = await asyncio.gather(*(_has_ended(clients, path) for path in left))
        if any(ended):
            moved = loop.time()
        left = [path for path, is_over in zip(left, ended, strict=True) if not is_over]
        await asyncio.sleep(LOOK_SECONDS)
    return left


async def _has_ended(clients: Clients, path: str) -> bool:
    return (await clients.look(path))["state"] in _ENDS
