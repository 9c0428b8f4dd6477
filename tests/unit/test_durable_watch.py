"""Who is taken for dead, by whose clock, and what becomes of their work."""

from dataclasses import dataclass, field
from functools import partial
from typing import cast

import pytest

from bff.durable import claims
from bff.durable.claims import Claim, Worker
from bff.durable.database import Database
from bff.durable.reconciler import GONE_SECONDS, Reconciler, Watch
from tests.unit.durable_world import CHANGE, World, _Tables, drive, world

LOOK_SECONDS = 0.5
OVERDUE_SECONDS = 30.0


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def looks(watch: Watch, clock: Clock, seen: dict[str, tuple[str, int]], seconds: float) -> list[str]:
    """Look again and again at the same, for so long."""
    gone: list[str] = []
    for _ in range(int(seconds / LOOK_SECONDS)):
        clock.now += LOOK_SECONDS
        gone = watch.gone(seen)
    return gone


def test_whose_beats_go_on_lives_however_long() -> None:
    watch = Watch(clock := Clock())
    for beats in range(1000):
        clock.now += GONE_SECONDS / 2
        assert watch.gone({"one": ("boot", beats)}) == []


def test_whose_beats_stand_still_is_gone_and_no_sooner() -> None:
    watch = Watch(clock := Clock())
    assert watch.gone({"one": ("boot", 7)}) == []
    assert looks(watch, clock, {"one": ("boot", 7)}, GONE_SECONDS - 1) == []
    assert looks(watch, clock, {"one": ("boot", 7)}, 2) == ["one"]


def test_who_beats_again_or_comes_anew_lives() -> None:
    watch = Watch(clock := Clock())
    looks(watch, clock, {"one": ("boot", 7)}, GONE_SECONDS + 2)
    assert watch.gone({"one": ("boot", 8)}) == []
    looks(watch, clock, {"one": ("boot", 8)}, GONE_SECONDS - 1)
    assert looks(watch, clock, {"one": ("another boot", 8)}, 2) == []


def test_only_those_who_stand_still_are_gone() -> None:
    watch = Watch(clock := Clock())
    for beats in range(40):
        clock.now += LOOK_SECONDS
        gone = watch.gone({"still": ("boot", 1), "alive": ("boot", beats)})
    assert gone == ["still"]


def test_who_is_buried_is_forgotten() -> None:
    watch = Watch(clock := Clock())
    looks(watch, clock, {"one": ("boot", 7)}, GONE_SECONDS + 2)
    assert watch.gone({}) == []
    assert repr(watch) == "<Watch on 0>"
    assert watch.gone({"one": ("boot", 7)}) == []


@pytest.mark.parametrize("seconds", [GONE_SECONDS + 1, 3600.0, 10.0**9])
def test_nobody_is_gone_for_a_time_in_which_nobody_looked(seconds: float) -> None:
    """The process was halted, or the database was away: nobody's beats could be seen, or be written."""
    watch = Watch(clock := Clock())
    looks(watch, clock, {"one": ("boot", 7), "two": ("boot", 9)}, 2)
    clock.now += seconds
    assert watch.gone({"one": ("boot", 7), "two": ("boot", 9)}) == []
    clock.now += LOOK_SECONDS
    assert watch.gone({"one": ("boot", 8), "two": ("boot", 10)}) == []


@dataclass
class Counted:
    """What is counted."""

    found: list[tuple[str, int]] = field(default_factory=list)

    def change_ended(self, state: str) -> None:
        raise AssertionError

    def reconciled(self, kind: str, count: int) -> None:
        self.found.append((kind, count))


class Keeper:
    """A reconciler over tables in memory."""

    def __init__(self, played: World, worker: Worker) -> None:
        self.played = played
        self.clock = Clock()
        self.counted = Counted()
        database = cast(Database, _Tables(played))
        self._reconciler = Reconciler(database, worker, None, OVERDUE_SECONDS, self.clock, self.counted)

    def find(self, *beating: Worker, times: int = 1, take: bool = True) -> list[Claim]:
        """Look so many times, while some beat."""
        found: list[Claim] = []
        for _ in range(times):
            self.clock.now += LOOK_SECONDS
            for worker in beating:
                self.played.do(partial(claims.beat, worker=worker))
            found = drive(self._reconciler.find(take=take))
            if found:
                break
        return found


ONE, TWO = Worker("one", "1"), Worker("two", "1")
LONG = int(2 * GONE_SECONDS / LOOK_SECONDS)


def test_the_work_of_who_is_gone_is_taken_over_counted_and_the_gone_forgotten() -> None:
    with world() as played:
        played.claim(played.name(ONE))
        keeper = Keeper(played, played.name(TWO))
        assert keeper.find(ONE, TWO, times=LONG) == []
        assert keeper.find(TWO, times=LONG) == [Claim(CHANGE, 2, ("info", "price"))]
        assert keeper.counted.found == [("change", 1)]
        keeper.find(TWO)
        assert set(played.do(claims.seen)) == {"two"}


def test_a_worker_does_not_take_itself_for_dead() -> None:
    with world() as played:
        played.claim(played.name(ONE))
        assert Keeper(played, ONE).find(times=LONG) == []
        assert set(played.do(claims.seen)) == {"one"}


def test_who_cannot_do_anything_takes_nothing_over() -> None:
    with world() as played:
        played.claim(played.name(ONE))
        keeper = Keeper(played, played.name(TWO))
        assert keeper.find(TWO, times=LONG, take=False) == []
        assert len(keeper.find(TWO)) == 1


def test_what_a_living_worker_has_not_been_heard_of_for_too_long_is_taken_over() -> None:
    with world() as played:
        played.claim(played.name(ONE))
        keeper = Keeper(played, played.name(TWO))
        played.now += OVERDUE_SECONDS - 1
        assert keeper.find(ONE, TWO) == []
        played.now += 2
        looks = int(OVERDUE_SECONDS / LOOK_SECONDS) + 2  # after an outage nobody has been heard of
        assert keeper.find(ONE, TWO, times=looks) == [Claim(CHANGE, 2, ("info", "price"))]
