"""Trying again: only what may do better, within the budget, and within the call's time."""

import asyncio
from typing import Any

import pytest

from bff.resilience.budget import RetryBudget
from bff.resilience.errors import AttemptTimeout, CircuitOpen, DeadlineExceeded, Overloaded
from bff.resilience.retry import Retry, RetryPolicy
from bff.resilience.stack import Call
from clients.errors import Garbled, Postponed, Rejected, Throttled, Unavailable
from tests.unit.playing import ON, Script, Step, asked_wait, fails, now, script, start, turns

DOWN = fails(Unavailable("down"))


class Asked:
    """A retry layer over a script, and the pauses that it was asked for."""

    def __init__(self, attempts: int = 2, floor: int = 10, pause: float = 0.0) -> None:
        clock = asyncio.get_running_loop().time
        self.drawn: list[tuple[float, float]] = []
        self.budget = RetryBudget(0.0, floor, clock)
        self._pause = pause
        self.layer = Retry(RetryPolicy(attempts, ON, asked_wait), self.budget, clock, self._draw, asyncio.sleep)

    def _draw(self, low: float, high: float) -> float:
        self.drawn.append((low, high))
        return self._pause

    async def ask(self, upstream: Script, seconds: float = 0.8) -> Any:
        return await self.layer(Call(upstream, now() + seconds), lambda call: call.send(call.deadline - now()))


async def test_an_answer_costs_neither_pause_nor_budget() -> None:
    upstream, asked = script(Step(says="fine")), Asked()
    assert await asked.ask(upstream) == "fine"
    assert (upstream.calls, asked.drawn, asked.budget.left) == ([0.0], [], 10)


async def test_a_failure_is_tried_again_and_the_answer_given() -> None:
    upstream, asked = script(DOWN, Step(says="fine")), Asked(pause=0.03)
    assert await asked.ask(upstream) == "fine"
    assert upstream.calls == [0.0, 0.03]
    assert asked.budget.left == 9


@pytest.mark.parametrize("error", [AttemptTimeout(), Unavailable("x"), Postponed("408"), Throttled("429")])
async def test_what_may_do_better_is_tried_again(error: Exception) -> None:
    upstream = script(fails(error), Step(says="fine"))
    assert await Asked().ask(upstream) == "fine"


@pytest.mark.parametrize(
    "error", [Rejected("418"), Garbled("x"), DeadlineExceeded(), CircuitOpen(), Overloaded("full"), ValueError("bug")]
)
async def test_what_cannot_do_better_is_not_tried_again(error: Exception) -> None:
    upstream = script(fails(error), Step(says="fine"))
    asked = Asked(attempts=10)
    with pytest.raises(type(error)) as raised:
        await asked.ask(upstream)
    assert raised.value is error
    assert (len(upstream.calls), asked.budget.left) == (1, 10)


@pytest.mark.parametrize("attempts", [1, 2, 3, 10])
async def test_there_are_never_more_tries_than_allowed_and_the_last_error_is_raised(attempts: int) -> None:
    errors = [Unavailable(str(number)) for number in range(10)]
    upstream = script(*(fails(error) for error in errors))
    with pytest.raises(Unavailable) as raised:
        await Asked(attempts, floor=100).ask(upstream)
    assert raised.value is errors[attempts - 1]
    assert len(upstream.calls) == attempts


async def test_a_later_failure_of_another_kind_ends_it_and_is_raised() -> None:
    garbled = Garbled("x")
    upstream = script(DOWN, fails(garbled), Step())
    with pytest.raises(Garbled) as raised:
        await Asked(attempts=5).ask(upstream)
    assert raised.value is garbled
    assert len(upstream.calls) == 2


async def test_each_pause_is_drawn_from_0_to_50_ms() -> None:
    asked = Asked(attempts=3, pause=0.05)
    upstream = script(DOWN)
    with pytest.raises(Unavailable):
        await asked.ask(upstream)
    assert set(asked.drawn) == {(0.0, 0.05)}
    assert upstream.calls == [0.0, 0.05, 0.1]


async def test_the_pause_is_added_to_what_the_source_asked_for() -> None:
    upstream = script(fails(Throttled("429", retry_after=0.25)), Step(says="fine"))
    assert await Asked(pause=0.01).ask(upstream) == "fine"
    assert upstream.calls == [0.0, 0.26]


async def test_a_retry_after_that_leaves_no_time_ends_the_call_at_once() -> None:
    upstream = script(fails(Throttled("429", retry_after=1.0)), Step())
    asked = Asked()
    with pytest.raises(Throttled):
        await asked.ask(upstream)
    assert (now(), len(upstream.calls), asked.budget.left) == (0.0, 1, 10)


@pytest.mark.parametrize(("seconds", "tries"), [(0.5 + 0.05, 2), (0.5 + 0.05 - 2**-20, 1)])
async def test_no_retry_that_would_start_with_less_than_50_ms_left(seconds: float, tries: int) -> None:
    upstream = script(fails(Unavailable("late"), after=0.5), DOWN)
    with pytest.raises(Unavailable):
        await Asked().ask(upstream, seconds)
    assert len(upstream.calls) == tries


@pytest.mark.parametrize(("seconds", "tries"), [(0.3125, 2), (0.2960, 1)])
async def test_the_50_ms_count_from_the_end_of_the_pause(seconds: float, tries: int) -> None:
    upstream = script(fails(Throttled("429", retry_after=0.25)), DOWN)
    with pytest.raises((Throttled, Unavailable)):
        await Asked().ask(upstream, seconds)
    assert len(upstream.calls) == tries


async def test_a_spent_budget_stops_retries_and_the_first_error_stays() -> None:
    asked = Asked(floor=1)
    upstream = script(DOWN)
    for tries in (2, 3, 4):
        with pytest.raises(Unavailable):
            await asked.ask(upstream)
        assert len(upstream.calls) == tries
    assert repr(asked.layer) == "<Retry 2 <RetryBudget 0 left>>"


@pytest.mark.parametrize("refusal", [CircuitOpen(), Overloaded("full")])
async def test_a_second_try_that_is_refused_leaves_the_first_error(refusal: Exception) -> None:
    first = Unavailable("first")
    with pytest.raises(Unavailable) as raised:
        await Asked().ask(script(fails(first), fails(refusal)))
    assert raised.value is first


@pytest.mark.parametrize("refusal", [CircuitOpen(), Overloaded("full")])
async def test_a_refused_try_is_the_last_however_many_are_allowed(refusal: Exception) -> None:
    first = Unavailable("first")
    upstream, asked = script(fails(first), fails(refusal), Step(says="never asked")), Asked(attempts=5)
    with pytest.raises(Unavailable) as raised:
        await asked.ask(upstream)
    assert raised.value is first
    assert (len(upstream.calls), asked.budget.left) == (2, 9)


async def test_a_cancellation_during_the_pause_ends_the_call_and_asks_no_more() -> None:
    upstream = script(fails(Throttled("429", retry_after=0.5)), Step())
    task = start(Asked().ask(upstream))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    assert upstream.calls == [0.0]


async def test_a_cancellation_of_the_second_try_is_no_failure_to_be_tried_again() -> None:
    upstream = script(DOWN, Step(after=1.0), Step())
    task = start(Asked(attempts=5).ask(upstream))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(upstream.calls) == 2


async def test_calls_at_once_keep_their_tries_apart() -> None:
    asked = Asked(floor=100)
    upstreams = [script(DOWN, Step(says=number)) for number in range(20)]
    assert await asyncio.gather(*(asked.ask(upstream) for upstream in upstreams)) == list(range(20))
