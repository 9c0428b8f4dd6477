"""A call that is repeated by other hands than the retry layer's: who tries again, and out of which budget."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.resilience.budget import RetryBudget
from bff.resilience.errors import AttemptTimeout
from bff.resilience.retry import MAX_PAUSE_SECONDS, MIN_SECONDS_LEFT, Retry, RetryPolicy
from bff.resilience.stack import Call
from clients.errors import Throttled, Unavailable
from tests.unit.playing import ON, Script, Step, asked_wait, fails, in_virtual_time, now, script, start

DOWN = Unavailable("down")


class Repeating:
    """A retry layer, its budget, and the pauses that it drew."""

    def __init__(self, *, floor: int = 10, ratio: float = 0.0, attempts: int = 3, pause: float = 0.0) -> None:
        clock = asyncio.get_running_loop().time
        self.budget = RetryBudget(ratio, floor, clock)
        self.drawn: list[tuple[float, float]] = []
        self._pause = pause
        self.layer = Retry(RetryPolicy(attempts, ON, asked_wait), self.budget, clock, self._draw, asyncio.sleep)

    def _draw(self, low: float, high: float) -> float:
        self.drawn.append((low, high))
        return self._pause

    async def ask(self, call: Call) -> object:
        return await self.layer(call, lambda call: call.send(call.deadline - now()))

    async def granted(self, wanted: int, seconds: float = 0.8, error: Exception = DOWN) -> int:
        return await self.layer.granted(Call(script(), now() + seconds), error, wanted)


def call(upstream: Script, *, leaves: Callable[[Exception], bool] = lambda _: True, is_repeat: bool = False) -> Call:
    return Call(upstream, now() + 0.8, leaves, is_repeat)


async def test_as_many_repeats_are_granted_as_are_wanted_and_each_costs_the_budget() -> None:
    asked = Repeating()
    assert await asked.granted(2) == 2
    assert asked.budget.left == 8


@pytest.mark.parametrize(("floor", "granted"), [(0, 0), (1, 1), (2, 2), (3, 2)])
async def test_no_more_repeats_are_granted_than_the_budget_has(floor: int, granted: int) -> None:
    asked = Repeating(floor=floor)
    assert await asked.granted(2) == granted
    assert asked.budget.left == floor - granted


async def test_a_repeat_waits_as_any_other_try_does() -> None:
    asked = Repeating(pause=0.03)
    assert await asked.granted(2, error=Throttled("429", retry_after=0.25)) == 2
    assert (now(), asked.drawn) == (0.28, [(0.0, MAX_PAUSE_SECONDS)])


async def test_who_is_granted_nothing_does_not_wait() -> None:
    assert await Repeating(floor=0, pause=0.03).granted(2) == 0
    assert now() == 0.0


@pytest.mark.parametrize(("seconds", "granted"), [(0.25 + MIN_SECONDS_LEFT + 2**-20, 2), (0.25, 0), (-1.0, 0)])
async def test_no_repeat_is_granted_that_would_start_without_time_and_then_none_is_paid_for(
    seconds: float, granted: int
) -> None:
    asked = Repeating()
    assert await asked.granted(2, seconds, Throttled("429", retry_after=0.25)) == granted
    assert asked.budget.left == 10 - granted


async def test_a_wait_for_repeats_can_be_cancelled() -> None:
    task = start(Repeating(pause=0.05).granted(2))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert now() == 0.01


@given(st.lists(st.integers(0, 5), max_size=10), st.integers(0, 12))
def test_all_who_ask_are_granted_no_more_than_the_budget_together(wanted: list[int], floor: int) -> None:
    async def scenario() -> None:
        asked = Repeating(floor=floor)
        granted = [await asked.granted(each) for each in wanted]
        assert all(had <= each for had, each in zip(granted, wanted, strict=True))
        assert sum(granted) == min(floor, sum(wanted))

    in_virtual_time(scenario())


async def test_a_failure_that_is_not_left_to_the_guard_is_raised_after_one_try_and_costs_nothing() -> None:
    asked, upstream = Repeating(), script(fails(DOWN), Step())
    with pytest.raises(Unavailable) as raised:
        await asked.ask(call(upstream, leaves=lambda _: False))
    assert raised.value is DOWN
    assert (len(upstream.calls), asked.budget.left) == (1, 10)


async def test_it_is_asked_of_each_failure_whether_it_is_left_to_the_guard() -> None:
    asked, upstream = Repeating(), script(fails(AttemptTimeout()), fails(DOWN), Step())
    with pytest.raises(Unavailable) as raised:
        await asked.ask(call(upstream, leaves=lambda error: isinstance(error, TimeoutError)))
    assert raised.value is DOWN
    assert (len(upstream.calls), asked.budget.left) == (2, 9)


@pytest.mark.parametrize(("is_repeat", "left"), [(False, 1), (True, 0)])
async def test_a_repeat_of_a_part_is_no_new_question_and_earns_no_retry(*, is_repeat: bool, left: int) -> None:
    asked = Repeating(ratio=1.0, floor=0)
    await asked.ask(call(script(), is_repeat=is_repeat))
    assert asked.budget.left == left


async def test_a_repeat_may_be_tried_again_as_a_question_may() -> None:
    asked, upstream = Repeating(floor=1), script(fails(DOWN), Step(says="fine"))
    assert await asked.ask(call(upstream, is_repeat=True)) == "fine"
    assert asked.budget.left == 0
