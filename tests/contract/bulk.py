"""Reads that arrive together: a source with one slot, which a first read holds until all the others wait."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.harness import Answer, Bff, bff, until
from tests.upstreams import Script, Seen, bulk, hang

FIRST = "held"
URL = "/parts?skus={skus}"
BULK: dict[str, Any] = {"price__bulk_url": URL}
LENIENT: dict[str, Any] = {f"{name}__circuit__min_attempts": "100000" for name in ("info", "price", "stock")}
ALONE: dict[str, Any] = {"price__retry_ratio": "0", "price__retry_floor": "0"}  # no call is ever repeated
NOTHING_KEPT: dict[str, Any] = {f"price__{name}_seconds": "0" for name in ("fresh", "revalidate", "stale", "not_found")}
GENEROUS: dict[str, Any] = {"price__retry_floor": "1000"}  # the budget is nobody's concern
_JOINING: dict[str, Any] = {
    "price__concurrency": "1",
    "deadline_seconds": "30",  # so that the waiting reads are young, however slow this machine is
    "price__attempt_timeout_seconds": "30",
}


@dataclass
class Joined:
    """A service, and pages that asked price while its only slot was held. script: answers what is not held."""

    script: Script
    service: Bff = field(init=False)
    pages: dict[str, asyncio.Task[Answer]] = field(default_factory=dict)
    _free: asyncio.Event = field(default_factory=asyncio.Event)
    _held: str = ""

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """Answer as an upstream, once the slot is let go."""
        if seen.skus == [self._held]:
            await self._free.wait()
            await bulk("price")(seen, writer)
        else:
            await self.script(seen, writer)

    @property
    def calls(self) -> list[list[str]]:
        """The SKUs of each call, each call's sorted, without those that held the slot."""
        return [sorted(seen.skus) for seen in self.service.price.seen if not seen.skus[0].startswith(FIRST)]

    async def hold(self) -> None:
        """Begin a read of price that takes the only slot and keeps it."""
        self._free.clear()
        seen = len(self.service.price.seen)
        self._held = f"{FIRST}-{seen}"
        self.pages = {self._held: asyncio.ensure_future(self.service.page(self._held))}
        await until(lambda: self._seen(seen + 1))

    def release(self) -> None:
        """Let the slot go."""
        self._free.set()

    def forget(self, *skus: str) -> None:
        """Wait for pages no longer."""
        for sku in skus:
            self.pages.pop(sku).cancel()

    async def ask(self, skus: Iterable[str]) -> None:
        """Ask for pages, and wait until their reads of price wait."""
        before = await _missed(self.service)
        new = {sku: asyncio.ensure_future(self.service.page(sku)) for sku in skus}
        self.pages |= new
        await until(lambda: have_missed(self.service, before + len(new)))

    async def answers(self) -> dict[str, Answer]:
        """Let the slot go, and return what each page became, but for the one that held it."""
        self.release()
        return {sku: await page for sku, page in self.pages.items() if await page and sku != self._held}

    async def found(self) -> dict[str, Any]:
        """Let the slot go, and return each page's price, or the reason for which it has none."""
        answers = await self.answers()
        return {sku: answer.json["price"] or answer.reasons["price"] for sku, answer in answers.items()}

    async def _seen(self, count: int) -> bool:
        return len(self.service.price.seen) >= count


@asynccontextmanager
async def joined(skus: Iterable[str], script: Script, **settings: Any) -> AsyncIterator[Joined]:
    """Run a service whose price is read in bulk, and pages that wait for its only slot; nothing is let go yet."""
    together = Joined(script)
    async with bff(price=together, **{**_JOINING, **BULK, **LENIENT, **settings}) as service:
        together.service = service
        await together.hold()
        await together.ask(skus)
        yield together
        await together.answers()


async def found_together(skus: Iterable[str], script: Script, **settings: Any) -> dict[str, Any]:
    """Return each SKU's price, or the reason for which there is none, of pages that were read together."""
    async with joined(skus, script, **settings) as together:
        return await together.found()


async def found_each(skus: Sequence[str], scripts: Mapping[str, Script], **settings: Any) -> dict[str, dict[str, Any]]:
    """Return the same with amounts alone, of several scripts, one after the other."""
    found: dict[str, dict[str, Any]] = {}
    async with joined([], hang, **{**settings, **NOTHING_KEPT}) as together:
        await together.answers()
        for case, script in scripts.items():
            together.script = script
            await together.hold()
            await together.ask(skus)
            found[case] = amounts(await together.found())
    return found


def amounts(found: dict[str, Any]) -> dict[str, Any]:
    """Return the amount of each price that was found."""
    return {sku: price["price"] if isinstance(price, dict) else price for sku, price in found.items()}


async def _missed(service: Bff) -> float:
    return await service.metric("bff_cache_lookups_total", source="price", result="miss")


async def have_missed(service: Bff, count: float) -> bool:
    return await _missed(service) == count
