"""A sliding window against the naive model: a list of everything, looked through each time."""

from hypothesis import given
from hypothesis import strategies as st

from bff.resilience.window import SlidingWindow
from tests.unit.playing import Clockwork

SECONDS = 10.0


def test_it_counts_what_was_added_and_what_of_it_was_marked() -> None:
    window = SlidingWindow(SECONDS, Clockwork())
    window.add(total=3)
    window.add(total=1, marked=1)
    assert repr(window) == "<SlidingWindow 1/4>"


def test_it_forgets_step_by_step_and_not_all_at_once() -> None:
    clock = Clockwork()
    window = SlidingWindow(SECONDS, clock)
    totals = []
    for clock.now in range(13):
        window.add(total=1)
        totals.append(window.total)
    assert totals == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10]


def test_after_a_long_silence_nothing_is_left() -> None:
    clock = Clockwork()
    window = SlidingWindow(SECONDS, clock)
    window.add(total=5, marked=2)
    clock.now = 1e6
    assert (window.total, window.marked) == (0, 0)


def test_a_clock_that_stands_still_or_goes_back_loses_nothing() -> None:
    clock = Clockwork(100.0)
    window = SlidingWindow(SECONDS, clock)
    window.add(total=1)
    clock.now = 50.0
    window.add(total=1, marked=1)
    assert (window.total, window.marked) == (2, 1)


def test_clear_forgets_everything() -> None:
    window = SlidingWindow(SECONDS, Clockwork())
    window.add(total=4, marked=4)
    window.clear()
    assert (window.total, window.marked) == (0, 0)


moves = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 3), st.integers(0, 3)), max_size=60)


@given(moves, st.sampled_from([0.5, 1.0, 10.0, 37.0]))
def test_it_agrees_with_a_list_of_everything(moves: list[tuple[int, int, int]], seconds: float) -> None:
    clock = Clockwork()
    window = SlidingWindow(seconds, clock)
    step = seconds / 10
    seen: list[tuple[int, int, int]] = []
    for advance, total, marked in moves:
        clock.now += advance / 1000 * seconds / 10
        window.add(total, marked)
        seen.append((int(clock.now / step), total, marked))
        recent = [(total, marked) for slot, total, marked in seen if slot > int(clock.now / step) - 10]
        assert window.total == sum(total for total, _ in recent)
        assert window.marked == sum(marked for _, marked in recent)


@given(moves)
def test_it_covers_between_nine_tenths_of_its_time_and_all_of_it(moves: list[tuple[int, int, int]]) -> None:
    clock = Clockwork()
    window = SlidingWindow(SECONDS, clock)
    seen: list[tuple[float, int]] = []
    for advance, total, _ in moves:
        clock.now += advance / 1000
        window.add(total)
        seen.append((clock.now, total))
        surely = sum(total for at, total in seen if clock.now - at <= 0.9 * SECONDS - 1e-6)
        at_most = sum(total for at, total in seen if clock.now - at <= SECONDS)
        assert surely <= window.total <= at_most
