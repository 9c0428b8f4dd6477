"""Layers: their order, and the whole guard as it is put together in production."""

import asyncio
from typing import Any

import pytest

from bff.resilience.errors import AttemptTimeout, CircuitOpen, DeadlineExceeded, Overloaded
from bff.resilience.observe import Attempt, Observe
from bff.resilience.stack import Call, Next, stack
from clients.errors import Garbled, Throttled, Unavailable
from tests.unit.playing import HANGS, Knobs, Step, fails, moving_clock, now, opened, outcomes, play, script, start


class Noting:
    """A layer that notes when it is entered and left."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name = name
        self._notes = notes

    async def __call__(self, call: Call, proceed: Next) -> Any:
        self._notes.append(f"into {self._name}")
        result = await proceed(call)
        self._notes.append(f"out of {self._name}")
        return result


class Sending:
    """The innermost layer."""

    async def __call__(self, call: Call, proceed: Next) -> Any:
        return await call.send(1.0)


async def test_the_first_layer_is_the_outermost() -> None:
    notes: list[str] = []
    layers = stack(Noting("a", notes), Noting("b", notes), Sending())
    assert await layers(Call(script(), 1.0)) == "answer"
    assert notes == ["into a", "into b", "out of b", "out of a"]


async def test_a_stack_whose_last_layer_sends_nothing_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        await stack(Noting("a", []))(Call(script(), 1.0))


async def test_every_attempt_is_observed_once_with_its_time() -> None:
    seen: list[Attempt] = []
    layers = stack(Observe(seen.append, asyncio.get_running_loop().time), Sending())
    error = Unavailable("down")
    await layers(Call(script(Step(0.25, "part")), 1.0))
    with pytest.raises(Unavailable):
        await layers(Call(script(fails(error, after=0.5)), 1.0))
    assert seen == [Attempt("part", None, 0.25), Attempt(None, error, 0.5)]


async def test_a_cancelled_attempt_is_observed_too() -> None:
    seen: list[Attempt] = []
    layers = stack(Observe(seen.append, asyncio.get_running_loop().time), Sending())
    task = asyncio.ensure_future(layers(Call(script(HANGS), 1.0)))
    await asyncio.sleep(0.125)
    task.cancel()
    await asyncio.wait({task})
    assert [(type(attempt.error), attempt.seconds) for attempt in seen] == [(asyncio.CancelledError, 0.125)]


async def test_a_hanging_source_gets_one_whole_attempt_and_a_cut_short_one_and_only_the_first_is_judged() -> None:
    played, upstream = play(), script(HANGS)
    with pytest.raises(DeadlineExceeded):
        await played.ask(upstream)
    assert (upstream.calls, now()) == ([0.0, 0.6], 0.8)
    assert [type(attempt.error) for attempt in played.attempts] == [AttemptTimeout, DeadlineExceeded]
    assert repr(played.circuit) == "<Circuit closed 1/1>"


async def test_an_open_circuit_waits_for_no_slot_and_is_not_tried_again() -> None:
    played, upstream = play(Knobs(concurrency=1)), script(HANGS)
    holder = start(played.ask(upstream, 100.0))
    await asyncio.sleep(0.1)
    opened(played.circuit, 20)
    with pytest.raises(CircuitOpen):
        await played.ask(script())
    assert (now(), played.budget.left) == (0.1, 10)
    holder.cancel()
    await asyncio.wait({holder})


async def test_a_full_queue_is_not_tried_again_and_is_no_verdict() -> None:
    played = play(Knobs(concurrency=1, queue=0))
    slow, refused = script(Step(0.5)), script()
    results = await outcomes([played.ask(slow), played.ask(refused)])
    assert (results[0], type(results[1])) == ("answer", Overloaded)
    assert (refused.calls, played.budget.left) == ([], 10)
    assert repr(played.circuit) == "<Circuit closed 0/1>"


async def test_no_slot_is_held_during_a_pause() -> None:
    played = play(Knobs(concurrency=1))
    waits = start(played.ask(script(fails(Throttled("429", retry_after=0.5)), Step())))
    await asyncio.sleep(0.1)
    assert played.bulkhead.in_flight == 0
    await played.ask(script())
    assert await waits == "answer"


async def test_time_in_the_queue_is_no_time_of_the_attempt() -> None:
    played = play(Knobs(concurrency=1, slow_seconds=0.3))
    results = await outcomes(played.ask(script(Step(0.25))) for _ in range(3))
    assert results == ["answer"] * 3
    assert [attempt.seconds for attempt in played.attempts] == [0.25] * 3
    assert repr(played.circuit) == "<Circuit closed 0/3>"


async def test_a_circuit_that_the_first_try_has_opened_leaves_the_first_error() -> None:
    played = play(Knobs(min_attempts=1))
    with pytest.raises(Unavailable):
        await played.ask(script(fails(Unavailable("down"))))
    assert played.circuit.state == "open"
    assert len(played.attempts) == 1


async def test_a_hanging_source_opens_its_circuit_and_is_left_alone() -> None:
    played, upstream = play(Knobs(attempts=1)), script(HANGS)
    await outcomes(played.ask(upstream) for _ in range(20))
    assert played.circuit.state == "open"
    with pytest.raises(CircuitOpen):
        await played.ask(upstream)
    assert len(upstream.calls) == 20


async def test_a_source_whose_attempt_time_is_the_deadline_opens_its_circuit_by_a_clock_that_moves() -> None:
    played = play(Knobs(attempts=1, attempt_seconds=0.5), moving_clock())
    await outcomes(played.ask(script(HANGS), 0.5) for _ in range(20))
    assert played.circuit.state == "open"


async def test_a_source_that_recovers_is_found_out_by_probes() -> None:
    played = play(Knobs(attempts=1))
    await outcomes(played.ask(script(fails(Garbled("x")))) for _ in range(20))
    await asyncio.sleep(5.0)
    results = await outcomes(played.ask(script(Step(0.1))) for _ in range(5))
    assert [type(result) for result in results] == [str, str, str, CircuitOpen, CircuitOpen]
    assert played.circuit.state == "closed"
