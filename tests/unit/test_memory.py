"""The memory tier: bounded in entries and bytes, least recently used first out, and fenced."""

import itertools

import pytest

from bff.cache.entry import OVERHEAD_BYTES, Entry
from bff.cache.fence import Fence
from bff.cache.memory import MemoryTier

BODY = b"x" * 300
COST = OVERHEAD_BYTES + len(BODY)


def entry(body: bytes | None = BODY, began: float = 0.0) -> Entry:
    return Entry(body, "", began, 1, 1, 1, 1)


def made(max_entries: int = 10, max_bytes: int = 10**9) -> tuple[MemoryTier, Fence]:
    numbers = itertools.count(1)
    fence = Fence(lambda _: next(numbers))
    return MemoryTier(fence, max_entries, max_bytes), fence


async def put(tier: MemoryTier, fence: Fence, key: str, value: Entry | None = None) -> bool:
    nonce = fence.take(key)
    stored: bool = await tier.set(key, value or entry(), _cas_token=nonce)
    fence.release(key, nonce)
    return stored


async def test_what_was_set_is_found_until_it_is_deleted() -> None:
    tier, fence = made()
    value = entry()
    assert await put(tier, fence, "a", value)
    assert await tier.get("a") is tier.peek("a") is value
    assert await tier.exists("a")
    assert await tier.multi_get(["a", "b"]) == [value, None]
    assert (await tier.delete("a"), await tier.delete("a")) == (1, 0)
    assert not await tier.exists("a")
    assert (len(tier), tier.size) == (0, 0)


@pytest.mark.parametrize("nonce", [None, 999])
async def test_nothing_is_set_without_the_nonce_that_stands(nonce: int | None) -> None:
    tier, fence = made()
    fence.take("a")
    assert not await tier.set("a", entry(), _cas_token=nonce)
    assert len(tier) == 0


async def test_nothing_is_set_with_a_revoked_nonce() -> None:
    tier, fence = made()
    nonce = fence.take("a")
    fence.revoke(["a"])
    assert not await tier.set("a", entry(), _cas_token=nonce)
    fence.take("a")  # a later load's
    assert not await tier.set("a", entry(), _cas_token=nonce)
    assert len(tier) == 0


async def test_the_least_recently_used_goes_first() -> None:
    tier, fence = made(max_entries=3)
    for key in "abc":
        await put(tier, fence, key)
    await tier.get("a")
    await tier.multi_get(["b"])
    tier.peek("c")  # no use
    await put(tier, fence, "d")
    await put(tier, fence, "e")
    assert [key for key in "abcde" if tier.peek(key)] == ["b", "d", "e"]
    assert tier.evicted == 2


async def test_its_bytes_are_bounded() -> None:
    tier, fence = made(max_entries=1000, max_bytes=3 * COST)
    for key in "abcd":
        await put(tier, fence, key)
    assert (len(tier), tier.size) == (3, 3 * COST)
    await put(tier, fence, "big", entry(b"x" * (2 * COST - OVERHEAD_BYTES)))
    assert [key for key in ("b", "c", "d", "big") if tier.peek(key)] == ["d", "big"]
    assert tier.size == 3 * COST


async def test_what_alone_exceeds_the_bound_is_not_kept() -> None:
    tier, fence = made(max_bytes=COST)
    await put(tier, fence, "a", entry(b"x" * 10_000))
    assert (len(tier), tier.size) == (0, 0)


async def test_replacing_counts_once() -> None:
    tier, fence = made()
    await put(tier, fence, "a", entry(b"x" * 1000))
    await put(tier, fence, "a", entry(b"x"))
    assert (len(tier), tier.size) == (1, OVERHEAD_BYTES + 1)


@pytest.mark.parametrize(("first", "second"), [(BODY, None), (None, BODY)])
async def test_a_404_replaces_a_value_and_a_value_a_404(first: bytes | None, second: bytes | None) -> None:
    tier, fence = made()
    await put(tier, fence, "a", entry(first, began=1.0))
    assert await put(tier, fence, "a", entry(second, began=2.0))
    found = await tier.get("a")
    assert (found.body, len(tier)) == (second, 1)


@pytest.mark.parametrize(("began", "wins"), [(0.9, False), (1.0, True), (1.1, True)])
@pytest.mark.parametrize("body", [BODY, None])
async def test_the_load_that_began_later_wins(*, began: float, wins: bool, body: bytes | None) -> None:
    tier, fence = made()
    await put(tier, fence, "a", entry(began=1.0))
    later = entry(body, began)
    assert await put(tier, fence, "a", later) == wins
    assert (tier.peek("a") is later) == wins


async def test_remembered_404s_take_at_most_a_tenth() -> None:
    tier, fence = made(max_entries=100)
    for number in range(90):
        await put(tier, fence, f"known {number}")
    for number in range(50):
        await put(tier, fence, f"unknown {number}", entry(None))
    assert len(tier) == 100
    assert all(tier.peek(f"known {number}") for number in range(90))
    assert [number for number in range(50) if tier.peek(f"unknown {number}")] == list(range(40, 50))


async def test_remembered_404s_take_at_most_a_tenth_of_the_bytes() -> None:
    tier, fence = made(max_entries=1000, max_bytes=100 * OVERHEAD_BYTES)
    for number in range(50):
        await put(tier, fence, str(number), entry(None))
    assert tier.size == 10 * OVERHEAD_BYTES


async def test_404s_count_against_the_whole() -> None:
    tier, fence = made(max_entries=20)
    for number in range(20):
        await put(tier, fence, f"known {number}")
    await put(tier, fence, "unknown", entry(None))
    assert (len(tier), tier.peek("known 0")) == (20, None)


async def test_a_million_unknown_keys_push_out_no_product() -> None:
    tier, fence = made(max_entries=1000)
    hot = [f"hot {number}" for number in range(900)]
    for key in hot:
        await put(tier, fence, key)
    absent = entry(None)
    for number in range(1_000_000):
        key = str(number)
        await tier._set(key, absent, _cas_token=fence.take(key))  # past aiocache's plugins: five seconds less
        fence.revoke((key,))
    assert all(tier.peek(key) for key in hot)
    assert repr(tier) == f"<MemoryTier 900 entries of {900 * COST} bytes, unknown 100 entries of 70000 bytes>"


async def test_clear_leaves_nothing() -> None:
    tier, fence = made()
    await put(tier, fence, "a")
    await put(tier, fence, "b", entry(None))
    await tier.clear()
    assert (len(tier), tier.size) == (0, 0)
