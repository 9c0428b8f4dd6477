"""Single pages asked for and looked at: what is measured must be right pages."""

import asyncio
from collections.abc import Iterable

from benchmarks.comparison.wrk import sku
from benchmarks.numbers.client import PATH, Reply, ask
from benchmarks.peers.check import fault

TIMEOUT_SECONDS = 20.0
WATCH_SECONDS = 0.25


def wrong(reply: Reply, sku_id: str) -> str:
    """Say what is wrong with an answer, or nothing: a right page is whole, and of this SKU in all its parts."""
    try:
        return fault(reply, sku_id) or ""
    except (LookupError, TypeError, ValueError):
        return f"no page of {sku_id}: {reply.body[:80]!r}"


async def get(base: str, prefix: str, number: int) -> Reply:
    """Ask once, on a connection of its own."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        (reply,) = await ask(base, [prefix.removeprefix(PATH) + sku(number)])
        return reply


async def look(base: str, prefix: str, number: int, shown: str | None = None) -> str:
    """Ask for a SKU's page and say what is wrong with it. shown: the SKU that a replay answers with."""
    try:
        return wrong(await get(base, prefix, number), shown or sku(number))
    except (OSError, EOFError, TimeoutError) as exc:
        return f"no answer: {type(exc).__name__}"


async def watch(base: str, prefix: str, numbers: Iterable[int], shown: str | None) -> str:
    """Look at a page now and then, for as long as there are numbers; return what was wrong with the first bad one."""
    for number in numbers:
        if found := await look(base, prefix, number, shown):
            return found
        await asyncio.sleep(WATCH_SECONDS)
    return ""
