"""A real Postgres that is killed, stopped, paused and cut off: nothing hangs, nothing is said that is not so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count

import psycopg
import pytest

from bff.durable.database import Away, Database
from bff.durable.driver import Lost, Tx
from bff.durable.postgres import Postgres
from tests.postgres_server import PostgresServer, fresh, postgres_server
from tests.service.durabledb import insist, monotonic, soon, started, until, wall


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Run one that may be harmed."""
    with postgres_server() as server:
        yield server
        server.crash()  # an orderly end would write out what nobody wants


def note(tx: Tx, number: int) -> int:
    tx.run("insert into bff_pace values (?, 0, 0)", str(number))
    return number


def noted(url: str) -> set[int]:
    with psycopg.connect(url) as raw:
        return {int(name) for (name,) in raw.execute("select name from bff_pace")}


class Traffic:
    """Writers that go on whatever happens. written: what was returned as written; away: how often one was told so."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers = count()
        self.written: set[int] = set()
        self.away = 0

    async def _write(self) -> None:
        while True:
            try:
                async with soon():
                    self.written.add(await self._database.write(partial(note, number=next(self._numbers))))
            except Away:
                self.away += 1
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def run(self) -> AsyncIterator["Traffic"]:
        """Write while the body runs."""
        tasks = [asyncio.ensure_future(self._write()) for _ in range(8)]
        try:
            yield self
        finally:
            ended = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert not ended, "one of them waited for too long"

    async def more(self) -> None:
        """Wait until something more has been written."""
        before = len(self.written)
        await until(lambda: len(self.written) > before + 20)


@pytest.mark.parametrize("end", [PostgresServer.crash, PostgresServer.stop])
async def test_what_was_returned_as_written_outlives_its_end_and_nobody_waits_for_long(
    server: PostgresServer, end: Callable[[PostgresServer], None]
) -> None:
    url = fresh(server)
    async with started(Postgres(url, monotonic, wall)) as database, Traffic(database).run() as traffic:
        for _ in range(2):
            await traffic.more()
            await asyncio.to_thread(end, server)
            await until(lambda: not database.usable)
            with pytest.raises(Away):
                await database.write(partial(note, number=-1))
            await asyncio.to_thread(server.start)
            await traffic.more()
    assert traffic.away > 0
    assert noted(url) >= traffic.written


async def test_one_that_says_nothing_is_away_in_time_then_at_once_and_comes_back(server: PostgresServer) -> None:
    url = fresh(server)
    async with started(Postgres(url, monotonic, wall)) as database:
        await database.write(partial(note, number=1))
        await asyncio.to_thread(server.pause)
        try:
            async with soon():
                asks = [database.write(partial(note, number=number)) for number in (2, 3)]
                found = await asyncio.gather(*asks, return_exceptions=True)
                assert [type(each) for each in found] == [Away, Away]
                for number in range(100, 200):  # at once: each by itself would take as long as those two did
                    with pytest.raises(Away):
                        await database.write(partial(note, number=number))
        finally:
            await asyncio.to_thread(server.resume)
        await insist(database, partial(note, number=4))
    assert noted(url) >= {1, 4}


async def test_one_that_says_nothing_keeps_nobody_from_leaving(server: PostgresServer) -> None:
    async with started(Postgres(fresh(server), monotonic, wall)) as database:
        await asyncio.to_thread(server.pause)
        try:
            ask = asyncio.ensure_future(database.write(partial(note, number=1)))
            await asyncio.sleep(0)
            async with soon():
                await database.aclose()
        finally:
            await asyncio.to_thread(server.resume)
        with suppress(Away):
            await ask


async def test_one_that_is_not_there_yet_is_away_at_once_until_it_is(server: PostgresServer) -> None:
    url = fresh(server)
    await asyncio.to_thread(server.stop)
    database = Database(Postgres(url, monotonic, wall))
    database.start()
    try:
        async with soon():
            for number in range(100):
                with pytest.raises(Away):
                    await database.write(partial(note, number=number))
        await asyncio.to_thread(server.start)
        assert await insist(database, partial(note, number=1)) == 1
    finally:
        await database.aclose()


async def test_a_connection_that_an_administrator_ends_is_made_anew(server: PostgresServer) -> None:
    url = fresh(server)
    async with started(Postgres(url, monotonic, wall)) as database, Traffic(database).run() as traffic:
        for _ in range(3):
            await traffic.more()
            with psycopg.connect(server.url, autocommit=True) as raw:
                raw.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'product-bff'"
                )
            await traffic.more()
    assert noted(url) >= traffic.written


async def test_a_database_that_may_only_be_read_is_away_until_it_may_be_written(server: PostgresServer) -> None:
    url = fresh(server)
    name = url.rpartition("/")[2]
    Postgres(url, monotonic, wall).connect().close()
    _run(server, f"alter database {name} set default_transaction_read_only = on")
    database = Database(Postgres(url, monotonic, wall))
    database.start()
    try:
        with pytest.raises(Away):
            await database.write(partial(note, number=1))
        _run(server, f"alter database {name} reset default_transaction_read_only")
        assert await insist(database, partial(note, number=2)) == 2
    finally:
        await database.aclose()
    assert noted(url) == {2}


async def test_one_that_takes_no_more_connections_is_away_until_it_does(server: PostgresServer) -> None:
    url = fresh(server)
    name = url.rpartition("/")[2]
    _run(server, f"alter database {name} connection limit 0", f"create role {name} login")
    limited = url.replace("postgres@", f"{name}@")
    _run(server, f"alter database {name} owner to {name}")
    with pytest.raises(Lost):
        Postgres(limited, monotonic, wall).connect()
    database = Database(Postgres(limited, monotonic, wall))
    database.start()
    try:
        _run(server, f"alter database {name} connection limit 2")
        assert await insist(database, partial(note, number=1)) == 1
    finally:
        await database.aclose()


async def test_tables_that_are_locked_while_it_connects_are_waited_for_in_bounds(server: PostgresServer) -> None:
    url = fresh(server)
    Postgres(url, monotonic, wall).connect().close()
    with psycopg.connect(url) as raw:
        raw.execute("lock table bff_schema in access exclusive mode")
        database = Database(Postgres(url, monotonic, wall))
        database.start()
        with pytest.raises(Away):
            await database.write(partial(note, number=1))
    try:
        assert await insist(database, partial(note, number=2)) == 2
    finally:
        await database.aclose()


def test_its_address_is_in_no_repr_and_in_no_error() -> None:
    driver = Postgres("postgresql://user:secret@127.0.0.1:1/nothing", monotonic, wall)
    with pytest.raises(Lost) as caught:
        driver.connect()
    assert "secret" not in f"{driver!r} {caught.value} {caught.value.__cause__}"


async def test_the_time_is_the_servers_and_does_not_jump_when_it_comes_back(server: PostgresServer) -> None:
    url = fresh(server)
    driver = Postgres(url, monotonic, lambda: wall() + 86_400.0)  # a pod's clock that is a day ahead
    async with started(driver) as database:
        with psycopg.connect(url) as raw:
            row = raw.execute("select extract(epoch from clock_timestamp())::double precision").fetchone()
        assert row is not None and abs(database.now() - row[0]) < 60
        before = database.now()
        await asyncio.to_thread(server.crash)
        await asyncio.to_thread(server.start)
        await insist(database, partial(note, number=1))
        assert 0 <= database.now() - before < 60


def _run(server: PostgresServer, *statements: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as raw:
        for statement in statements:
            raw.execute(statement.encode())
