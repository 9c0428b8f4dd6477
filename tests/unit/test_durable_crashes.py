"""A change to whose process, owners and database anything may happen at any point: all of its parts, or none.

Not a sample: every point that a run comes by, and there everything that can happen at it; then every pair of those,
the second at every later point of the run that the first one led to.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from bff.durable import journal
from bff.durable.journal import CHANGE_ENDS, Event
from bff.durable.steps import verdict
from tests.unit.durable_owner import HELD_FAULTS, WRITE_FAULTS, Owner
from tests.unit.durable_world import CHANGE, World, lives, world

Plan = Mapping[int, str]
DEATHS = ("crash", "crash, and started again")
EVENTS = ("cancelled", "late")


def acts(place: str, intruded: Sequence[str]) -> Iterator[str]:
    """Give everything that can happen at a point. intruded: the sources that others write to."""
    yield from DEATHS
    yield from EVENTS
    yield from (f"intruded by {source}" for source in intruded)
    if place == "transaction":
        yield from ("away", "away once committed")
    elif place.startswith("read"):
        yield from ("unknown", *HELD_FAULTS)
    elif place.startswith("write"):
        yield from WRITE_FAULTS


def faults(played: World, ended: str) -> list[str]:
    """Say what is wrong with how a change ended."""
    change, wrong = played.change(), []
    rows = played.tables.rows("select state, seq from bff_changes where id = ?", CHANGE)
    if ended not in CHANGE_ENDS or rows != [(ended, change.seq)] or change.state != ended:
        wrong.append(f"it ended as {ended}, its row says {rows}, its events {change.state}")
    if verdict(change)[0] != change.state:
        wrong.append(f"its steps say {verdict(change)}, and it {change.state}")
    wrong += _backwards(journal.events(played.tables, CHANGE))
    for source, owner in played.owners.items():
        wrong += [f"{source}: {fault}" for fault in _overwritten(owner)]
        step = change.steps[source]
        ours = owner.log[-1].is_ours
        if ended == "succeeded" and not any(entry.is_ours for entry in owner.log):
            wrong.append(f"{source} was not written, and the change succeeded")
        if ended == "succeeded" and any(entry.is_undo for entry in owner.log):
            wrong.append(f"{source} was undone, and the change succeeded")
        if ended != "succeeded" and ours and not step.undo_failed and source not in played.denied:
            wrong.append(f"{source} is left written, and the change {ended}")
        if step.state == "superseded" and ours and source not in played.denied:
            wrong.append(f"{source} is superseded by nobody")
    if played.cancelled_at is not None:
        wrong += _went_on(played.cancelled_at, journal.events(played.tables, CHANGE))
    return wrong


def _overwritten(owner: Owner) -> Iterator[str]:
    """Say what should not have been written."""
    for kind in ("is_ours", "is_undo"):
        if (times := sum(getattr(entry, kind) for entry in owner.log)) > 1:
            yield f"{times} times {kind}"
    for before, entry in zip(owner.log, owner.log[1:], strict=False):
        if entry.is_undo and not before.is_ours:
            yield "undone what was not ours"
    undos = [entry for entry in owner.log if entry.is_undo]
    for undo in undos:
        written = next(index for index, entry in enumerate(owner.log) if entry.is_ours)
        if undo.value != owner.log[written - 1].value:
            yield "undone to something that was not there before"


def _backwards(happened: Sequence[Event]) -> Iterator[str]:
    """Say where a state went back, in any prefix of what happened."""
    if [event.seq for event in happened] != list(range(1, len(happened) + 1)):
        yield "events are missing, or twice"
    ranks = {"pending": 0, "running": 1, "done": 2, "failed": 2, "compensated": 3, "superseded": 3}
    before: dict[str, int] = {}
    state = 0
    for length in range(1, len(happened) + 1):
        change = journal.fold_change(CHANGE, happened[:length])
        rank = {"pending": 0, "running": 1}.get(change.state, 2)
        if rank < state or (state == 2 and length > 1):
            yield f"{change.state} after {state}"
        state = rank
        for step in change.steps.values():
            if ranks[step.state] < before.get(step.name, 0):
                yield f"{step.name} went back to {step.state}"
            before[step.name] = ranks[step.state]


def _went_on(cancelled_at: int, happened: Sequence[Event]) -> Iterator[str]:
    """Say what went on after a cancel that was acknowledged."""
    for event in happened[cancelled_at:]:
        if event.event == "step_started":
            yield f"{event.step} began after the cancel"
        if event.state == "succeeded":
            yield "it succeeded after the cancel"


@dataclass
class Tried:
    """What came of many plans. intruded: the sources that others write to; few: second things, all where empty."""

    stubborn: Mapping[str, str]
    sources: Sequence[str]
    tags: bool = True
    remembers: bool = True
    shouts: bool = False
    intruded: Sequence[str] = ()
    few: Sequence[str] = ()
    plans: int = 0
    ends: set[str] = field(default_factory=set)
    wrong: dict[str, tuple[Plan, list[str]]] = field(default_factory=dict)

    def run(self, plan: Plan) -> list[str]:
        """Run one, and return the points that it came by."""
        with self.world(plan) as played:
            ended = lives(played)
            self.plans += 1
            self.ends.add(ended)
            for fault in faults(played, ended):
                self.wrong.setdefault(fault, (plan, [str(event) for event in journal.events(played.tables, CHANGE)]))
            return played.trace

    def world(self, plan: Plan) -> World:
        """Make a world for a plan."""
        return world(self.sources, plan, self.stubborn, tags=self.tags, remembers=self.remembers, shouts=self.shouts)

    def single(self) -> Iterator[tuple[Plan, list[str]]]:
        """Run one for everything that can happen at each point; give them, each with the points it came by."""
        for plan in self.after({}, self.run({})):
            yield plan, self.run(plan)

    def after(self, plan: Plan, trace: Sequence[str]) -> Iterator[Plan]:
        """Give the plans that have one thing more, at a later point."""
        first = max(plan, default=-1) + 1
        for number, place in enumerate(trace[first:], first):
            for act in acts(place, self.intruded):
                yield {**plan, number: act}

    def pairs(self) -> None:
        """Run them all, and all pairs."""
        for plan, trace in list(self.single()):
            for both in self.after(plan, trace):
                if not self.few or both[max(both)] in self.few:
                    self.run(both)


STUBBORN: Mapping[str, Mapping[str, str]] = {
    "nothing": {},
    "the last part is not taken": {"stock": "422"},
    "the last part is never answered": {"stock": "answer lost"},
    "the last part never comes through": {"stock": "request lost"},
    "the middle part is in conflict": {"price": "409"},
}


ALL = ("info", "price", "stock")


OWNERS = {
    "of owners with keys and tags": (True, True),
    "of owners without entity tags": (False, True),
    "of owners that forget keys": (True, False),
}


@pytest.mark.parametrize("owners", OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize("stubborn", STUBBORN.values(), ids=STUBBORN)
def test_whatever_happens_once_at_any_point_it_is_all_parts_or_none(
    stubborn: Mapping[str, str], owners: tuple[bool, bool]
) -> None:
    tags, remembers = owners
    sources = ALL if tags and remembers else ALL[1:]
    tried = Tried(stubborn, sources, tags, remembers, intruded=sources if tags else ())
    for _ in tried.single():
        pass
    assert tried.wrong == {}
    assert tried.plans > 50


@pytest.mark.parametrize("stubborn", STUBBORN.values(), ids=STUBBORN)
def test_owners_that_forget_keys_and_store_in_words_of_their_own_take_a_part_twice_at_worst(
    stubborn: Mapping[str, str],
) -> None:
    tried = Tried(stubborn, ALL, remembers=False, shouts=True, intruded=ALL)
    for _ in tried.single():
        pass
    assert tried.wrong.keys() <= {f"{source}: 2 times is_ours" for source in ALL}


def test_whatever_happens_twice_at_any_two_points_it_is_all_parts_or_none() -> None:
    tried = Tried({}, ["info"], intruded=["info"])
    tried.pairs()
    assert tried.wrong == {}
    assert tried.ends == set(CHANGE_ENDS)


def test_a_crash_anywhere_after_whatever_happened_before_leaves_all_parts_or_none() -> None:
    tried = Tried({"price": "422"}, ["info", "price"], intruded=["info"], few=["crash"])
    tried.pairs()
    assert tried.wrong == {}


def test_control_an_owner_without_entity_tags_cannot_be_kept_from_losing_anothers_write() -> None:
    tried = Tried({"price": "422"}, ["info", "price"], tags=False, intruded=["info"])
    for _ in tried.single():
        pass
    assert "info: undone what was not ours" in tried.wrong
