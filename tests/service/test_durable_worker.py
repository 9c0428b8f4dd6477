"""A worker's life on each kind of database: what was accepted is done, through outages and stops."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from bff.durable import changes, reservations, sqlite
from bff.durable.batches import Batch
from bff.durable.changes import Order, Part
from bff.durable.claims import Worker as Name
from bff.durable.database import Database
from bff.durable.doing import Needs, Patience
from bff.durable.driver import Driver, Tx
from bff.durable.engine import Place as Engines
from bff.durable.keys import Key
from bff.durable.postgres import Postgres
from bff.durable.reservations import Wish
from bff.durable.selling import Pace, Selling
from bff.durable.terms import Terms
from bff.durable.worker import AWAY_SECONDS, Worker
from bff.product.parts import SourceName
from bff.product.writing import Outcome, Write, Writing
from clients.source import Caller, Held
from tests.postgres_server import PostgresServer, fresh, postgres_server
from tests.service.durabledb import PATIENCE_SECONDS, Place, engine_threads_end, insist, monotonic, started, until, wall
from tests.unit.durable_owner import Owner
from tests.unit.durable_stock import Stock

PARTS: tuple[SourceName, ...] = ("info", "price")


class Owners:
    """Whom a worker calls: owners of each product, and a stock service. halted: whether no write is answered."""

    def __init__(self) -> None:
        self.owners: dict[tuple[str, str], Owner] = {}
        self.stock = Stock({"7": 3})
        self.go = asyncio.Event()
        self.go.set()
        self.writes = 0

    def of(self, source: str, sku: str) -> Owner:
        return self.owners.setdefault((source, sku), Owner(source))

    async def held(self, source: SourceName, sku: str, caller: Caller) -> Held | None:
        return self.of(source, sku).held()

    def seconds(self, source: SourceName) -> float:
        return 1.0

    async def write(self, write: Write) -> Outcome:
        self.writes += 1
        await self.go.wait()
        return self.of(write.source, write.sku).take(write)

    async def deduct(self, batch: Batch) -> Mapping[str, str]:
        return self.stock.deduct(batch)

    async def release(self, reservation_ids: Sequence[str]) -> None:
        self.stock.release(reservation_ids)

    def effects(self) -> list[int]:
        """Return how often each part of each product was written."""
        return sorted(len(owner.log) - 1 for owner in self.owners.values())


class Counted:
    """What is counted."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.found: list[tuple[str, int]] = []

    def change_ended(self, state: str) -> None:
        self.ended.append(state)

    def reconciled(self, kind: str, count: int) -> None:
        self.found.append((kind, count))


@asynccontextmanager
async def working(
    driver: Driver, engines: Engines, owners: Owners, *, boot: str = "1", grace: float = 5.0
) -> AsyncIterator[tuple[Database, Counted]]:
    """Have a worker that works."""
    async with started(driver) as database:
        name, counted = Name("worker", boot), Counted()
        needs = Needs(database, cast(Writing, owners), name, Patience(3, 10.0), random.uniform, asyncio.sleep)
        numbers = iter(range(10**6))
        selling = Selling(
            database,
            owners,
            name,
            Pace(None, 300.0, 0.1),
            lambda: f"{boot} {next(numbers)}",
            _heard,
            lambda counts: None,
        )
        worker = Worker(needs, engines, Terms(False, 60.0, grace), selling, 86_400.0, monotonic, counted)  # noqa: FBT003
        worker.start()
        try:
            await until(lambda: worker.working)
            yield database, counted
        finally:
            await worker.aclose()


async def _heard(skus: Sequence[str]) -> None:
    """Hear that stock has changed."""


def order(number: int) -> Order:
    owner = {source: Owner(source).value_of("ours").decode() for source in PARTS}
    parts = tuple(Part(source, owner[source], owner[source]) for source in PARTS)
    return Order(
        f"{number:04}", f"sku {number}", Key("caller", f"{number}", "print"), parts, 60.0, 5, "request", "trace"
    )


async def accept(database: Database, numbers: range) -> None:
    for number in numbers:
        await insist(database, partial(changes.accept, order=order(number), now=database.now()))


async def ended(database: Database, many: int) -> None:
    """Wait until so many changes have succeeded, and no other is left."""
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while await insist(database, _states) != [("succeeded", many)]:
            await asyncio.sleep(0.05)


def _states(tx: object) -> list[tuple[object, ...]]:
    return tx.rows("select state, count(*) from bff_changes group by state")  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def engines(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Engines:
    """Say where the engine has its tables."""
    if place.kind == "sqlite":
        file = tmp_path / "dbos.sqlite"
        return Engines(f"sqlite:///{file}", "worker", lambda: sqlite.open_wal(file).close())
    return Engines(str(request.getfixturevalue("database_url")), "worker", lambda: None)


async def test_what_was_accepted_is_done_each_effect_once(place: Place, engines: Engines) -> None:
    owners = Owners()
    async with working(place.driver, engines, owners) as (database, counted):
        await accept(database, range(30))
        wishes = [Wish(f"{number}", "7", 1, Key("caller", f"wish {number}", "print")) for number in range(5)]
        await insist(database, partial(reservations.accept, wishes=wishes, most=100, now=database.now()))
        await ended(database, 30)
        assert counted.ended == ["succeeded"] * 30
        await until(lambda: len(owners.stock.answers) == 5)
        assert owners.stock.left == {"7": 0}
    assert owners.effects() == [1] * 60


async def test_what_was_accepted_before_is_done_and_what_a_stop_left_is_done_after_it(
    place: Place, engines: Engines
) -> None:
    owners = Owners()
    async with started(place.driver) as database:
        await accept(database, range(5))
    owners.go.clear()
    async with working(place.driver, engines, owners, grace=0.1):
        await until(lambda: owners.writes == 5)
    owners.go.set()
    async with working(place.driver, engines, owners, boot="2") as (database, _):
        await accept(database, range(5, 8))
        await ended(database, 8)
    assert owners.effects() == [1] * 16


def killed(tx: Tx) -> None:
    """Leave things as a process does that is killed."""
    tx.run("insert into bff_workers (id, boot, beats) values ('worker', '1', 9)")
    tx.run("update bff_changes set worker = 'worker' where state = 'running'")


async def test_what_a_killed_process_had_begun_is_taken_up_by_the_next_of_its_name_which_says_so_once(
    place: Place, engines: Engines
) -> None:
    owners = Owners()
    owners.go.clear()
    async with working(place.driver, engines, owners, grace=0.1) as (database, _):
        await accept(database, range(3))
        await until(lambda: owners.writes == 3)
    owners.go.set()
    async with started(place.driver) as database:
        await insist(database, killed)
    async with working(place.driver, engines, owners, boot="2") as (database, counted):
        await ended(database, 3)
        assert counted.found == [("change", 3)]
        found = await insist(database, lambda tx: tx.rows("select cause from bff_events where event = 'started'"))
        assert sorted(str(cause) for (cause,) in found) == ["None"] * 3 + ["taken up again: its process is gone"] * 3
    assert owners.effects() == [1] * 6


async def test_nothing_begins_once_it_stops_and_what_is_under_way_has_its_grace(place: Place, engines: Engines) -> None:
    owners = Owners()
    owners.go.clear()
    async with working(place.driver, engines, owners, grace=PATIENCE_SECONDS) as (database, _):
        await accept(database, range(1))
        await until(lambda: owners.writes == 1)
        asyncio.get_running_loop().call_later(0.2, owners.go.set)
    assert owners.writes == 1
    async with started(place.driver) as database:
        found = await database.read(lambda tx: tx.rows("select event, step from bff_events order by seq desc limit 1"))
        assert found == [("step_done", "info")]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Run a Postgres that may be harmed."""
    with postgres_server() as server:
        yield server
        engine_threads_end()


@pytest.mark.parametrize("seconds", [0.0, AWAY_SECONDS + 2.0], ids=["for a moment", "for long"])
async def test_after_an_outage_it_goes_on_with_what_it_had_and_with_what_comes(
    server: PostgresServer, seconds: float
) -> None:
    url, owners = fresh(server), Owners()
    engines = Engines(f"{url}?connect_timeout=2", "worker", lambda: None)
    async with working(Postgres(url, monotonic, wall), engines, owners) as (database, _):
        owners.go.clear()
        await accept(database, range(10))
        await until(lambda: owners.writes > 0)
        await asyncio.to_thread(server.crash)
        owners.go.set()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.start)
        await accept(database, range(10, 20))
        await ended(database, 20)
    assert owners.effects() == [1] * 40
