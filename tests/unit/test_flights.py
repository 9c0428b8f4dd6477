"""One load for each key: whose it is, who joins it, and when it is abandoned."""

import pytest

from bff.cache.flights import Flight, Flights


class Reader:
    """Someone who waits, and what it was told."""

    def __init__(self) -> None:
        self.told: list[str | None] = []

    def landed(self, flight: Flight[str]) -> None:
        self.told.append(flight.outcome)


class Work:
    """What is being done for flights, and which of them it was told to stop."""

    def __init__(self, *, queued: bool = False) -> None:
        self.queued = queued
        self.abandoned: list[Flight[str]] = []

    def abandon(self, flight: Flight[str]) -> None:
        self.abandoned.append(flight)


def boarded(flights: Flights[str], *readers: Reader, key: str = "a") -> tuple[Flight[str], Work]:
    flight, is_new = flights.board(key)
    assert is_new
    flight.work = work = Work()
    for reader in readers:
        flight.join(reader)
    return flight, work


def test_those_who_need_the_same_share_one_load_and_are_each_told_once() -> None:
    flights: Flights[str] = Flights()
    readers = [Reader() for _ in range(5)]
    flight, _ = boarded(flights, *readers)
    assert flights.board("a") == (flight, False)
    assert flights.take(flight)
    flight.land("it")
    assert [reader.told for reader in readers] == [["it"]] * 5


def test_other_keys_are_other_loads() -> None:
    flights: Flights[str] = Flights()
    assert flights.board("a")[0] is not flights.board("b")[0]
    assert (repr(flights), len(flights)) == ("<Flights 2>", 2)


def test_after_a_load_has_ended_the_next_starts_anew_and_nothing_is_kept() -> None:
    flights: Flights[str] = Flights()
    flight, _ = boarded(flights)
    assert flights.take(flight)
    flight.land("it")
    assert (len(flights), flight.work) == (0, None)
    assert flights.board("a")[1]


def test_who_comes_after_an_invalidation_does_not_join_what_was_under_way() -> None:
    flights: Flights[str] = Flights()
    old, _ = boarded(flights)
    flights.revoke("a")
    flights.revoke("unheard of")
    new, _ = boarded(flights)
    assert new is not old
    assert not flights.take(old)
    assert flights.take(new)


def test_the_end_of_an_old_load_takes_nobody_out_of_a_newer_one() -> None:
    flights: Flights[str] = Flights()
    old, _ = boarded(flights)
    flights.revoke("a")
    new, _ = boarded(flights)
    flights.take(old)
    old.land("old")
    assert flights.board("a") == (new, False)


def test_a_flight_stands_once() -> None:
    flights: Flights[str] = Flights()
    flight, _ = boarded(flights)
    assert [flights.take(flight), flights.take(flight)] == [True, False]


def test_a_load_that_the_last_client_leaves_is_abandoned() -> None:
    flights: Flights[str] = Flights()
    first, second = Reader(), Reader()
    flight, work = boarded(flights, first, second)
    assert repr(flight) == "<Flight 2 waiting>"
    flight.disconnect(first)
    assert work.abandoned == []
    flight.disconnect(second)
    assert (work.abandoned, len(flights)) == ([flight], 0)


def test_nobody_joins_a_load_that_is_being_abandoned() -> None:
    flights: Flights[str] = Flights()
    reader = Reader()
    flight, _ = boarded(flights, reader)
    flight.disconnect(reader)
    assert boarded(flights)[0] is not flight


@pytest.mark.parametrize("order", ["leaves first", "leaves last"])
def test_a_reader_that_ran_out_of_time_keeps_it_going(order: str) -> None:
    late, gone = Reader(), Reader()
    flight, work = boarded(Flights(), late, gone)
    steps = [(flight.leave, late), (flight.disconnect, gone)]
    for step, reader in steps if order == "leaves first" else reversed(steps):
        step(reader)
    assert repr(flight) == "<Flight 0 waiting, kept>"
    assert work.abandoned == []


def test_what_the_service_wants_itself_goes_on_whoever_leaves() -> None:
    reader = Reader()
    flight, work = boarded(Flights(), reader)
    flight.keep()
    flight.disconnect(reader)
    assert work.abandoned == []


def test_who_has_left_is_told_nothing() -> None:
    late, gone, waits = Reader(), Reader(), Reader()
    flight, _ = boarded(Flights(), late, gone, waits)
    flight.leave(late)
    flight.disconnect(gone)
    flight.land("it")
    assert [late.told, gone.told, waits.told] == [[], [], ["it"]]


def test_a_flight_is_queued_while_its_work_is() -> None:
    flight, _ = Flights[str]().board("a")
    assert not flight.queued
    flight.work = Work(queued=True)
    assert flight.queued
    flight.land("it")
    assert not flight.queued
