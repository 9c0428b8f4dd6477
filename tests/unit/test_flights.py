"""One load for each key and nonce; whose it is, who joins it, and when it is cancelled."""

import asyncio
import contextvars
import itertools

import pytest

from bff.cache.fence import Fence, Nonce
from bff.cache.flights import Flight, Flights
from tests.unit.playing import turns

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("CALLER", default="nobody")


class Airport:
    """Flights that take a second each, and what became of them."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.fence = Fence(lambda _: next(numbers))
        self.flights: Flights[str] = Flights(self.fence)
        self.started: list[str] = []
        self.cancelled: list[str] = []

    def board(self, key: str, about: object = None) -> tuple[Flight[str], bool]:
        async def load(nonce: Nonce) -> str:
            name = f"{key}{len(self.started)}"
            self.started.append(name)
            try:
                await asyncio.sleep(1.0)
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            return name

        return self.flights.board(key, load, about)


async def test_those_who_need_the_same_share_one_load() -> None:
    airport = Airport()
    boarded = [airport.board("a") for _ in range(5)]
    assert [started for _, started in boarded] == [True, False, False, False, False]
    assert {await flight.task for flight, _ in boarded} == {"a0"}


async def test_other_keys_are_other_loads() -> None:
    airport = Airport()
    first, second = airport.board("a")[0], airport.board("b")[0]
    assert (await first.task, await second.task) == ("a0", "b1")


async def test_after_a_load_has_ended_the_next_starts_anew_and_nothing_is_kept() -> None:
    airport = Airport()
    await airport.board("a")[0].task
    await turns()
    assert (repr(airport.flights), len(airport.flights), repr(airport.fence)) == ("<Flights 0>", 0, "<Fence 0>")
    assert airport.board("a")[1]
    await airport.flights.aclose()


async def test_who_comes_after_an_invalidation_does_not_join_what_was_under_way() -> None:
    airport = Airport()
    old, _ = airport.board("a")
    airport.fence.revoke(["a"])
    new, started = airport.board("a")
    assert started
    assert airport.board("a")[0] is new
    assert (await old.task, await new.task) == ("a0", "a1")
    await turns()
    assert repr(airport.fence) == "<Fence 0>"


async def test_the_end_of_an_old_load_takes_nobody_out_of_a_newer_one() -> None:
    airport = Airport()
    old, _ = airport.board("a")
    await asyncio.sleep(0.5)
    airport.fence.revoke(["a"])
    new, _ = airport.board("a")
    await old.task
    await turns()
    assert airport.board("a") == (new, False)
    await new.task


async def test_a_load_knows_nothing_of_its_first_caller() -> None:
    CALLER.set("the first")
    airport = Airport()
    seen: list[str] = []

    async def load(nonce: Nonce) -> str:
        seen.append(CALLER.get())
        return ""

    await airport.flights.board("a", load, None)[0].task
    assert seen == ["nobody"]


async def test_a_load_that_the_last_client_leaves_is_cancelled() -> None:
    airport = Airport()
    flight, _ = airport.board("a")
    flight.join()
    flight.join()
    await turns()
    assert repr(flight) == "<Flight 2 waiting>"
    flight.disconnect()
    await turns()
    assert airport.cancelled == []
    flight.disconnect()
    await turns()
    assert (airport.cancelled, len(airport.flights), repr(airport.fence)) == (["a0"], 0, "<Fence 0>")


@pytest.mark.parametrize("order", ["leaves first", "leaves last"])
async def test_a_reader_that_ran_out_of_time_keeps_it_going(order: str) -> None:
    airport = Airport()
    flight, _ = airport.board("a")
    flight.join()
    flight.join()
    steps = [flight.leave, flight.disconnect]
    for step in steps if order == "leaves first" else reversed(steps):
        step()
    assert await flight.task == "a0"


async def test_what_the_service_wants_itself_goes_on_whoever_leaves() -> None:
    airport = Airport()
    flight, _ = airport.board("a")
    flight.join()
    flight.detach()
    assert repr(flight) == "<Flight 1 waiting, detached>"
    flight.disconnect()
    assert await flight.task == "a0"


async def test_nobody_joins_a_load_that_is_being_cancelled() -> None:
    airport = Airport()
    flight, _ = airport.board("a")
    flight.join()
    await turns()
    flight.disconnect()  # the task has not run since
    new, started = airport.board("a")
    assert started
    assert new is not flight
    assert await new.task == "a1"
    assert airport.cancelled == ["a0"]


async def test_a_load_cancelled_before_its_first_step_is_gone_too() -> None:
    airport = Airport()
    flight, _ = airport.board("a")
    flight.join()
    flight.disconnect()
    await turns()
    assert (airport.started, len(airport.flights), repr(airport.fence)) == ([], 0, "<Fence 0>")


async def test_a_client_that_leaves_after_the_end_cancels_nothing() -> None:
    airport = Airport()
    flight, _ = airport.board("a")
    flight.join()
    await flight.task
    flight.disconnect()
    assert flight.task.result() == "a0"


async def test_what_its_starter_wanted_at_hand_is_there_for_those_who_join() -> None:
    airport = Airport()
    airport.board("a", about="the first")
    assert airport.board("a", about="the second")[0].about == "the first"
    await airport.flights.aclose()


async def test_aclose_cancels_all_and_waits_for_their_end() -> None:
    airport = Airport()
    for key in "abc":
        airport.board(key)
    await turns()
    await airport.flights.aclose()
    await turns(1)
    assert (sorted(airport.cancelled), len(airport.flights)) == (["a0", "b1", "c2"], 0)
    await airport.flights.aclose()  # of nothing
