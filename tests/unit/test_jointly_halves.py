"""Batches whose call fails: halves within the budget and the time, timeouts whole, and who is asked alone then."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import Garbled, Rejected, Throttled, Unavailable, UpstreamError
from tests.unit.joint import CALL_SECONDS, Reader, Shelf, Shop, found, poisoned, well
from tests.unit.playing import Knobs, in_virtual_time, now

HUNDRED = tuple(f"sku-{at:03}" for at in range(100))
ERRORS = [Unavailable("no"), Garbled("no"), Rejected("no"), Throttled("no")]


async def done(*seconds: float) -> None:
    """Let so much time pass, and by default more than any call has."""
    await asyncio.sleep(sum(seconds) or 2 * CALL_SECONDS)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("poison", [0, 37, 99])
async def test_one_poisonous_sku_among_a_hundred_costs_two_calls_for_each_halving(
    error: Exception, poison: int
) -> None:
    shop = Shop(Shelf(poisoned(error, HUNDRED[poison]), seconds=0.01), Knobs(attempts=1, floor=1000))
    readers = shop.read(*HUNDRED)
    await done()
    assert {sku: says for sku, says in zip(HUNDRED, found(readers), strict=True) if says != "ok"}.keys() == {
        HUNDRED[poison]
    }
    assert 1 + 2 * 6 <= len(shop.shelf.calls) <= 1 + 2 * 7
    assert max(map(len, shop.shelf.asked[1:])) == 50


@given(st.sets(st.sampled_from(HUNDRED), max_size=6), st.integers(0, 40))
def test_the_tree_of_halves_keeps_within_the_budget_and_fails_nobody_else_than_it_must(
    bad: set[str], floor: int
) -> None:
    async def play() -> None:
        shelf = Shelf(poisoned(Rejected("no"), *bad), seconds=0.001)
        shop = Shop(shelf, Knobs(attempts=1, ratio=0.0, floor=floor))
        readers = shop.read(*HUNDRED)
        await done()
        says = dict(zip(HUNDRED, found(readers), strict=True))
        assert len(shelf.calls) <= 1 + floor
        assert set(says.values()) <= {"ok", "rejected"}
        assert {sku for sku, one in says.items() if one == "ok"} == {
            sku for call in shelf.asked if not bad & set(call) for sku in call
        }
        if len(shelf.calls) < 1 + floor:
            assert {sku for sku, one in says.items() if one != "ok"} == bad
        assert shop.held == {}

    in_virtual_time(play())


async def test_a_lone_one_is_tried_again_as_often_as_is_set_and_no_other_is() -> None:
    shop = Shop(Shelf(poisoned(Unavailable("no"), "a")), Knobs(attempts=3, floor=100, attempt_seconds=0.2))
    shop.read("a", "b")
    await done()
    assert shop.shelf.asked == [("a", "b"), ("a",), ("b",), ("a",), ("a",)]


async def test_a_call_that_timed_out_is_tried_again_whole_and_never_in_halves() -> None:
    shop = Shop(Shelf(seconds=9.0), Knobs(attempts=3, attempt_seconds=0.2))
    readers = shop.read("a", "b", "c")
    await done()
    assert shop.shelf.calls == [(at, ("a", "b", "c")) for at in (0, 0.2, 0.4)]
    assert found(readers) == ["timeout"] * 3
    assert shop.shelf.given == pytest.approx([0.8, 0.6, 0.4])


async def test_no_half_is_asked_for_before_the_source_wants_to_be_asked_again() -> None:
    shop = Shop(Shelf(poisoned(Throttled("no", retry_after=0.3), "a", "b"), seconds=0.1), Knobs(floor=100, attempts=1))
    readers = shop.read("a", "b")
    await done()
    assert [at for at, _ in shop.shelf.calls] == pytest.approx([0, 0.4, 0.4])
    assert found(readers) == ["overloaded", "overloaded"]
    shop = Shop(Shelf(poisoned(Throttled("no", retry_after=3.0), "a", "b")), Knobs(floor=100))
    shop.read("a", "b")
    await done()
    assert len(shop.shelf.calls) == 1


@given(
    st.floats(0.0, 0.5),
    st.integers(1, 3),
    st.sampled_from(ERRORS),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=12),
)
def test_no_call_begins_after_the_deadline_and_every_reader_is_told(
    seconds: float, concurrency: int, error: UpstreamError, arrivals: list[float]
) -> None:
    async def play() -> None:
        shop = Shop(
            Shelf(poisoned(error, "sku-0", "sku-3"), seconds), Knobs(attempts=3, concurrency=concurrency, floor=50)
        )
        readers: list[Reader] = []
        for at, moment in enumerate(sorted(arrivals)):
            await asyncio.sleep(moment - now())
            readers += shop.read(f"sku-{at}")
        await done(5)
        first_asked = {f"sku-{at}": moment for at, moment in enumerate(sorted(arrivals))}
        for moment, skus in shop.shelf.calls:
            assert moment < min(first_asked[sku] for sku in skus) + CALL_SECONDS
        for reader, moment in zip(readers, sorted(arrivals), strict=True):
            assert reader.found != "waits"
            assert reader.landed_at is not None
            assert reader.landed_at <= moment + CALL_SECONDS + 1e-6
        assert all(left > 0 for left in shop.shelf.given)
        assert shop.held == {}

    in_virtual_time(play())


async def test_who_failed_while_its_neighbours_were_answered_is_asked_alone_for_ten_seconds() -> None:
    shop = Shop(Shelf(poisoned(Rejected("no"), "b"), seconds=0.01), Knobs(floor=100))
    shop.read("a", "b", "c", "d")
    await done(1.0)
    for moment, expected in ((2.0, [("b",), ("x", "y")]), (9.9, [("b",), ("x", "y")]), (11.0, [("x", "b", "y")])):
        await asyncio.sleep(moment - now())
        del shop.shelf.calls[:]
        await shop.invalidate("x", "y", "b")
        shop.read("x", "b", "y")
        await done(0.5)
        assert sorted(shop.shelf.asked[: len(expected)]) == sorted(expected)


async def test_nobody_is_asked_alone_where_everything_failed() -> None:
    shop = Shop(Shelf(lambda skus: Rejected("no"), seconds=0.01), Knobs(floor=100, attempts=1))
    shop.read("a", "b")
    await done()
    shop.shelf.says = well
    del shop.shelf.calls[:]
    shop.read("a", "b")
    await done()
    assert shop.shelf.asked == [("a", "b")]


async def test_halves_that_the_circuit_refuses_have_the_reason_of_the_call_that_was_made() -> None:
    shop = Shop(Shelf(lambda skus: Unavailable("no")), Knobs(min_attempts=1, attempts=1, floor=100))
    readers = shop.read("a", "b")
    await done()
    assert len(shop.shelf.calls) == 1
    assert found(readers) == ["unavailable", "unavailable"]
