"""One file: whose it is, and what of it is true when something happens to it."""

import asyncio
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from bff.durable.database import Away, Database
from bff.durable.driver import Lost, Tx
from bff.durable.sqlite import Sqlite
from tests.service.durabledb import insist, soon, started, until, wall


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bff.sqlite"


def note(tx: Tx, number: int) -> int:
    tx.run("insert into bff_pace values (?, 0, 0)", str(number))
    return number


async def write(database: Database, number: int) -> int | None:
    """Write a number; None where the database is away, which is said in time."""
    try:
        async with soon():
            return await database.write(partial(note, number=number))
    except Away:
        return None


def noted(path: Path) -> set[int]:
    with sqlite3.connect(path) as raw:
        found = {int(name) for (name,) in raw.execute("select name from bff_pace")}
    raw.close()
    return found


def test_a_second_process_does_not_get_it_before_the_first_lets_it_go(path: Path) -> None:
    first, second = Sqlite(path, wall), Sqlite(path, wall)
    first.connect().close()
    for _ in range(2):
        with pytest.raises(Lost):
            second.connect()
    assert [repr(first), repr(second)] == [f"<Sqlite {path} held>", f"<Sqlite {path}>"]
    first.release()
    second.connect().close()
    with pytest.raises(Lost):
        first.connect()
    second.release()
    first.connect().close()


async def test_who_waits_for_it_has_it_as_soon_as_it_is_let_go(path: Path) -> None:
    first = Sqlite(path, wall)
    first.connect().close()
    database = Database(Sqlite(path, wall))
    database.start()
    assert await write(database, 1) is None
    first.release()
    assert await insist(database, partial(note, number=2)) == 2
    await database.aclose()


@pytest.mark.parametrize("trouble", ["not a database", "a folder", "a link to nowhere"])
async def test_what_is_no_database_is_away_until_it_is_gone(path: Path, trouble: str) -> None:
    if trouble == "a folder":
        path.mkdir()
    elif trouble == "a link to nowhere":
        path.symlink_to(path.parent / "no" / "such" / "place")
    else:
        path.write_bytes(b"no database at all " * 100)
    database = Database(Sqlite(path, wall))
    database.start()
    assert await write(database, 1) is None
    with suppress(IsADirectoryError):
        path.unlink()
    if trouble == "a folder":
        path.rmdir()
    assert await insist(database, partial(note, number=2)) == 2
    await database.aclose()
    assert noted(path) == {2}


async def test_a_folder_that_cannot_be_made_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    database = Database(Sqlite(tmp_path / "file" / "bff.sqlite", wall))
    database.start()
    assert await write(database, 1) is None
    (tmp_path / "file").unlink()
    assert await insist(database, partial(note, number=2)) == 2
    await database.aclose()


async def test_a_full_disk_is_away_and_what_was_written_is_there(path: Path) -> None:
    async with started(Sqlite(path, wall)) as database:
        written = [await write(database, number) for number in range(5)]
        with full(path):
            refused = [await write(database, number) for number in range(5, 1000)][-5:]
        assert refused == [None] * 5
        written.append(await insist(database, partial(note, number=2000)))
        found = await database.read(lambda tx: tx.rows("select name from bff_pace"))
        assert {int(name) for (name,) in found} >= set(written)
    assert noted(path) >= set(written)


@contextmanager
def full(path: Path) -> Iterator[None]:
    """Let no file of this process grow past what this one has."""
    room = path.with_name(path.name + "-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_more_pages_than_it_may_have_is_away_and_what_was_written_is_there(path: Path) -> None:
    async with started(Sqlite(path, wall)) as database:
        written = [await write(database, 0)]

        def bound(tx: Tx) -> None:
            ((pages,),) = tx.rows("pragma page_count")
            tx.rows(f"pragma max_page_count = {pages}")
            tx.run("create table filler (a)")  # takes a page

        with pytest.raises(Away):
            await database.write(bound)
        written.append(await insist(database, partial(note, number=1)))
    assert noted(path) == set(written)


@pytest.mark.parametrize("how", ["removed", "replaced", "moved away"])
async def test_nothing_is_said_to_be_written_that_is_not_in_the_file_of_its_name(
    path: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with started(Sqlite(path, wall)) as database:
        assert await write(database, 1) == 1
        for name in (path.name, path.name + "-wal", path.name + "-shm"):
            if how == "moved away":
                path.with_name(name).rename(path.with_name("moved " + name))
            else:
                path.with_name(name).unlink()
        if how == "replaced":
            other = Sqlite(path.with_name("other.sqlite"), wall)
            other.connect().close()
            path.with_name("other.sqlite").rename(path)
        written = {await write(database, number) for number in range(2, 6)} - {None}
        written.add(await insist(database, partial(note, number=6)))
    assert noted(path) >= written
    assert capfd.readouterr().out.count("the database's file is gone, or another one") == 1


async def test_who_has_lost_the_lock_writes_nothing_more_until_the_other_lets_it_go(path: Path) -> None:
    other = Sqlite(path, wall)
    async with started(Sqlite(path, wall)) as database:
        assert await write(database, 1) == 1
        path.with_name(path.name + ".lock").unlink()
        other.connect().close()
        assert [await write(database, number) for number in range(2, 5)] == [None] * 3
        other.release()
        assert await insist(database, partial(note, number=5)) == 5
    assert noted(path) == {1, 5}


WRITER = """
import asyncio, sys, time
from pathlib import Path
from bff.durable.sqlite import Sqlite
from tests.service.durabledb import started

async def main(first):
    async with started(Sqlite(Path(sys.argv[1]), time.time)) as database:
        async def write(number):
            await database.write(lambda tx: tx.run("insert into bff_pace values (?, 0, 0)", str(number)))
            print(number, flush=True)
        while True:
            await asyncio.gather(*(write(number) for number in range(first, first + 20)))
            first += 20

asyncio.run(main(int(sys.argv[2])))
"""


async def test_what_a_killed_process_has_acknowledged_is_there_and_its_lock_is_gone(path: Path) -> None:
    acknowledged: set[int] = set()
    for life in range(3):
        command = (sys.executable, "-c", WRITER, str(path), str(life * 1_000_000))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(100 + 150 * life):
            line = (await process.stdout.readline()).decode()
            if line.strip().isdigit():  # and no line of the log
                acknowledged.add(int(line))
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = await process.communicate()
        acknowledged |= {int(line) for line in rest.decode().splitlines(keepends=True)[:-1] if line.strip().isdigit()}
    assert len(acknowledged) > 300
    assert noted(path) >= acknowledged
    driver = Sqlite(path, wall)
    driver.connect().close()


async def test_a_reader_waits_for_no_writer(path: Path) -> None:
    async with started(Sqlite(path, wall)) as database:
        await write(database, 1)
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("begin immediate")
            found = await database.read(lambda tx: tx.rows("select count(*) from bff_pace"))
            other.execute("rollback")
        other.close()
        assert found == [(1,)]
        await until(lambda: database.usable)


async def test_every_commit_is_synced(path: Path) -> None:
    async with started(Sqlite(path, wall)) as database:
        for ask in (database.write, database.read):
            assert await ask(lambda tx: tx.rows("pragma journal_mode")) == [("wal",)]
            assert await ask(lambda tx: tx.rows("pragma synchronous")) == [(2,)]
