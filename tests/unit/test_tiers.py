"""The cache as the product sees it."""

import asyncio
import itertools

import pytest

from bff.cache.entry import Entry
from bff.cache.fence import Fence
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Failed, Loaded, Tiers, key_of
from tests.unit.playing import now


def made() -> Tiers:
    numbers = itertools.count(1)
    fence = Fence(lambda _: next(numbers))
    return Tiers(MemoryTier(fence, 10, 10**6), fence)


def entry(body: bytes | None = b"{}", began: float = 0.0) -> Entry:
    return Entry(body, "", began, 99, 99, 99, 99)


class Load:
    """A load that ends so, after so long."""

    def __init__(self, result: Entry | Failed, after: float = 0.0) -> None:
        self._result = result
        self._after = after

    async def __call__(self) -> Entry | Failed:
        await asyncio.sleep(self._after)
        return self._result


def test_a_key_is_source_sku_and_an_empty_variant() -> None:
    assert key_of("price", "1001") == "price:1001:"


@pytest.mark.parametrize("body", [b"{}", None])
async def test_an_answer_is_kept_and_looked_up(body: bytes | None) -> None:
    cache, value = made(), entry(body)
    flight, started = cache.load("a", Load(value), "about")
    assert (started, flight.about) == (True, "about")
    assert await flight.task == Loaded(value, stored=True)
    assert await cache.lookup(["b", "a"]) == [None, value]
    assert cache.current("a") is value


async def test_a_failure_is_kept_on_the_value_that_stands_and_nowhere_else() -> None:
    cache, value = made(), entry()
    await cache.load("a", Load(value), None)[0].task
    assert await cache.load("a", Load(Failed("timeout")), None)[0].task == Failed("timeout")
    assert await cache.load("b", Load(Failed("garbled")), None)[0].task == Failed("garbled")
    assert (value.failure, cache.current("b")) == ("timeout", None)


async def test_a_new_value_has_no_failure() -> None:
    cache = made()
    for result in (entry(), Failed("timeout"), entry(began=1.0)):
        await cache.load("a", Load(result), None)[0].task
        await asyncio.sleep(0)
    current = cache.current("a")
    assert current is not None
    assert current.failure is None


async def test_an_answer_that_an_invalidation_overtook_is_given_but_not_kept() -> None:
    cache, value = made(), entry()
    flight, _ = cache.load("a", Load(value, after=1.0), None)
    await asyncio.sleep(0.5)
    await cache.invalidate(["a"])
    assert await flight.task == Loaded(value, stored=False)
    assert cache.current("a") is None


async def test_a_failure_that_an_invalidation_overtook_says_nothing_of_the_value_after_it() -> None:
    cache, value = made(), entry(began=0.5)
    old, _ = cache.load("a", Load(Failed("timeout"), after=1.0), None)
    await asyncio.sleep(0.5)
    await cache.invalidate(["a"])
    await cache.load("a", Load(value), None)[0].task
    await old.task
    assert cache.current("a") is value
    assert value.failure is None


async def test_invalidation_forgets_values_and_404s_and_what_was_never_there() -> None:
    cache = made()
    await cache.load("a", Load(entry()), None)[0].task
    await cache.load("b", Load(entry(None)), None)[0].task
    await cache.invalidate(key for key in ("a", "b", "c"))
    assert await cache.lookup(["a", "b", "c"]) == [None, None, None]


async def test_invalidation_of_one_leaves_the_others() -> None:
    cache = made()
    await cache.load("a", Load(entry()), None)[0].task
    await cache.load("b", Load(entry()), None)[0].task
    await cache.invalidate(["a"])
    assert cache.current("b") is not None


async def test_aclose_ends_the_loads() -> None:
    cache = made()
    flight, _ = cache.load("a", Load(entry(), after=100.0), None)
    assert repr(cache).endswith("<Flights 1>>")
    await cache.aclose()
    assert (flight.task.cancelled(), now()) == (True, 0.0)
