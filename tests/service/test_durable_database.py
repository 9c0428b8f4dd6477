"""A database of each kind, as durable work asks it: what is returned is on disk, and what goes wrong is said."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bff.durable.database import Away, Database
from bff.durable.driver import Tx
from bff.durable.schema import STEPS
from tests.service.durabledb import Place, insist, soon


def note(number: int) -> Callable[[Tx], int]:
    """Return a function that writes a number, and returns it."""

    def what(tx: Tx) -> int:
        tx.run("insert into bff_pace values (?, 0, 0)", str(number))
        return number

    return what


TABLES = {
    "sqlite": "select name from sqlite_master where type = 'table' and substr(name, 1, 4) = 'bff_'",
    "postgres": "select tablename from pg_tables where substr(tablename, 1, 4) = 'bff_'",
}


def drop(tx: Tx, table: str) -> None:
    tx.run(f"drop table {table}")


def noted(place: Place) -> set[int]:
    return {int(name) for (name,) in place.rows("select name from bff_pace")}


async def test_what_is_written_is_read_at_once_and_is_there_after_a_reopening(place: Place) -> None:
    async with place.database() as database:
        for number in range(5):
            assert await database.write(note(number)) == number
            found = await database.read(lambda tx: tx.rows("select count(*) from bff_pace"))
            assert found == [(number + 1,)]
    assert noted(place) == set(range(5))


async def test_many_at_once_are_all_written_and_each_once(place: Place) -> None:
    async with place.database() as database:
        assert await asyncio.gather(*(database.write(note(number)) for number in range(200))) == [*range(200)]
    assert noted(place) == set(range(200))


def broken(tx: Tx) -> None:
    tx.run("insert into bff_pace values ('-1', 0, 0)")
    raise ZeroDivisionError


def twice(tx: Tx) -> None:
    note(0)(tx)


def senseless(tx: Tx) -> None:
    tx.run("insert into no_such_table values (1)")


@pytest.mark.parametrize("what", [broken, twice, senseless])
async def test_one_that_cannot_be_run_is_told_so_and_harms_no_other(place: Place, what: Callable[[Tx], Any]) -> None:
    async with place.database() as database:
        await database.write(note(0))
        whats = [note(1), what, note(2), what, note(3)]
        found = await asyncio.gather(*(database.write(each) for each in whats), return_exceptions=True)
        assert [found[0], found[2], found[4]] == [1, 2, 3]
        assert all(isinstance(each, Exception) and not isinstance(each, Away) for each in (found[1], found[3]))
        assert database.usable
    assert noted(place) == {0, 1, 2, 3}


async def test_tables_that_are_gone_are_away_and_made_anew(place: Place) -> None:
    async with place.database() as database:
        await database.write(note(0))
        for (table,) in place.rows(TABLES[place.kind]):
            place.do(partial(drop, table=table))
        with pytest.raises(Away):
            await database.write(note(1))
        assert await insist(database, note(2)) == 2
    assert noted(place) == {2}


async def test_what_others_hold_locked_is_away_in_time_and_there_again_afterwards(place: Place) -> None:
    place.do(note(0))
    other = place.connect()
    async with place.database() as database:
        other.begin(write=True)
        other.run("update bff_pace set tokens = 1 where name = '0'")
        async with soon():
            with pytest.raises(Away):
                await database.write(lambda tx: tx.run("update bff_pace set tokens = 2 where name = '0'"))
        other.rollback()
        assert await insist(database, note(1)) == 1


async def test_who_leaves_takes_nothing_along(place: Place) -> None:
    async with place.database() as database:
        for number in range(0, 60, 3):
            stays = asyncio.ensure_future(database.write(note(number)))
            leaves = asyncio.ensure_future(database.write(note(number + 1)))
            also = asyncio.ensure_future(database.write(note(number + 2)))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            leaves.cancel()
            assert [await stays, await also] == [number, number + 2]
        assert database.usable
    assert noted(place) >= {number for number in range(60) if number % 3 != 1}


async def test_it_can_be_closed_while_much_is_asked_and_says_of_each_what_became_of_it(place: Place) -> None:
    async with place.database() as database:
        asks = [asyncio.ensure_future(database.write(note(number))) for number in range(100)]
        await asyncio.sleep(0)
        await database.aclose()
        found = await asyncio.gather(*asks, return_exceptions=True)
        with pytest.raises(Away):
            await database.write(note(1000))
    written = {number for number in found if isinstance(number, int)}
    assert all(isinstance(each, int | Away) for each in found)
    assert written == noted(place) - {1000} == set(range(100))


async def test_it_can_be_closed_before_it_is_there(place: Place) -> None:
    database = Database(place.driver)
    database.start()
    await database.aclose()
    assert not database.usable


def test_processes_that_make_the_tables_at_once_are_in_nobodys_way(place: Place) -> None:
    barrier, made = threading.Barrier(6), list[Any]()

    def connect() -> None:
        driver = place.make() if place.kind == "postgres" else place.driver  # a file is one process' own
        barrier.wait()
        made.append(driver.connect())

    threads = [threading.Thread(target=connect) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in made:
        connection.close()
    assert len(made) == 6
    assert place.rows("select step from bff_schema order by step") == [(step,) for step in range(len(STEPS))]
    assert place.rows("select name, count from bff_counts order by name") == [("claims", 0), ("queued", 0)]


async def test_tables_of_a_later_version_are_used_as_they_are(place: Place) -> None:
    def later(tx: Tx) -> None:
        tx.run("alter table bff_pace add column later integer not null default 7")
        tx.run("insert into bff_schema values (?)", len(STEPS))

    place.do(later)
    place.close()
    async with place.database() as database:
        await database.write(lambda tx: tx.run("insert into bff_pace (name, tokens, at) values ('1', 0, 0)"))
        steps = await database.read(lambda tx: tx.rows("select count(*) from bff_schema"))
        assert steps == [(len(STEPS) + 1,)]


async def test_updates_in_opposite_orders_come_through(place: Place) -> None:
    place.do(lambda tx: [note(0)(tx), note(1)(tx)])

    def add(tx: Tx, names: tuple[str, str]) -> None:
        for name in names:
            tx.run("update bff_pace set tokens = tokens + 1 where name = ?", name)

    async with place.database() as one:
        driver = place.make() if place.kind == "postgres" else place.driver
        async with place.database(driver) as two:
            for _ in range(4):  # on Postgres each may be a deadlock, found after a second
                there, back = partial(add, names=("0", "1")), partial(add, names=("1", "0"))
                await asyncio.gather(insist(one, there), insist(two, back))
    assert place.rows("select tokens from bff_pace order by name") == [(8.0,), (8.0,)]


async def test_time_goes_on_and_never_back(place: Place) -> None:
    async with place.database() as database:
        times = []
        for _ in range(50):
            times.append(database.now())
            await asyncio.sleep(0)
        assert times == sorted(times)
        ((now,),) = place.rows(NOW[place.kind])
        assert abs(now - database.now()) < 60


NOW = {
    "sqlite": "select unixepoch('now')",
    "postgres": "select extract(epoch from clock_timestamp())::double precision",
}
