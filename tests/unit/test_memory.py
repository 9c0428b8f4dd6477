"""The memory tier: bounded in entries and bytes, what was not used lately first out."""

import pytest

from bff.cache.entry import OVERHEAD_BYTES, Entry
from bff.cache.memory import SECOND_CHANCES, MemoryTier
from bff.cache.tiers import key_of

BODY = b"x" * 300
COST = OVERHEAD_BYTES + len(BODY)
NAMES = ("info", "price", "stock")


def entry(body: bytes | None = BODY, began: float = 0.0) -> Entry:
    return Entry(body, b"", began, 1, 1, 1, 1)


def made(max_entries: int = 10, max_bytes: int = 10**9) -> MemoryTier:
    return MemoryTier(NAMES, max_entries, max_bytes)


def kept(tier: MemoryTier, *skus: str) -> list[str]:
    return [sku for sku in skus if tier.peek(sku, 0)]


async def test_what_was_set_is_found_until_it_is_deleted() -> None:
    tier, value = made(), entry()
    assert await tier.set("price:a:", value)
    assert await tier.get("price:a:") is tier.peek("a", 1) is value
    assert await tier.exists("price:a:")
    assert await tier.multi_get([key_of("price", "a"), key_of("info", "a"), "price:b:"]) == [value, None, None]
    assert (await tier.delete("price:a:"), await tier.delete("price:a:")) == (1, 0)
    assert not await tier.exists("price:a:")
    assert (len(tier), tier.size) == (0, 0)


async def test_what_is_compared_and_set_is_set_only_over_what_was_expected() -> None:
    tier, first, second = made(), entry(), entry()
    assert not await tier.set("info:a:", first, _cas_token=second)
    assert await tier.set("info:a:", first)
    assert not await tier.set("info:a:", second, _cas_token=second)
    assert await tier.set("info:a:", second, _cas_token=first)
    assert tier.peek("a", 0) is second


async def test_clear_leaves_nothing() -> None:
    tier = made()
    tier.fill("a", 0, entry())
    await tier.clear()
    assert (len(tier), tier.size, tier.look_up("a")) == (0, 0, None)


async def test_being_got_is_a_use_and_being_asked_for_is_none() -> None:
    tier = made(max_entries=3)
    for sku in "abc":
        tier.fill(sku, 0, entry())
    await tier.get("info:a:")
    await tier.multi_get(["info:b:"])
    await tier.exists("info:c:")
    tier.fill("d", 0, entry())
    assert (kept(tier, *"abcd"), tier.evicted) == (["a", "b", "d"], 1)


def test_the_parts_of_a_product_are_looked_up_at_once() -> None:
    tier, value, absent = made(), entry(), entry(None)
    tier.fill("a", 2, value)
    tier.fill("a", 0, absent)
    assert tier.look_up("a") == [absent, None, value]
    assert tier.look_up("b") is None


def test_what_was_not_used_lately_goes_first_and_a_row_as_a_whole() -> None:
    tier = made(max_entries=6)
    for sku in "abc":
        tier.fill(sku, 0, entry())
        tier.fill(sku, 1, entry())
    tier.look_up("a")
    tier.rendered("b")
    tier.peek("c", 0)  # no use
    tier.fill("d", 0, entry())
    assert kept(tier, *"abcd") == ["a", "b", "d"]
    assert (len(tier), tier.evicted) == (5, 2)


def test_a_row_has_a_second_chance_for_each_use_and_no_third() -> None:
    tier = made(max_entries=2)
    for sku in "ab":
        tier.fill(sku, 0, entry())
    tier.look_up("a")
    tier.fill("c", 0, entry())
    assert kept(tier, *"abc") == ["a", "c"]
    for sku in "de":
        tier.fill(sku, 0, entry())
    assert kept(tier, *"acde") == ["d", "e"]


def test_one_eviction_passes_over_so_many_rows_at_most() -> None:
    skus = [str(number) for number in range(2 * SECOND_CHANCES)]
    tier = made(max_entries=len(skus))
    for sku in skus:
        tier.fill(sku, 0, entry())
        tier.look_up(sku)
    tier.fill("new", 0, entry())
    assert [sku for sku in skus if not tier.peek(sku, 0)] == [str(SECOND_CHANCES)]


def test_its_bytes_are_bounded() -> None:
    tier = made(max_entries=1000, max_bytes=3 * COST)
    for sku in "abcd":
        tier.fill(sku, 0, entry())
    assert (len(tier), tier.size) == (3, 3 * COST)
    tier.fill("big", 0, entry(b"x" * (2 * COST - OVERHEAD_BYTES)))
    assert kept(tier, "b", "c", "d", "big") == ["d", "big"]
    assert tier.size == 3 * COST


def test_what_alone_exceeds_the_bound_is_not_kept() -> None:
    tier = made(max_bytes=COST)
    assert not tier.fill("a", 0, entry(b"x" * 10_000))
    assert (len(tier), tier.size) == (0, 0)


def test_replacing_counts_once() -> None:
    tier = made()
    tier.fill("a", 0, entry(b"x" * 1000))
    tier.fill("a", 0, entry(b"x"))
    assert (len(tier), tier.size) == (1, OVERHEAD_BYTES + 1)


@pytest.mark.parametrize(("first", "second"), [(BODY, None), (None, BODY)])
def test_a_404_replaces_a_value_and_a_value_a_404(first: bytes | None, second: bytes | None) -> None:
    tier, later = made(), entry(second, began=2.0)
    tier.fill("a", 0, entry(first, began=1.0))
    assert tier.fill("a", 0, later)
    assert (tier.peek("a", 0), len(tier), tier.size) == (later, 1, later.size)


@pytest.mark.parametrize(("began", "wins"), [(0.9, False), (1.0, True), (1.1, True)])
@pytest.mark.parametrize("body", [BODY, None])
def test_the_load_that_began_later_wins(*, began: float, wins: bool, body: bytes | None) -> None:
    tier, later = made(), entry(body, began)
    tier.fill("a", 0, entry(began=1.0))
    assert tier.fill("a", 0, later) == wins
    assert (tier.peek("a", 0) is later) == wins


def test_remembered_404s_take_at_most_a_tenth_oldest_first_out() -> None:
    tier = made(max_entries=100)
    for number in range(90):
        tier.fill(f"known {number}", 0, entry())
    for number in range(50):
        tier.fill(f"unknown {number}", 0, entry(None))
    assert len(tier) == 100
    assert all(tier.peek(f"known {number}", 0) for number in range(90))
    assert [number for number in range(50) if tier.peek(f"unknown {number}", 0)] == list(range(40, 50))


def test_404s_of_known_products_are_at_most_a_tenth_too() -> None:
    tier = made(max_entries=40)
    for number in range(20):
        tier.fill(str(number), 0, entry())
        tier.fill(str(number), 2, entry(None))
    assert sum(tier.peek(str(number), 2) is not None for number in range(20)) == 4
    assert all(tier.peek(str(number), 0) for number in range(20))


def test_remembered_404s_take_at_most_a_tenth_of_the_bytes() -> None:
    tier = made(max_entries=1000, max_bytes=100 * OVERHEAD_BYTES)
    for number in range(50):
        tier.fill(str(number), 0, entry(None))
    assert tier.size == 10 * OVERHEAD_BYTES


def test_404s_count_against_the_whole() -> None:
    tier = made(max_entries=20)
    for number in range(20):
        tier.fill(f"known {number}", 0, entry())
    tier.fill("unknown", 0, entry(None))
    assert (len(tier), kept(tier, "known 0", "known 1", "unknown")) == (20, ["known 1", "unknown"])


def test_a_million_unknown_skus_push_out_no_product() -> None:
    tier = made(max_entries=1000)
    hot = [f"hot {number}" for number in range(900)]
    for sku in hot:
        tier.fill(sku, 0, entry())
    absent = entry(None)
    for number in range(1_000_000):
        tier.fill(str(number), 0, absent)
    assert all(tier.peek(sku, 0) for sku in hot)
    size = 900 * COST + 100 * OVERHEAD_BYTES
    assert repr(tier) == f"<MemoryTier 1000 entries of {size} bytes, 100 of them unknown>"
