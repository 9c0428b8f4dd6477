"""Processes that are taken for dead and are not: whatever they still do, the change is done once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from bff.durable import claims
from bff.durable.claims import Worker
from bff.durable.journal import CHANGE_ENDS
from bff.durable.steps import Usurped
from tests.unit.durable_world import World, world
from tests.unit.test_durable_crashes import faults

ONE = Worker("one", "1")
NAMES = {"another worker takes it over": Worker("two", "1"), "its name is taken by a new process": Worker("one", "2")}
STUBBORN = {"all is taken": {}, "the last part is not": {"price": "422"}}


@dataclass
class Process:
    """One that is stopped at will. end: of its work; None while it goes on; "usurped" where its name was taken."""

    work: Any
    end: str | None = None

    def go(self) -> None:
        """Go on until it is stopped again, or has ended."""
        try:
            self.work.send(None)
        except StopIteration as done:
            self.end = done.value
        except Usurped:
            self.end = "usurped"


def begin(played: World) -> Process:
    worker = played.name(ONE)
    return Process(played.life(worker, played.claim(worker)))


def succeed(played: World, worker: Worker) -> Process | None:
    """Begin what another process had begun; None where nothing is left."""
    played.name(worker)
    if worker.id != ONE.id:
        claim = played.hand_over(worker, ONE)
    else:
        claim = next(iter(played.do(partial(claims.mine, worker=worker))), None)
    return None if claim is None else Process(played.life(worker, claim))


def check(played: World, *ended: str | None) -> None:
    state = played.change().state
    assert faults(played, state) == []
    assert set(ended) <= {state, "fenced", "usurped"}, "nobody says anything else"
    assert state in ended


@pytest.mark.parametrize("worker", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("stubborn", STUBBORN.values(), ids=STUBBORN)
@pytest.mark.parametrize("meanwhile", ["nothing", "it is cancelled"])
def test_who_goes_on_after_another_has_brought_it_to_its_end_changes_nothing(
    worker: Worker, stubborn: dict[str, str], meanwhile: str
) -> None:
    points = _points(stubborn)
    for point in range(points):
        with world(plan={point: "paused"}, stubborn=stubborn) as played:
            late = begin(played)
            late.go()
            if meanwhile == "it is cancelled":
                played.cancel()
            new = succeed(played, worker)
            assert new is not None
            new.go()
            assert new.end in CHANGE_ENDS
            values = [owner.log[:] for owner in played.owners.values()]
            late.go()
            check(played, new.end, late.end)
            assert [owner.log for owner in played.owners.values()] == values


@pytest.mark.parametrize("worker", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("stubborn", STUBBORN.values(), ids=STUBBORN)
def test_who_goes_on_while_another_is_at_it_is_in_nobodys_way(worker: Worker, stubborn: dict[str, str]) -> None:
    points = _points(stubborn)
    for first in range(points):
        for second in range(first + 1, first + 1 + points):
            with world(plan={first: "paused", second: "paused"}, stubborn=stubborn) as played:
                late = begin(played)
                late.go()
                new = succeed(played, worker)
                assert new is not None
                new.go()
                for process in (late, new, late):
                    if process.end is None:
                        process.go()
                check(played, new.end, late.end)


@pytest.mark.parametrize("worker", NAMES.values(), ids=NAMES)
def test_nobody_begins_a_step_once_another_has_claimed_the_change(worker: Worker) -> None:
    for point in range(_points({})):
        with world(plan={point: "paused"}) as played:
            late = begin(played)
            late.go()
            before = _events(played)
            new = succeed(played, worker)
            assert new is not None
            new.work.close()
            claimed = _events(played)
            late.go()
            assert late.end in ("fenced", "usurped")
            assert _events(played) == claimed
            assert claimed[: len(before)] == before


def _points(stubborn: dict[str, str]) -> int:
    with world(stubborn=stubborn) as played:
        process = begin(played)
        process.go()
        return len(played.trace)


def _events(played: World) -> Sequence[Any]:
    return played.tables.rows("select * from bff_events order by seq")
