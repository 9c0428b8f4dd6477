"""Changes at random while processes are killed, and what the owners have of them in the end."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from tests.durable.accounts import Books, compare
from tests.durable.asking import Clients
from tests.durable.histories import judge, slowest, takeovers
from tests.durable.ledger import SOURCES, Owners
from tests.durable.nemesis import Kills, Nemesis
from tests.durable.orders import ENDS, Order
from tests.durable.owners import UNKNOWN
from tests.durable.pods import POSTGRES, SQLITE, Site
from tests.durable.report import Result
from tests.durable.watch import Watch

KILLS = {SQLITE: Kills(5, (0.2, 2.4)), POSTGRES: Kills(8, (0.4, 2.4))}
FAULTS = {"delay_ms": 50, "lose_answers": 0.05, "error_rate": 0.02}
SETTLE_SECONDS = 60.0


async def change(site: Site, owners: Owners, random: Random, say: Callable[[str], None]) -> Result:
    """Run the changes, and compare what is told of them with what the owners have and have done."""
    watch, nemesis, loop = Watch(site, random), Nemesis(site, random, say), asyncio.get_running_loop()
    skus = sorted({order.sku for order in watch.orders})
    before, began = await _parts(owners, skus), loop.time()
    await owners.misbehave(**FAULTS)
    await _watched(watch, nemesis, KILLS[site.database])
    seconds = round(loop.time() - began)
    say(f"over {loop.time() - nemesis.last_at:.1f} s after the last kill")
    await owners.misbehave()
    await watch.read_events()
    statuses = await watch.statuses_after_the_end()
    watch.clients.close()
    books = Books(before, await _parts(owners, skus), {name: await owners.ledger(name) for name in SOURCES})
    result = judged(watch.orders, books, site.database)
    result.expect_equal("answers to those who have had the last event", statuses, {204})
    result.counts |= {"seconds": seconds, "kills": nemesis.killed.total()}
    _tell(result, watch.clients, nemesis)
    result.expect_none("a pod's error", site.errors())
    return result


async def _watched(watch: Watch, nemesis: Nemesis, kills: Kills) -> None:
    """Have it all happen, until all has ended, or so long after the last kill."""
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run(over))
        await nemesis.run(kills)
        await asyncio.wait([watching], timeout=nemesis.last_at + SETTLE_SECONDS - loop.time())
        over.set()


def _tell(result: Result, clients: Clients, nemesis: Nemesis) -> None:
    result.notes += [f"killed: {dict(nemesis.killed)}", f"answers: {dict(clients.outcomes)}"]


def judged(orders: Sequence[Order], books: Books, database: str) -> Result:
    """Find all that should not be."""
    states = Counter(order.state for order in orders)
    ended = sum(states[state] for state in ENDS)
    result = Result("changes", database, {"accepted": sum(1 for order in orders if order.id)})
    result.counts |= {"succeeded": states["succeeded"], "undone": ended - states["succeeded"]}
    result.counts["stuck"] = result.counts["accepted"] - ended
    result.expect_equal("accepted", result.counts["accepted"], len(orders))
    result.expect_equal("not at their end", result.counts["stuck"], 0)
    for order in orders:
        result.faults += [f"{order.state} change {order.id} of {order.sku}: {fault}" for fault in judge(order)]
    compare(orders, books, result)
    result.notes += [f"ended: {dict(states)}", f"taken over: {dict(takeovers(orders))}", *slowest(orders)]
    return result


async def _parts(owners: Owners, skus: Sequence[str]) -> dict[tuple[str, str], bytes]:
    """Return every part of these products, as its owner has it; none where he knows no such product."""
    known = [(source, sku) for source in SOURCES for sku in skus if (source, sku[1:4]) != ("stock", UNKNOWN)]
    return {(source, sku): await owners.part(source, sku) for source, sku in known}
