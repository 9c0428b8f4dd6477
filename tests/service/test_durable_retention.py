"""What has ended leaves the tables: not too early, not by halves, and not all at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TypeVar, cast

import pytest

from bff.durable import batches, changes, claims, reservations
from bff.durable.claims import Worker
from bff.durable.database import Away, Database
from bff.durable.driver import Tx
from bff.durable.keys import KEPT_SECONDS, Key
from bff.durable.reservations import Reserved, Wish
from bff.durable.retention import TOGETHER, Retention
from bff.durable.steps import Steps
from tests.service.durabledb import Place, named
from tests.service.test_durable_claims import order

T = TypeVar("T")
WORKER = Worker("one", "1")
DAY = KEPT_SECONDS
TABLES = ("bff_changes", "bff_parts", "bff_events", "bff_keys", "bff_reservations", "bff_batches")


@dataclass
class Direct:
    """A database that is asked directly, at a time that the test sets. away: whether it is."""

    place: Place
    time: float = 0.0
    away: bool = False

    def now(self) -> float:
        return self.time

    async def write(self, what: Callable[[Tx], T]) -> T:
        if self.away:
            raise Away
        return self.place.do(what)

    read = write


@dataclass
class Kept:
    """The tables, and what sweeps them. forgotten: what the engine was told to forget, in order."""

    place: Place
    seconds: float
    database: Direct = field(init=False)
    forgotten: list[tuple[str, int]] = field(default_factory=list)
    broken: bool = False

    def __post_init__(self) -> None:
        self.database = Direct(self.place)
        named(self.place, WORKER)

    async def sweep(self, now: float) -> int:
        self.database.time = now
        return await Retention(cast(Database, self.database), self.seconds, self._forget).sweep()

    async def _forget(self, which: Sequence[tuple[str, int]]) -> None:
        if self.broken:
            raise ConnectionError
        self.forgotten += which

    def change(self, name: str, at: float, *, ended: float | None = None) -> None:
        """Have a change accepted, and ended."""
        accept_at = partial(changes.accept, order=order(name, name), now=at)
        self.place.do(accept_at)
        if ended is not None:
            self.place.do(partial(changes.cancel, change_id=name, cause="asked for", now=ended))

    def reservation(self, name: str, at: float, *, ended: float | None = None) -> None:
        """Have a reservation accepted, and given back."""
        wish = Wish(name, "7", 1, Key("caller", name, "print"))
        self.place.do(partial(reservations.accept, wishes=[wish], most=10**6, now=at))
        if ended is not None:
            release = partial(reservations.release, caller="caller", reservation_id=name, now=ended)
            self.place.do(release)
            self.place.do(partial(batches.returned, ids=[name], now=ended))

    def left(self) -> set[str]:
        """Return what is left, which is whole or not there at all."""
        found = {name for (name,) in self.place.rows("select id from bff_changes")}
        parts = {name for (name,) in self.place.rows("select distinct change_id from bff_parts")}
        assert parts == found
        found |= {name for (name,) in self.place.rows("select id from bff_reservations")}
        assert found == {name for (name,) in self.place.rows("select distinct subject from bff_events")}
        keys = {name for (name,) in self.place.rows("select subject from bff_keys")}
        assert keys <= found
        return found


@pytest.mark.parametrize("kind", [Kept.change, Kept.reservation])
async def test_nothing_goes_before_its_key_nor_before_its_own_time(place: Place, kind: Callable[..., None]) -> None:
    for seconds, goes in ((0.0, DAY), (10.0, DAY), (2 * DAY, 2 * DAY)):
        kept = Kept(place, seconds)
        kind(kept, "it", 0.0, ended=1.0)
        await kept.sweep(goes - 1.0)
        assert kept.left() == {"it"}
        await kept.sweep(goes + 2.0)
        assert kept.left() == set()


@pytest.mark.parametrize("kind", [Kept.change, Kept.reservation])
async def test_what_has_not_ended_stays_and_so_does_its_key(place: Place, kind: Callable[..., None]) -> None:
    kept = Kept(place, 0.0)
    kind(kept, "it", 0.0)
    assert await kept.sweep(1000 * DAY) == 0
    assert kept.left() == {"it"}
    assert place.rows("select subject from bff_keys") == [("it",)]


async def test_what_ended_late_stays_for_its_time_after_that(place: Place) -> None:
    kept = Kept(place, 100.0)
    kept.change("late", 0.0, ended=5 * DAY)
    kept.reservation("late too", 0.0, ended=5 * DAY)
    await kept.sweep(5 * DAY + 99.0)
    assert kept.left() == {"late", "late too"}
    await kept.sweep(5 * DAY + 101.0)
    assert kept.left() == set()


async def test_what_is_on_its_way_back_stays(place: Place) -> None:
    kept = Kept(place, 0.0)
    kept.reservation("sold", 0.0)
    place.do(lambda tx: tx.run("update bff_reservations set state = 'confirmed', ended_at = 1, wanted = 'release'"))
    await kept.sweep(10 * DAY)
    assert kept.left() == {"sold"}


async def test_it_goes_in_batches_and_nothing_is_forgotten_by_halves(place: Place) -> None:
    kept = Kept(place, 0.0)
    many = TOGETHER + 20
    wishes = [Wish(f"{number}", "7", 1, Key("caller", f"{number}", "print")) for number in range(many)]
    place.do(partial(reservations.accept, wishes=wishes, most=10**6, now=0.0))
    place.do(lambda tx: tx.run("update bff_reservations set state = 'confirmed', ended_at = 1"))
    kept.change("change", 0.0, ended=1.0)
    kept.reservation("young", 2 * DAY)
    sizes = [len(kept.left())]
    while await kept.sweep(2 * DAY):
        sizes.append(len(kept.left()))
    assert sizes[0] == many + 2
    assert sizes[-1] == 1
    assert all(before - after <= TOGETHER + 1 for before, after in pairwise(sizes))
    assert kept.left() == {"young"}


async def test_the_engine_forgets_first_and_where_it_cannot_the_rows_stay(place: Place) -> None:
    kept = Kept(place, 0.0)
    place.do(partial(changes.accept, order=order("done"), now=0.0))
    (claimed,) = place.do(partial(claims.claim, worker=WORKER, room=1, now=0.0))
    place.do(partial(claims.take_over, worker=WORKER, dead=[WORKER.id], overdue=0.0, room=1, now=0.0))
    (again,) = place.do(partial(claims.mine, worker=WORKER))
    place.do(partial(changes.cancel, change_id="done", cause="asked for", now=0.0))
    place.do(partial(Steps(again, WORKER).end, now=0.0))
    kept.broken = True
    with pytest.raises(ConnectionError):
        await kept.sweep(2 * DAY)
    assert kept.left() == {"done"}
    kept.broken = False
    await kept.sweep(2 * DAY)
    assert (kept.forgotten, kept.left()) == ([("done", claimed.epoch + 1)], set())


async def test_a_key_is_kept_for_a_day_even_where_the_work_is_kept_for_longer_and_then_is_free(place: Place) -> None:
    kept = Kept(place, 30 * DAY)
    kept.reservation("first", 0.0, ended=1.0)
    kept.change("change", 0.0, ended=1.0)
    wish = Wish("second", "7", 1, Key("caller", "first", "print"))
    await kept.sweep(DAY - 1.0)
    (answer,) = place.do(partial(reservations.accept, wishes=[wish], most=10, now=DAY - 1.0))
    assert isinstance(answer, Reserved) and answer.replayed
    while await kept.sweep(DAY + 1.0):
        pass
    (answer,) = place.do(partial(reservations.accept, wishes=[wish], most=10, now=DAY + 1.0))
    assert isinstance(answer, Reserved) and not answer.replayed
    assert kept.left() == {"first", "change", "second"}


async def test_nothing_is_counted_twice_or_lost_where_the_database_goes(place: Place) -> None:
    kept = Kept(place, 0.0)
    kept.change("it", 0.0, ended=1.0)
    kept.database.away = True
    with pytest.raises(Away):
        await kept.sweep(2 * DAY)
    kept.database.away = False
    assert await kept.sweep(2 * DAY) >= 1
    assert [place.rows(f"select count(*) from {table}") for table in TABLES] == [[(0,)]] * len(TABLES)
