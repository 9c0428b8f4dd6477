"""The fence: a load that was under way when its key was invalidated fills nothing."""

import asyncio
import itertools

from bff.cache.entry import Entry
from bff.cache.fence import NONCE_BITS, Fence, Nonce
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Failed, Tiers
from tests.unit.playing import start


def made() -> Fence:
    numbers = itertools.count(1)
    return Fence(lambda _: next(numbers))


def test_a_key_keeps_its_nonce_until_that_is_revoked_or_released() -> None:
    fence = made()
    nonce = fence.take("a")
    assert fence.take("a") == nonce
    assert fence.stands("a", nonce)
    fence.revoke(["a", "unheard of"])
    assert not fence.stands("a", nonce)
    assert fence.take("a") != nonce


def test_keys_have_nonces_of_their_own() -> None:
    fence = made()
    first, second = fence.take("a"), fence.take("b")
    assert first != second
    fence.revoke(["a"])
    assert fence.stands("b", second)


def test_nonces_have_128_random_bits() -> None:
    asked: list[int] = []
    Fence(lambda bits: asked.append(bits) or 1).take("a")  # type: ignore[func-returns-value] # notes and returns 1
    assert asked == [NONCE_BITS] == [128]


def test_a_released_nonce_stands_no_more() -> None:
    fence = made()
    nonce = fence.take("a")
    fence.release("a", nonce)
    assert not fence.stands("a", nonce)
    assert repr(fence) == "<Fence 0>"


def test_an_old_load_releases_no_newer_nonce() -> None:
    fence = made()
    old = fence.take("a")
    fence.revoke(["a"])
    new = fence.take("a")
    fence.release("a", old)
    assert fence.stands("a", new)


class Open(Fence):
    """The control: no fence at all."""

    def stands(self, key: str, nonce: Nonce) -> bool:
        return True


async def what_is_kept_of_a_load_that_an_invalidation_overtakes(fence: Fence) -> bytes | None:
    cache = Tiers(MemoryTier(fence, 10, 10**6), fence)
    truth = b"old"

    async def load() -> Entry | Failed:
        read = truth
        await asyncio.sleep(1.0)  # on its way here
        return Entry(read, "", 0.0, 99, 99, 99, 99)

    flight, _ = cache.load("a", load, None)
    await asyncio.sleep(0.5)
    truth = b"new"
    await cache.invalidate(["a"])
    await start(asyncio.sleep(1.0))
    await flight.task
    entry = cache.current("a")
    return None if entry is None else entry.body


async def test_a_load_that_an_invalidation_overtakes_fills_nothing() -> None:
    assert await what_is_kept_of_a_load_that_an_invalidation_overtakes(made()) is None


async def test_control_without_the_fence_the_old_value_gets_in() -> None:
    numbers = itertools.count(1)
    assert await what_is_kept_of_a_load_that_an_invalidation_overtakes(Open(lambda _: next(numbers))) == b"old"
