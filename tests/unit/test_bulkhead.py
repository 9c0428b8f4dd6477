"""Slots and the queue before them."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.resilience.bulkhead import Bulkhead
from bff.resilience.errors import Overloaded
from bff.resilience.stack import Call
from tests.unit.playing import in_virtual_time, now, outcomes, start, turns


class Shelf:
    """A bulkhead, and who went through it when."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self.bulkhead = Bulkhead(concurrency, queue, asyncio.get_running_loop().time)
        self.began: list[tuple[Any, float]] = []
        self.most = 0

    async def ask(self, name: Any, takes: float = 1.0, patience: float = 100.0) -> Any:
        async def proceed(_: Call) -> Any:
            self.began.append((name, now()))
            self.most = max(self.most, self.bulkhead.in_flight)
            await asyncio.sleep(takes)
            return name

        return await self.bulkhead(Call(proceed, now() + patience), proceed)  # type: ignore[arg-type] # never sent

    @property
    def idle(self) -> bool:
        return self.bulkhead.in_flight == self.bulkhead.waiting == 0


async def test_no_more_are_in_flight_than_there_are_slots() -> None:
    shelf = Shelf(3, 100)
    assert await outcomes(shelf.ask(number) for number in range(7)) == list(range(7))
    assert (shelf.most, now(), shelf.idle) == (3, 3.0, True)


async def test_who_waits_is_served_in_the_order_of_arrival() -> None:
    shelf = Shelf(1, 100)
    await outcomes(shelf.ask(number) for number in range(5))
    assert shelf.began == [(number, float(number)) for number in range(5)]


async def test_a_newcomer_does_not_overtake_the_one_who_was_just_handed_a_slot() -> None:
    shelf = Shelf(1, 100)
    first, second = start(shelf.ask("first")), start(shelf.ask("second"))
    await first
    third = start(shelf.ask("third"))
    await asyncio.wait({second, third})
    assert [name for name, _ in shelf.began] == ["first", "second", "third"]


async def test_a_full_queue_refuses_at_once() -> None:
    shelf = Shelf(1, 2)
    results = await outcomes(shelf.ask(number, takes=0.5) for number in range(5))
    assert results[:3] == [0, 1, 2]
    assert all(isinstance(result, Overloaded) for result in results[3:])
    assert [name for name, _ in shelf.began] == [0, 1, 2]


async def test_a_refusal_by_a_full_queue_takes_no_time() -> None:
    shelf = Shelf(1, 0)
    holder = start(shelf.ask("holder"))
    await turns()
    with pytest.raises(Overloaded):
        await shelf.ask("refused")
    assert now() == 0.0
    await holder


async def test_no_slot_before_the_deadline_is_overload_at_the_deadline() -> None:
    shelf = Shelf(1, 10)
    holder, waiter = start(shelf.ask("holder", takes=5.0)), start(shelf.ask("waiter", patience=0.8))
    await turns()
    assert repr(shelf.bulkhead) == "<Bulkhead 1/1 +1>"
    with pytest.raises(Overloaded):
        await waiter
    assert (now(), shelf.bulkhead.waiting) == (0.8, 0)
    assert await holder == "holder"
    assert shelf.idle


async def test_a_call_whose_time_is_over_waits_for_nothing() -> None:
    shelf = Shelf(1, 10)
    holder = start(shelf.ask("holder"))
    await turns()
    with pytest.raises(Overloaded):
        await shelf.ask("late", patience=-1.0)
    assert now() == 0.0
    await holder


async def test_a_call_knows_whether_it_waits_for_a_slot() -> None:
    shelf = Shelf(1, 10)
    holder = start(shelf.ask("holder"))
    await turns()
    during: list[bool] = []

    async def proceed(call: Call) -> None:
        during.append(call.queued)

    call = Call(proceed, now() + 5)  # type: ignore[arg-type] # never sent
    waiter = start(shelf.bulkhead(call, proceed))
    await turns()
    assert call.queued
    await asyncio.wait({holder, waiter})
    assert (during, call.queued) == ([False], False)


async def test_an_error_gives_the_slot_back() -> None:
    shelf = Shelf(1, 0)

    async def proceed(_: Call) -> None:
        raise ValueError

    with pytest.raises(ValueError):
        await shelf.bulkhead(Call(proceed, 1.0), proceed)  # type: ignore[arg-type] # never sent
    assert await shelf.ask("next") == "next"


async def test_a_cancelled_waiter_leaves_its_place_to_the_next() -> None:
    shelf = Shelf(1, 2)
    tasks = [start(shelf.ask(number)) for number in range(3)]
    await turns()
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert shelf.began == [(0, 0.0), (2, 1.0)]
    assert shelf.idle


@pytest.mark.parametrize("turns_after", [0, 1, 2, 3])
async def test_a_slot_handed_to_one_who_is_cancelled_goes_to_the_next(turns_after: int) -> None:
    shelf = Shelf(1, 5)
    holder, waiter, last = (start(shelf.ask(number)) for number in range(3))
    holder.add_done_callback(lambda _: waiter.cancel())  # in the very turn in which the slot is handed over
    await holder
    await turns(turns_after)
    waiter.cancel()
    assert await last == 2
    assert shelf.idle
    assert await shelf.ask("after") == "after"


askers = st.lists(
    st.tuples(
        st.integers(0, 8),  # arrives
        st.integers(0, 8),  # takes
        st.integers(0, 8),  # waits at most
        st.none() | st.integers(0, 8),  # is cancelled after
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(askers, st.integers(1, 3), st.integers(0, 4))
def test_whatever_comes_and_goes_no_slot_is_lost(
    askers: list[tuple[int, int, int, int | None]], concurrency: int, queue: int
) -> None:
    async def scenario() -> None:
        shelf = Shelf(concurrency, queue)

        async def asker(name: int, arrives: int, takes: int, patience: int, cancelled: int | None) -> None:
            await asyncio.sleep(arrives)
            task = start(shelf.ask(name, takes, patience))
            if cancelled is not None:
                await asyncio.sleep(cancelled)
                task.cancel()
            await outcomes([task])

        await outcomes(asker(name, *asked) for name, asked in enumerate(askers))
        assert shelf.idle
        assert shelf.most <= concurrency
        shelf.began.clear()
        arrived = now()
        await outcomes(shelf.ask(number) for number in range(concurrency))
        assert [at for _, at in shelf.began] == [arrived] * concurrency  # every slot is there

    in_virtual_time(scenario())
