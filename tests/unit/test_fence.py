"""The fence within one process: what is forgotten when, and what a mark keeps out."""

import asyncio

from bff.cache.entry import Entry
from bff.cache.flights import Flight
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Loaded, Outcome, Tiers
from bff.product.fence import ProcessFence
from bff.product.parts import SOURCES
from bff.resilience.alarms import Alarms


def entry(began: float) -> Entry:
    return Entry(b"{}", b"", began, began + 60, began + 60, began + 60, began + 60)


class Shelf:
    """A cache and its fence, on the clock of the running loop."""

    def __init__(self) -> None:
        clock = asyncio.get_running_loop().time
        self.cache = Tiers(MemoryTier(SOURCES, 100, 10**6), SOURCES)
        self.fence = ProcessFence(self.cache, Alarms(clock), clock, second_seconds=3)
        self.prices = self.cache.of("price")
        self.clock = clock

    def begin(self, sku: str = "1") -> Flight[Outcome]:
        return self.prices.flights.board(sku)[0]

    def load(self, sku: str = "1") -> bool:
        return self.land(self.begin(sku))

    def land(self, flight: Flight[Outcome]) -> bool:
        self.prices.land(flight, entry(self.clock()))
        assert isinstance(flight.outcome, Loaded)
        return flight.outcome.stored

    @property
    def kept(self) -> bool:
        return self.prices.current("1") is not None


async def test_what_is_forgotten_is_forgotten_once_more_after_a_while() -> None:
    shelf = Shelf()
    assert shelf.load()
    await shelf.fence.forget(["1"], ["price"])
    assert not shelf.kept
    assert shelf.load()
    await asyncio.sleep(2.9)
    assert shelf.kept
    await asyncio.sleep(0.2)
    assert not shelf.kept


async def test_under_a_mark_nothing_is_kept() -> None:
    shelf = Shelf()
    before = shelf.begin()
    mark = await shelf.fence.mark("price", "1", 10)
    assert not shelf.land(before)
    assert not shelf.load()
    under = shelf.begin()
    await shelf.fence.lift(mark)
    assert not shelf.land(under)
    assert shelf.load()


async def test_nobody_joins_a_load_that_began_under_a_mark_once_it_is_lifted() -> None:
    shelf = Shelf()
    mark = await shelf.fence.mark("price", "1", 10)
    under = shelf.begin()
    await shelf.fence.lift(mark)
    assert shelf.begin() is not under


async def test_a_mark_that_is_never_lifted_ends_by_itself() -> None:
    shelf = Shelf()
    await shelf.fence.mark("price", "1", 10)
    await asyncio.sleep(9.9)
    assert not shelf.load()
    await asyncio.sleep(0.2)
    assert shelf.load()


async def test_of_two_marks_the_later_one_stands_until_it_is_lifted() -> None:
    shelf = Shelf()
    first = await shelf.fence.mark("price", "1", 10)
    second = await shelf.fence.mark("price", "1", 10)
    await shelf.fence.lift(first)
    assert not shelf.load()
    await shelf.fence.lift(second)
    assert shelf.load()


async def test_a_mark_is_of_one_source_and_one_product() -> None:
    shelf = Shelf()
    await shelf.fence.mark("stock", "1", 10)
    await shelf.fence.mark("price", "2", 10)
    assert shelf.load()
