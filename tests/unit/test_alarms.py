"""Deadlines under one timer: each in its time, in order, and none that was disarmed."""

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bff.resilience.alarms import Alarms
from tests.unit.playing import in_virtual_time, now


class Bell:
    """What rang, and when."""

    def __init__(self) -> None:
        self.alarms = Alarms(asyncio.get_running_loop().time)
        self.rang: list[tuple[str, float]] = []

    def set(self, when: float, name: str) -> Callable[[], None]:
        return self.alarms.set(when, lambda: self.rang.append((name, now()))).disarm


async def test_each_rings_in_its_time_and_of_equal_times_the_first_that_was_set() -> None:
    bell = Bell()
    for when, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (0.5, "earliest, set last")):
        bell.set(when, name)
    await asyncio.sleep(3.0)
    assert bell.rang == [("earliest, set last", 0.5), ("a", 1.0), ("b", 1.0), ("c", 2.0)]
    assert repr(bell.alarms) == "<Alarms 0>"


async def test_one_that_is_disarmed_passes() -> None:
    bell = Bell()
    disarm = bell.set(1.0, "a")
    bell.set(2.0, "b")
    disarm()
    await asyncio.sleep(3.0)
    assert bell.rang == [("b", 2.0)]


async def test_one_set_in_the_past_rings_in_the_next_turn_and_not_at_once() -> None:
    await asyncio.sleep(5.0)
    bell = Bell()
    bell.set(1.0, "a")
    assert bell.rang == []
    await asyncio.sleep(0.001)
    assert bell.rang == [("a", 5.0)]


async def test_an_earlier_one_that_is_set_later_rings_first_and_the_other_still_in_its_time() -> None:
    bell = Bell()
    bell.set(2.0, "b")
    await asyncio.sleep(0.5)
    bell.set(1.0, "a")
    await asyncio.sleep(2.5)
    assert bell.rang == [("a", 1.0), ("b", 2.0)]


async def test_one_whose_timer_is_set_may_be_disarmed_and_an_earlier_one_be_set_still() -> None:
    bell = Bell()
    bell.set(1.0, "never")()
    bell.set(0.5, "a")
    bell.set(1.5, "b")
    await asyncio.sleep(2.0)
    assert bell.rang == [("a", 0.5), ("b", 1.5)]


async def test_what_rings_may_set_others() -> None:
    bell = Bell()

    def first() -> None:
        for when, name in ((0.5, "past"), (1.5, "later"), (1.25, "sooner")):
            bell.set(when, name)
        assert bell.rang == [], "setting rings nothing itself"

    bell.alarms.set(1.0, first)
    bell.set(2.0, "last")
    await asyncio.sleep(3.0)
    assert bell.rang == [("past", 1.0), ("sooner", 1.25), ("later", 1.5), ("last", 2.0)]


async def test_what_rings_may_disarm_others_even_those_that_are_due_with_it() -> None:
    bell = Bell()
    disarms: list[Callable[[], None]] = []

    def disarm_all() -> None:
        for disarm in disarms:
            disarm()

    bell.alarms.set(1.0, disarm_all)
    disarms += [bell.set(1.0, "due with it"), bell.set(2.0, "later")]
    bell.set(2.5, "stays")
    await asyncio.sleep(3.0)
    assert bell.rang == [("stays", 2.5)]


async def test_one_that_has_rung_may_be_disarmed_still() -> None:
    bell = Bell()
    disarm = bell.set(1.0, "a")
    await asyncio.sleep(1.5)
    disarm()
    await asyncio.sleep(1.0)
    assert bell.rang == [("a", 1.0)]


async def test_the_disarmed_do_not_pile_up() -> None:
    bell = Bell()
    for number in range(1000):
        bell.set(number / 1000 + 1.0, "a")()
    bell.set(3.0, "b")
    await asyncio.sleep(2.5)
    assert repr(bell.alarms) == "<Alarms 1>"


moments = st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0])


@given(st.lists(st.tuples(moments, moments, st.booleans()), max_size=20))
def test_all_that_stay_armed_ring_in_their_time(alarms: list[tuple[float, float, bool]]) -> None:
    async def scenario() -> None:
        bell, expected = Bell(), []
        for number, (pause, after, armed) in enumerate(alarms):
            await asyncio.sleep(pause)
            disarm = bell.set(now() + after, str(number))
            if armed:
                expected.append((str(number), now() + after))
            else:
                disarm()
        await asyncio.sleep(3.0)
        assert sorted(bell.rang) == sorted(expected)

    in_virtual_time(scenario())
