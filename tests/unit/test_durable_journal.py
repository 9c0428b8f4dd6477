"""The journal: what a change or a reservation is by its events, after any of them."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.durable import journal
from bff.durable.journal import CHANGE_ENDS, RESERVATION_ENDS, Change, Event, Reservation, Step, Unfounded
from bff.durable.steps import verdict
from tests.unit.durable_owner import HELD_FAULTS, WRITE_FAULTS
from tests.unit.durable_tables import tables
from tests.unit.durable_world import CHANGE, lives, world
from tests.unit.test_durable_crashes import DEATHS, EVENTS, faults

SOURCES = ("info", "price", "stock")
INTRUSIONS = [f"intruded by {source}" for source in SOURCES]
ACTS = [*DEATHS, *EVENTS, *INTRUSIONS, "away", "away once committed", "unknown", *HELD_FAULTS, *WRITE_FAULTS, "slow"]
PLANS = st.dictionaries(st.integers(0, 60), st.sampled_from(ACTS), max_size=9)
STUBBORN = st.dictionaries(st.sampled_from(SOURCES), st.sampled_from(["422", "409", "answer lost"]), max_size=2)


@settings(max_examples=250, deadline=None)
@given(PLANS, STUBBORN)
def test_whatever_happens_and_however_often_it_is_all_parts_or_none_and_the_journal_says_so(
    plan: Mapping[int, str], stubborn: Mapping[str, str]
) -> None:
    with world(SOURCES, plan, stubborn) as played:
        ended = lives(played)
        for owner in played.owners.values():
            owner.advance(played.now + 1000.0)
        assert faults(played, ended) == []
        happened = journal.events(played.tables, CHANGE)
        for length in range(1, len(happened) + 1):
            change = journal.fold_change(CHANGE, happened[:length])
            assert (change.seq, change.updated_at) == (length, happened[length - 1].at)
            assert (change.state in CHANGE_ENDS) is (length == len(happened))
            assert verdict(change)[0] in CHANGE_ENDS
            assert sum(step.attempts for step in change.steps.values()) == sum(
                event.event == "step_started" for event in happened[:length]
            )
        assert journal.events(played.tables, CHANGE, after=3) == happened[3:]


def accepted(**facts: Any) -> Event:
    return Event(1, 1.0, "accepted", state="pending", facts={"sku_id": "7", "steps": ["info"], **facts})


def test_a_change_is_the_sum_of_its_events() -> None:
    happened = [
        accepted(),
        Event(2, 2.0, "started", state="running"),
        Event(3, 3.0, "step_started", "info", "running"),
        Event(4, 4.0, "step_started", "info", "running"),
        Event(5, 5.0, "step_failed", "info", "failed", "why"),
        Event(6, 6.0, "cancel_requested", cause="asked for"),
        Event(7, 7.0, "step_compensated", "info", "compensated", "why"),
        Event(8, 8.0, "ended", state="compensated", cause="info: why"),
    ]
    step = Step("info", "compensated", 2, 3.0, 7.0, "why", failed=True)
    assert journal.fold_change("a", happened) == Change(
        "a", "7", 1.0, {"info": step}, "compensated", 8.0, "info: why", cancelled=True, seq=8
    )
    running = journal.fold_change("a", happened[:3]).steps["info"]
    assert running == Step("info", "running", 1, 3.0)


@pytest.mark.parametrize("why", ["undo", "stop", None])
def test_a_step_that_failed_by_itself_is_told_from_one_that_was_stopped_or_not_undone(why: str | None) -> None:
    facts = None if why is None else {"in": why}
    change = journal.fold_change("a", [accepted(), Event(2, 2.0, "step_failed", "info", "failed", "why", facts)])
    assert (change.steps["info"].failed, change.steps["info"].undo_failed) == (why is None, why == "undo")


DONE, PENDING = Step("a", "done"), Step("a")
FAILED, STOPPED = Step("a", "failed", error="why", failed=True), Step("a", "failed", error="cancelled")
UNDONE = Step("a", "compensated", error="why", failed=True)
KEPT = Step("a", "failed", error="not undone: why", failed=True, undo_failed=True)
VERDICTS: dict[str, tuple[list[Step], bool, str]] = {
    "all is done": ([DONE, DONE], False, "succeeded"),
    "one failed, and nothing was written": ([FAILED, PENDING], False, "failed"),
    "one failed, and what was written is undone": ([Step("a", "compensated"), FAILED], False, "compensated"),
    "one failed, and what was written is another's now": ([Step("a", "superseded"), FAILED], False, "compensated"),
    "one failed, and was undone itself": ([UNDONE, PENDING], False, "compensated"),
    "one could not be undone": ([KEPT, Step("a", "compensated")], False, "failed"),
    "one could not be undone, of what was cancelled": ([KEPT, STOPPED], True, "failed"),
    "it was cancelled before anything": ([PENDING, PENDING], True, "cancelled"),
    "it was cancelled and is undone": ([Step("a", "compensated"), STOPPED], True, "cancelled"),
    "it ran out of time": ([Step("a", "compensated"), STOPPED], False, "timed_out"),
    "one failed, and it was cancelled": ([Step("a", "compensated"), FAILED], True, "compensated"),
}


@pytest.mark.parametrize(("steps", "cancelled", "state"), VERDICTS.values(), ids=VERDICTS)
def test_how_a_change_ends_is_how_its_steps_did(steps: list[Step], cancelled: bool, state: str) -> None:  # noqa: FBT001
    named = {f"{number}": replace(step, name=f"{number}") for number, step in enumerate(steps)}
    change = Change("a", "7", 1.0, named, cancelled=cancelled)
    assert verdict(change)[0] == state
    assert (verdict(change)[1] is None) is (state == "succeeded")


def test_a_reservation_is_the_sum_of_its_events() -> None:
    happened = [
        Event(1, 1.0, "accepted", state="queued", facts={"sku_id": "7", "quantity": 2}),
        Event(2, 2.0, "sent_again", cause="its worker is gone"),
        Event(3, 3.0, "ended", state="confirmed"),
        Event(4, 4.0, "release_requested", cause="asked for"),
        Event(5, 5.0, "ended", state="released"),
    ]
    states = [journal.fold_reservation("a", happened[:length]).state for length in range(1, 6)]
    assert states == ["queued", "queued", "confirmed", "confirmed", "released"]
    assert journal.fold_reservation("a", happened) == Reservation("a", "7", 2, 1.0, "released", None, 5.0)
    rejected = [happened[0], Event(2, 2.0, "ended", state="rejected", cause="insufficient")]
    assert journal.fold_reservation("a", rejected).reason == "insufficient"
    assert set(states) - {"queued"} <= set(RESERVATION_ENDS)


@pytest.mark.parametrize(
    "happened", [[], [Event(1, 1.0, "started", state="running")], [Event(1, 1.0, "accepted", state="pending")]]
)
def test_what_begins_with_no_acceptance_is_nothing(happened: list[Event]) -> None:
    for fold in (journal.fold_change, journal.fold_reservation):
        with pytest.raises(Unfounded):
            fold("a", happened)


def test_an_event_has_the_next_number_or_is_none() -> None:
    with_events = tables()
    journal.append(with_events, "a", [accepted(), Event(2, 2.0, "started", state="running")])
    with pytest.raises(sqlite3.IntegrityError):
        journal.append(with_events, "a", [Event(2, 3.0, "ended", state="failed")])
    journal.append(with_events, "b", [accepted(caller="someone")])
    found = journal.events_of(with_events, ["b", "nobody", "a"])
    assert [(subject, len(events)) for subject, events in found.items()] == [("b", 1), ("nobody", 0), ("a", 2)]
    assert found["b"][0].facts == {"sku_id": "7", "steps": ["info"], "caller": "someone"}
    assert journal.events_of(with_events, []) == {}
    with_events.close()
