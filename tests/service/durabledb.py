"""Databases for tests of durable work, through the drivers that the service uses: a file, and a real Postgres."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from bff.durable import claims
from bff.durable.claims import Worker
from bff.durable.database import Away, Database
from bff.durable.driver import Connection, Driver, Tx
from tests.unit.durable_tables import transacted

T = TypeVar("T")
PATIENCE_SECONDS = 30.0
"""Of a test with a machine that stalls; nothing takes it where nothing is wrong, nor does what waits its time out."""


class Place:
    """A database of a test's own. make: a driver of it, as each process has one; a file's is held by the first."""

    def __init__(self, kind: str, make: Callable[[], Driver]) -> None:
        self.kind = kind
        self.make = make
        self.driver = make()
        self._open: list[Connection] = []

    def __repr__(self) -> str:
        return f"<Place {self.kind}>"

    def connect(self) -> Connection:
        """Return a connection, closed with the test."""
        connection = self.driver.connect()
        self._open.append(connection)
        return connection

    def do(self, what: Callable[[Tx], T], connection: Connection | None = None) -> T:
        """Run something in a transaction: on the first connection, or on that one."""
        connection = connection or (self._open[0] if self._open else self.connect())
        return transacted(connection, what)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return what a statement finds."""
        return self.do(lambda tx: tx.rows(sql, *parameters))

    def close(self) -> None:
        """Close every connection."""
        for connection in self._open:
            connection.close()
        self._open.clear()

    @asynccontextmanager
    async def database(self, driver: Driver | None = None) -> AsyncIterator[Database]:
        """Have a database that is there."""
        async with started(driver or self.driver) as database:
            yield database


@asynccontextmanager
async def started(driver: Driver) -> AsyncIterator[Database]:
    """Start a database, and wait until it is there."""
    database = Database(driver)
    database.start()
    try:
        await usable(database)
        yield database
    finally:
        await database.aclose()


async def usable(database: Database) -> None:
    """Wait until a database is there."""
    await until(lambda: database.usable)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with soon():
        while not holds():
            await asyncio.sleep(0.005)


def soon() -> asyncio.Timeout:
    """Bound what must not hang."""
    return asyncio.timeout(PATIENCE_SECONDS)


async def insist(database: Database, what: Callable[[Tx], T]) -> T:
    """Ask until the database is not away."""
    async with soon():
        while True:
            with suppress(Away):
                return await database.write(what)
            await asyncio.sleep(0.01)


def wall() -> float:
    """Return the time of day."""
    return time.time()  # noqa: TID251 - as wiring gives it


def monotonic() -> float:
    """Return monotonic seconds."""
    return time.monotonic()  # noqa: TID251 - as wiring gives it


def named(place: Place, worker: Worker) -> Worker:
    """Give a worker its name, whoever has it."""
    last = place.do(claims.seen).get(worker.id)
    assert place.do(partial(claims.take_name, worker=worker, last=last))
    return worker


def engine_threads_end() -> None:
    """See threads of engines through that are closed: DBOS' wait for their database, which a test then takes away."""
    for thread in threading.enumerate():
        if thread.name.startswith("dbos-executor"):
            thread.join(3 * PATIENCE_SECONDS)  # they look again after ever longer, up to one and a half minutes
            assert not thread.is_alive()


@contextmanager
def closing(place: Place) -> Iterator[Place]:
    """Close a place in the end."""
    try:
        yield place
    finally:
        place.close()
