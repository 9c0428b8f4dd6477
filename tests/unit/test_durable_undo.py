"""Owners that make it hard to tell what they hold, or to give it back: what a change makes of that."""

import pytest

from tests.unit.durable_world import UNDO_SECONDS, World, lives, world
from tests.unit.test_durable_crashes import faults

NOT_TAKEN = {"price": "422"}


def writes(stubborn: dict[str, str], source: str) -> list[int]:
    """Return the points at which a source is written to, where nothing else happens."""
    with world(stubborn=stubborn) as played:
        lives(played)
        return [number for number, place in enumerate(played.trace) if place == f"write {source}"]


def held(played: World, source: str) -> str:
    return played.owners[source].value.decode().split('"')[-2]


def test_the_way_back_writes_what_was_there_before() -> None:
    with world(stubborn=NOT_TAKEN) as played:
        assert lives(played) == "compensated"
        assert [held(played, source) for source in played.owners] == ["before", "before"]


@pytest.mark.parametrize("refusal", ["refused", "409", "5xx", "unreachable", "request lost", "answer lost"])
def test_an_owner_that_takes_nothing_back_just_now_is_asked_again_for_as_long_as_there_is_patience(
    refusal: str,
) -> None:
    (_, back) = writes(NOT_TAKEN, "info")
    with world(plan={back: refusal}, stubborn=NOT_TAKEN) as played:
        assert lives(played) == "compensated"
        assert held(played, "info") == "before"
        assert faults(played, "compensated") == []


@pytest.mark.parametrize("refusal", ["5xx", "unreachable", "request lost"])
def test_an_undo_that_never_comes_through_is_given_up_and_said(refusal: str) -> None:
    with world(stubborn={**NOT_TAKEN, "undo info": refusal}) as played:
        begun = played.now
        assert lives(played) == "failed"
        change = played.change()
        assert (change.steps["info"].state, held(played, "info")) == ("failed", "ours")
        assert (change.error or "").startswith("info: not undone: ")
        assert played.now - begun > UNDO_SECONDS


@pytest.mark.parametrize("source", ["info", "price"])
def test_an_owner_that_is_still_at_a_write_and_says_so_with_409_has_not_declined_it(source: str) -> None:
    (point,) = writes({}, source)
    with world(plan={point: "slow"}) as played:
        ended = lives(played)
        for owner in played.owners.values():
            owner.advance(played.now + 1000.0)
        assert faults(played, ended) == []


@pytest.mark.parametrize("source", ["info", "price"])
def test_a_cancel_while_an_owner_is_at_a_write_leaves_nothing_of_it(source: str) -> None:
    (point,) = writes({}, source)
    with world(plan={point: "slow", point + 1: "cancelled"}) as played:
        ended = lives(played)
        for owner in played.owners.values():
            owner.advance(played.now + 1000.0)
        assert faults(played, ended) == []


def test_what_an_owner_stored_in_its_own_words_and_answered_by_a_failure_is_not_taken_for_what_was_there() -> None:
    (point, _) = writes(NOT_TAKEN, "info")
    with world(plan={point: "5xx, and stored"}, stubborn=NOT_TAKEN, remembers=False, shouts=True) as played:
        assert lives(played) == "failed"
        assert held(played, "info") == "OURS"
        assert played.change().error == "info: not undone: what was there before is not known"


def test_a_value_that_somebody_else_wrote_meanwhile_stays() -> None:
    (first, back) = writes(NOT_TAKEN, "info")
    for point in range(first + 1, back + 1):
        with world(plan={point: "intruded by info"}, stubborn=NOT_TAKEN) as played:
            assert lives(played) == "compensated"
            assert held(played, "info").startswith("somebody else's")
            assert played.change().steps["info"].state == "superseded"


def test_a_409_is_believed_by_when_it_was_asked_for_and_not_by_when_it_is_looked_at() -> None:
    (point,) = writes({}, "info")
    for halted in range(point + 1, point + 12):
        with world(plan={point: "slow", halted: "late"}) as played:
            ended = lives(played)
            for owner in played.owners.values():
                owner.advance(played.now + 1000.0)
            assert faults(played, ended) == [], halted
