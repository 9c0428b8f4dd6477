"""One attempt's time, and whether an attempt had all of it."""

import asyncio

import pytest

from bff.resilience.errors import AttemptTimeout, DeadlineExceeded
from bff.resilience.stack import Call, stack
from bff.resilience.timeout import Timeout
from tests.unit.playing import HANGS, Clockwork, Script, Step, fails, moving_clock, now, script, start


async def ask(upstream: Script, seconds: float, left: float) -> object:
    return await stack(Timeout(seconds, asyncio.get_running_loop().time))(Call(upstream, now() + left))


async def test_an_answer_in_time_is_given_and_the_source_is_told_what_is_left_of_the_call() -> None:
    upstream = script(Step(after=0.5, says="fine"))
    assert await ask(upstream, 0.6, left=0.8) == "fine"
    assert (upstream.given, now()) == ([0.8], 0.5)


async def test_an_attempt_that_had_its_whole_time_ends_then() -> None:
    upstream = script(HANGS)
    with pytest.raises(AttemptTimeout):
        await ask(upstream, 0.6, left=0.8)
    assert (now(), upstream.ended) == (0.6, 1)


async def test_an_attempt_with_less_time_left_than_its_own_is_cut_short() -> None:
    with pytest.raises(DeadlineExceeded):
        await ask(script(HANGS), 0.6, left=0.5)
    assert now() == 0.5


async def test_an_attempt_with_exactly_its_own_time_left_had_its_whole_time() -> None:
    with pytest.raises(AttemptTimeout):
        await ask(script(HANGS), 0.5, left=0.5)


async def test_an_attempt_as_long_as_its_call_had_its_whole_time_by_a_clock_that_moves() -> None:
    clock = moving_clock()
    with pytest.raises(AttemptTimeout):
        await stack(Timeout(0.5, clock))(Call(script(HANGS), clock() + 0.5))


@pytest.mark.parametrize("left", [0.0, -1.0])
async def test_a_call_whose_time_is_over_is_not_sent(left: float) -> None:
    upstream = script()
    with pytest.raises(DeadlineExceeded):
        await ask(upstream, 0.6, left)
    assert upstream.calls == []


async def test_an_error_of_the_source_passes_as_it_is() -> None:
    error = ValueError("bug")
    with pytest.raises(ValueError) as raised:
        await ask(script(fails(error)), 0.6, left=0.8)
    assert raised.value is error


async def test_a_cancellation_is_no_timeout() -> None:
    upstream = script(HANGS)
    task = start(ask(upstream, 0.6, left=0.8))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert upstream.ended == 1


async def test_the_call_knows_when_its_last_attempt_began() -> None:
    clock = Clockwork(7.5)
    call = Call(script(), deadline=9.0)
    await stack(Timeout(0.6, clock))(call)
    assert call.began == 7.5


def test_it_says_its_time() -> None:
    assert repr(Timeout(0.6, Clockwork())) == "<Timeout 0.6s>"
