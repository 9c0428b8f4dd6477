"""What a pod remembers of the registry of pods, and the breaker round Redis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.cache.redis.breaker import MAX_LATE, WELL, Breaker
from bff.cache.redis.registry import KNOWN_SECONDS, Registry

SINCE = [b"since", b"1000"]
OLD, NEW = ("server", 1000), ("server", 2000)


def registry(**leases: str) -> list[bytes]:
    return SINCE + [text.encode() for pair in leases.items() for text in pair]


def test_the_others_are_counted_and_nobody_is_seeded_while_the_registry_is_the_same() -> None:
    known = Registry("own")
    known.read(OLD, registry(own="2000:800", a="2000:800", b="1500:800"), 1500, 10.0)
    assert len(known) == 2
    known.read(OLD, registry(own="2500:800"), 2000, 10.5)
    assert (len(known), known.seeds(10.5)) == (0, [])


@pytest.mark.parametrize("new", [NEW, ("another server", 1000)])
def test_a_new_registry_is_told_who_was_in_the_lost_one_and_for_how_long_it_has_been_over(
    new: tuple[str, int],
) -> None:
    known = Registry("own")
    known.read(OLD, registry(own="2000:800", a="2500:800", b="500:700"), 1500, 10.0)
    known.read(new, registry(own="900:800"), 900, 12.0)
    assert known.seeds(12.0) == ["a", 1000, 800, "b", 3000, 700]
    assert repr(known) == "<Registry 0 others, 2 of a lost one>"


def test_it_is_told_once() -> None:
    known = Registry("own")
    known.read(OLD, registry(a="2500:800"), 1500, 10.0)
    known.read(NEW, registry(), 2000, 12.0)
    assert known.seeds(12.0)
    known.read(NEW, registry(a="1000:800"), 2100, 12.1)
    assert known.seeds(12.1) == []


def test_who_was_seeded_is_known_if_that_one_is_lost_too() -> None:
    known = Registry("own")
    known.read(OLD, registry(a="2500:800"), 1500, 10.0)
    known.read(NEW, registry(), 2000, 12.0)
    known.read(("server", 3000), registry(b="3500:100"), 3000, 12.5)
    assert known.seeds(12.5)[::3] == ["a"]


def test_who_has_been_silent_for_a_minute_is_not_told() -> None:
    known = Registry("own")
    known.read(OLD, registry(a="1500:800"), 1500, 10.0)
    known.read(NEW, registry(), 2000, 12.0)
    assert known.seeds(10.0 + KNOWN_SECONDS - 0.1) != []
    assert known.seeds(10.0 + KNOWN_SECONDS) == []


@pytest.mark.parametrize("field", [b"garbage", b"a:b", b"1:", b":", b"\xff", b""])
def test_what_is_no_lease_is_passed_over(field: bytes) -> None:
    known = Registry("own")
    known.read(OLD, [*registry(a="2500:800"), b"stranger", field], 1500, 10.0)
    assert len(known) == 1


def closed() -> Breaker:
    breaker = Breaker()
    breaker.connected()
    breaker.ticked()
    assert breaker.closed
    return breaker


def test_it_is_open_until_a_connection_was_made_and_a_tick_answered() -> None:
    breaker = Breaker()
    assert not breaker.closed
    breaker.ticked()
    assert not breaker.closed
    breaker.connected()
    assert not breaker.closed
    breaker.ticked()
    assert breaker.closed


def test_so_many_late_answers_in_a_row_open_it() -> None:
    breaker = closed()
    for _ in range(2):
        for _ in range(MAX_LATE - 1):
            breaker.late()
        assert breaker.closed
        breaker.in_time()
    for _ in range(MAX_LATE):
        breaker.late()
    assert not breaker.closed
    assert repr(breaker) == f"<Breaker open, {MAX_LATE} late>"


def test_pages_never_close_it_and_ticks_do() -> None:
    breaker = closed()
    for _ in range(MAX_LATE):
        breaker.late()
    for _ in range(10):
        breaker.in_time()
    assert not breaker.closed
    for _ in range(WELL):
        assert not breaker.closed
        breaker.ticked()
    assert breaker.closed


def test_a_tick_that_is_late_begins_the_count_anew() -> None:
    breaker = closed()
    breaker.lost()
    breaker.connected()
    breaker.late()
    breaker.ticked()
    assert not breaker.closed
    breaker.ticked()
    assert breaker.closed


@given(st.lists(st.sampled_from(["connected", "lost", "in_time", "late", "ticked"])))
def test_it_is_closed_only_after_a_tick_and_never_without_a_connection(events: list[str]) -> None:
    breaker = Breaker()
    for event in events:
        before = breaker.closed
        getattr(breaker, event)()
        if breaker.closed and not before:
            assert event == "ticked"
        if event == "lost":
            assert not breaker.closed
