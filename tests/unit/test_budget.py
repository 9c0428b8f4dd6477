"""The retry budget: a share of questions and a small floor, over ten seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.resilience.budget import WINDOW_SECONDS, RetryBudget
from tests.unit.playing import Clockwork


def taken(budget: RetryBudget) -> int:
    """Take what there is."""
    count = 0
    while budget.take():
        count += 1
    return count


def test_the_floor_is_there_before_any_question() -> None:
    assert taken(RetryBudget(0.2, 10, Clockwork())) == 10


def test_a_spent_budget_gives_nothing_until_its_time_is_over() -> None:
    clock = Clockwork()
    budget = RetryBudget(0.0, 2, clock)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.now = WINDOW_SECONDS - 0.001
    assert not budget.take()
    clock.now = WINDOW_SECONDS + 2
    assert budget.take()


@pytest.mark.parametrize("began", [0.0, 0.5, 0.99])
def test_a_spent_floor_stays_spent_for_ten_seconds_whenever_it_was_spent(began: float) -> None:
    clock = Clockwork(began)
    budget = RetryBudget(0.0, 10, clock)
    taken(budget)
    clock.now = began + WINDOW_SECONDS - 0.01
    assert taken(budget) == 0


@pytest.mark.parametrize(("questions", "share"), [(4, 0), (5, 1), (10, 2), (14, 2), (15, 3), (1000, 200)])
def test_each_question_adds_its_share(questions: int, share: int) -> None:
    budget = RetryBudget(0.2, 0, Clockwork())
    for _ in range(questions):
        budget.ask()
    assert (budget.left, repr(budget)) == (share, f"<RetryBudget {share} left>")
    assert taken(budget) == share


def test_old_questions_allow_nothing() -> None:
    clock = Clockwork()
    budget = RetryBudget(1.0, 0, clock)
    budget.ask()
    clock.now = WINDOW_SECONDS + 2
    assert not budget.take()


def test_questions_that_were_forgotten_after_their_retries_leave_no_debt_below_zero() -> None:
    clock = Clockwork()
    budget = RetryBudget(1.0, 0, clock)
    for _ in range(4):
        budget.ask()
    clock.now = 5.0
    taken(budget)
    clock.now = 11.5
    assert (budget.left, budget.take()) == (0, False)


@given(st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]), st.integers(0, 5), st.lists(st.booleans(), max_size=200))
def test_there_are_never_more_retries_than_share_and_floor(ratio: float, floor: int, asks: list[bool]) -> None:
    budget = RetryBudget(ratio, floor, Clockwork())
    questions = retries = 0
    for ask in asks:
        if ask:
            budget.ask()
            questions += 1
        else:
            retries += budget.take()
        assert retries <= floor + ratio * questions + 1e-6
        assert budget.left == max(0, int(floor + ratio * questions + 1e-6) - retries)
