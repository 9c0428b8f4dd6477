"""Cancelled at whichever step of the loop: afterwards no slot, no probe, no place in a queue and no task is held."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bff.resilience.errors import CircuitOpen
from clients.errors import Throttled, Unavailable
from tests.unit.playing import HANGS, Knobs, Played, Script, Step, fails, opened, outcomes, play, script, start, turns
from tests.unit.shop import Shop
from tests.virtual import VirtualLoop


class Stepping(VirtualLoop):
    """Counts its turns, and cancels a victim after so many of them."""

    def __init__(self, after: int | None) -> None:
        super().__init__()
        self.victim: asyncio.Task[Any] | None = None
        self.turns = 0
        self._after = after

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc] # asyncio's own, which its types leave out
        if self.victim is not None and not self.victim.done():
            self.turns += 1
            if self.turns == self._after:
                self.victim.cancel()


Scenario = Callable[[Stepping], Coroutine[Any, Any, None]]


def cancelled_at_every_step(scenario: Scenario) -> int:
    """Run it once whole, then cancelled after 1, 2, 3... turns; return how many turns the whole takes."""

    def run(after: int | None) -> int:
        loop = Stepping(after)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(scenario(loop))
        return loop.turns

    whole = run(None)
    for after in range(1, whole + 1):
        run(after)
    return whole


async def nothing_is_held(played: Played, concurrency: int) -> None:
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (played.bulkhead.in_flight, played.bulkhead.waiting) == (0, 0)
    upstreams = [script(Step(0.1)) for _ in range(concurrency)]
    await asyncio.gather(*(played.ask(upstream) for upstream in upstreams))
    assert len({upstream.calls[0] for upstream in upstreams}) == 1, "a slot is lost"


SCRIPTS: dict[str, list[Step]] = {
    "answers": [Step(0.1)],
    "answers at once": [Step()],
    "fails, then answers": [fails(Unavailable("down"), 0.1), Step(0.1)],
    "fails at once, then again": [fails(Unavailable("down")), fails(Unavailable("down"))],
    "asks to be left alone": [fails(Throttled("429", retry_after=0.3)), Step(0.1)],
    "hangs": [HANGS],
}


@pytest.mark.parametrize("steps", SCRIPTS.values(), ids=SCRIPTS)
def test_a_cancelled_call_holds_nothing(steps: list[Step]) -> None:
    async def scenario(loop: Stepping) -> None:
        played, upstream = play(Knobs(pause=lambda low, high: high)), Script(list(steps))
        loop.victim = start(played.ask(upstream))
        await outcomes([loop.victim])
        assert upstream.ended == len(upstream.calls)
        await nothing_is_held(played, 64)

    cancelled_at_every_step(scenario)


@pytest.mark.parametrize("steps", SCRIPTS.values(), ids=SCRIPTS)
def test_a_cancelled_call_in_a_queue_leaves_it_to_those_behind(steps: list[Step]) -> None:
    async def scenario(loop: Stepping) -> None:
        played, upstream, last = play(Knobs(concurrency=1)), Script(list(steps)), script(Step(0.05))
        holder = start(played.ask(script(Step(0.3))))
        loop.victim = start(played.ask(upstream))
        behind = start(played.ask(last, seconds=2.0))
        await outcomes([holder, loop.victim, behind])
        assert (holder.result(), behind.result()) == ("answer", "answer")
        await nothing_is_held(played, 1)

    cancelled_at_every_step(scenario)


@pytest.mark.parametrize("steps", SCRIPTS.values(), ids=SCRIPTS)
def test_a_cancelled_probe_gives_its_permit_back(steps: list[Step]) -> None:
    async def scenario(loop: Stepping) -> None:
        played = play(Knobs(min_attempts=1, probes=2, open_seconds=5.0, attempts=1))
        opened(played.circuit, 1)
        await asyncio.sleep(5.0)
        loop.victim = start(played.ask(Script(list(steps))))
        await outcomes([loop.victim])
        if loop.victim.cancelled():
            assert [played.circuit.acquire() for _ in range(2)] == [2, 2], "a permit is lost"
            with pytest.raises(CircuitOpen):
                played.circuit.acquire()

    cancelled_at_every_step(scenario)


@pytest.mark.parametrize("steps", SCRIPTS.values(), ids=SCRIPTS)
def test_a_page_whose_client_leaves_holds_nothing(steps: list[Step]) -> None:
    async def scenario(loop: Stepping) -> None:
        shop = Shop(info=Script(list(steps)), price=script(Step(0.2)), stock=script(Step(), HANGS))
        loop.victim = start(shop.page())
        await outcomes([loop.victim])
        if shop.made:  # it was answered, whether anybody was left to take it or not
            await asyncio.sleep(1.0)  # by then the calls that it left behind have ended by their own time
        await turns()
        assert shop.at_rest, shop.cache
        assert asyncio.all_tasks() == {asyncio.current_task()}

    assert cancelled_at_every_step(scenario) >= 2


def test_a_page_that_leaves_others_waiting_takes_nothing_from_them() -> None:
    async def scenario(loop: Stepping) -> None:
        shop = Shop(info=script(Step(0.3)), price=script(Step(0.2)), stock=script(Step(0.1)))
        loop.victim = start(shop.page())
        other = start(shop.page())
        await outcomes([loop.victim, other])
        assert all(part.state == "ok" for part in other.result().parts.values())
        assert all(calls == [0.0] for calls in shop.calls.values())
        assert shop.at_rest

    assert cancelled_at_every_step(scenario) > 4
