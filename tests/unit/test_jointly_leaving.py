"""Batches whose readers leave: whoever stays is answered, and nothing is held afterwards."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import Rejected, Unavailable
from tests.unit.joint import Reader, Shelf, Shop, found, poisoned, well
from tests.unit.playing import Knobs, in_virtual_time, turns


async def done() -> None:
    """Let more time pass than any call has."""
    await asyncio.sleep(5)


async def test_a_batch_goes_on_without_those_that_left() -> None:
    shop = Shop(Shelf())
    a, b, c = shop.read("a", "b", "c")
    await turns()
    b.disconnect()
    await done()
    assert found([a, b, c]) == ["ok", "waits", "ok"]
    assert shop.held == {}


async def test_a_batch_ends_with_the_last_that_leaves() -> None:
    shop = Shop(Shelf())
    readers = shop.read("a", "b")
    await turns()
    for reader in readers:
        assert shop.bulkhead.in_flight == 1
        reader.disconnect()
    await turns()
    assert shop.held == {}
    assert shop.circuit.state == "closed"


async def test_who_left_before_the_call_is_not_in_it() -> None:
    shop = Shop(Shelf(), Knobs(concurrency=1))
    shop.read("first")
    await turns()
    a, b = shop.read("a", "b")
    await turns()
    a.disconnect()
    await done()
    assert shop.shelf.asked == [("first",), ("b",)]
    assert b.found == "ok"


async def test_who_left_between_a_call_and_its_repeats_is_not_in_them() -> None:
    shop = Shop(Shelf(lambda skus: Rejected("no")), Knobs(pause=lambda low, high: high, floor=100, attempts=1))
    a, *others = shop.read("a", "b", "c", "d")
    await asyncio.sleep(0.12)
    a.disconnect()
    await done()
    assert shop.shelf.asked[0] == ("a", "b", "c", "d")
    assert all("a" not in call for call in shop.shelf.asked[1:])
    assert found(others) == ["rejected"] * 3


async def test_who_comes_just_as_the_last_of_a_waiting_batch_leaves_is_answered() -> None:
    shop = Shop(Shelf(), Knobs(concurrency=1))
    shop.read("first")
    await turns()
    (leaving,) = shop.read("a")
    await turns()
    leaving.disconnect()
    coming = shop.read("b", "a")
    await done()
    assert found(coming) == ["ok", "ok"]
    assert shop.held == {}


async def test_who_comes_after_one_that_left_in_the_turn_in_which_it_came_is_answered() -> None:
    shop = Shop(Shelf())
    (leaving,) = shop.read("a")
    leaving.disconnect()
    same_turn = shop.read("b")
    await turns()
    later = shop.read("c", "a")
    await done()
    assert found([*same_turn, *later]) == ["ok"] * 3
    assert shop.held == {}


async def test_what_one_gives_up_before_its_deadline_is_loaded_all_the_same() -> None:
    shop = Shop(Shelf())
    (reader,) = shop.read("a")
    await turns()
    reader.flight.leave(reader)
    await done()
    assert (entry := shop.cache.of("price").current("a")) is not None
    assert entry.body == b'{"sku_id":"a"}'


async def test_a_single_confirmation_that_nobody_waits_for_is_cancelled() -> None:
    shop = Shop(Shelf(lambda _: well(["a"])), confirm=True)
    _, b = shop.read("a", "b")
    await asyncio.sleep(0.15)
    assert (shop.shelf.singly, shop.bulkhead.in_flight) == (["b"], 1)
    b.disconnect()
    await turns()
    assert shop.held == {}


@pytest.mark.parametrize("after_turns", range(1, 12))
async def test_closing_at_any_moment_tells_every_reader_and_leaves_nothing_held(after_turns: int) -> None:
    for says in (well, poisoned(Rejected("no"), "a"), lambda _: well([])):
        shop = Shop(Shelf(says, seconds=0.0), Knobs(concurrency=1, floor=100), confirm=True)
        readers = shop.read("a", "b", "c")
        await turns(after_turns)
        readers += shop.read("d")
        await turns(1)
        await shop.jointly.aclose()
        assert "waits" not in found(readers)
        assert shop.held == {}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.sampled_from("abcdef")),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("forget"), st.sampled_from("abcdef")),
        st.tuples(st.just("turn"), st.integers(1, 6)),
        st.tuples(st.just("wait"), st.floats(0.001, 0.2)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 2), st.sampled_from(["well", "poison", "down", "slow", "absent"]), st.booleans())
def test_whoever_stays_is_told_and_nothing_is_held_whoever_leaves_at_whatever_moment(
    steps: list[tuple[str, Any]],
    concurrency: int,
    source: str,
    confirm: bool,  # noqa: FBT001
) -> None:
    async def play() -> None:
        shelves = {
            "well": Shelf(),
            "poison": Shelf(poisoned(Rejected("no"), "c"), seconds=0.02),
            "down": Shelf(lambda skus: Unavailable("no"), seconds=0.02),
            "slow": Shelf(seconds=0.7),
            "absent": Shelf(lambda skus: well(set(skus) - {"a", "d"}), alone=None),
        }
        shop = Shop(shelves[source], Knobs(concurrency=concurrency, queue=3, floor=100), confirm=confirm)
        staying: list[Reader] = []
        for kind, value in steps:
            if kind == "read":
                staying += shop.read(value)
            elif kind == "leave" and staying:
                staying.pop(value % len(staying)).disconnect()
            elif kind == "forget":
                await shop.invalidate(value)
            elif kind == "turn":
                await turns(value)
            elif kind == "wait":
                await asyncio.sleep(value)
        await done()
        assert "waits" not in found(staying)
        assert shop.held == {}
        if source == "well":
            assert set(found(staying)) <= {"ok", "overloaded"}
        del shop.shelf.calls[:]
        shop.shelf.says, shop.shelf.seconds = well, 0.1
        await asyncio.sleep(15)
        await shop.invalidate(*"abcdef")
        last = shop.read(*"abcdef")
        await done()
        assert found(last) == ["ok"] * 6
        assert shop.shelf.asked == [tuple("abcdef")]

    in_virtual_time(play())
