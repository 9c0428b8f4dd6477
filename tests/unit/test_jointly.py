"""Batches: what goes together, until when one may join, and what is asked for singly after all."""

import asyncio
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.cache.tiers import Loaded
from clients.bulk import Found
from clients.errors import Garbled
from clients.source import Caller, Room
from tests.unit.joint import CALL_SECONDS, Shelf, Shop, found, well
from tests.unit.playing import Knobs, in_virtual_time, now, opened, turns


async def done() -> None:
    """Let more time pass than any call has."""
    await asyncio.sleep(2 * CALL_SECONDS)


async def test_loads_of_one_turn_are_one_call_in_their_order_and_at_once() -> None:
    shop = Shop(Shelf())
    readers = shop.read("c", "a", "b")
    await done()
    assert shop.shelf.calls == [(0, ("c", "a", "b"))]
    assert found(readers) == ["ok"] * 3
    assert shop.held == {}


async def test_a_lone_load_waits_for_no_company() -> None:
    shop = Shop(Shelf())
    shop.read("a")
    await turns()
    shop.read("b")
    await done()
    assert shop.shelf.calls == [(0, ("a",)), (0, ("b",))]


async def test_a_call_has_the_first_ones_request_id() -> None:
    shop, other = Shop(Shelf()), Caller("another", "1" * 32)
    shop.read("a")
    shop.read("b", caller=other)
    await turns()
    shop.read("c", caller=other)
    await done()
    assert [caller.request_id for caller in shop.shelf.callers] == ["a-request", "another"]


async def test_what_waits_for_a_slot_is_joined_while_it_is_young() -> None:
    shop = Shop(Shelf(seconds=0.5), Knobs(concurrency=1))
    shop.read("first")
    for moment, sku in ((0.1, "a"), (0.2, "b"), (0.29, "c"), (0.31, "d"), (0.4, "e")):
        await asyncio.sleep(moment - now())
        shop.read(sku)
    await done()
    assert shop.shelf.asked == [("first",), ("a", "b", "c"), ("d", "e")]


async def test_a_batch_that_is_full_is_followed_by_another() -> None:
    shop = Shop(Shelf(), room=Room(2, 4000))
    readers = shop.read(*"abcde")
    await done()
    assert shop.shelf.asked == [("a", "b"), ("c", "d"), ("e",)]
    assert found(readers) == ["ok"] * 5


@given(st.lists(st.text("abc", min_size=1, max_size=9), unique=True, max_size=40), st.integers(9, 60))
def test_no_call_is_longer_than_there_is_room(skus: list[str], most: int) -> None:
    async def play() -> None:
        shop = Shop(Shelf(), room=Room(7, most))
        readers = shop.read(*skus)
        await done()
        assert [sku for call in shop.shelf.asked for sku in call] == skus
        assert all(len(",".join(call)) <= most and len(call) <= 7 for call in shop.shelf.asked)
        for call, following in zip(shop.shelf.asked, shop.shelf.asked[1:], strict=False):
            assert len(call) == 7 or len(",".join([*call, following[0]])) > most
        assert set(found(readers)) <= {"ok"}

    in_virtual_time(play())


async def test_readers_of_one_sku_share_its_place() -> None:
    shop = Shop(Shelf())
    readers = shop.read("a", "b", "a", "a")
    await done()
    assert shop.shelf.asked == [("a", "b")]
    assert found(readers) == ["ok"] * 4


async def test_one_that_was_invalidated_in_an_open_batch_is_asked_for_again_in_another() -> None:
    shop = Shop(Shelf(), Knobs(concurrency=1))
    shop.read("first")
    await turns()
    old = shop.read("a", "b")
    await shop.invalidate("a")
    new = shop.read("a", "c")
    await done()
    assert sorted(shop.shelf.asked[1:]) in (
        [("a", "b"), ("a", "c")],
        [("a", "b", "c"), ("a",)],
        [("a",), ("a", "b", "c")],
    )
    assert found([*old, *new]) == ["ok"] * 4
    assert [isinstance(reader.outcome, Loaded) and reader.outcome.stored for reader in old] == [False, True]


async def test_an_open_circuit_and_a_full_queue_make_no_call() -> None:
    shop = Shop(Shelf(seconds=0.3), Knobs(concurrency=1, queue=0))
    first, refused = shop.read("a"), []
    await turns()
    refused = shop.read("b", "c")
    await done()
    assert (found(first), found(refused)) == (["ok"], ["overloaded", "overloaded"])
    assert shop.shelf.asked == [("a",)]


@pytest.mark.parametrize("after_turns", range(5))
async def test_who_comes_just_as_a_batch_was_refused_is_told_why_it_is_refused_itself(after_turns: int) -> None:
    shop = Shop(Shelf(), Knobs(min_attempts=1))
    opened(shop.circuit, 1)
    readers = shop.read("a")
    await turns(after_turns)
    readers += shop.read("b", "a")
    await turns(after_turns)
    readers += shop.read("c")
    await done()
    assert set(found(readers)) == {"circuit_open"}
    assert shop.shelf.calls == []


async def test_an_absent_one_is_confirmed_singly_within_the_time_of_the_call() -> None:
    for alone, says in ((None, "not_found"), (b'{"sku_id":"b"}', "ok"), (Garbled("no"), "garbled")):
        shop = Shop(Shelf(lambda _: well(["a"]), alone=alone), confirm=True)
        readers = shop.read("a", "b")
        await done()
        assert (found(readers), shop.shelf.singly) == (["ok", says], ["b"])
    shop = Shop(Shelf(lambda _: Found(trusted=False), seconds=0.5), confirm=True)
    assert found(shop.read("a")) == ["waits"]
    await done()
    assert shop.shelf.singly == []


async def test_a_confirmation_has_what_is_left_of_the_time_of_its_call() -> None:
    shop = Shop(Shelf(lambda _: Found(), seconds=0.5), confirm=True)
    (reader,) = shop.read("a")
    await done()
    assert shop.shelf.singly == ["a"]
    assert reader.found == "timeout"
    assert reader.landed_at == pytest.approx(CALL_SECONDS)


async def test_batches_leave_nothing_that_only_a_collection_would_free() -> None:
    shop = Shop(Shelf())
    shop.read("warm")
    await done()
    gc.collect()
    gc.disable()
    try:
        for number in range(100):
            shop.read(*(f"{number}-{each}" for each in range(10)))
            await done()
        assert gc.collect() < 100
    finally:
        gc.enable()
