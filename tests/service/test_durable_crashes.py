"""What the unit ring tries on tables in memory, tried once more on a real Postgres."""

import asyncio
from dataclasses import dataclass

import pytest

from bff.durable.driver import Connection, Tx
from tests.service.durabledb import Place
from tests.unit.durable_tables import transacted
from tests.unit.durable_world import World, world
from tests.unit.test_durable_crashes import Plan, Tried
from tests.unit.test_durable_selling import after, run
from tests.virtual import VirtualLoop

TABLES = ("changes", "parts", "events", "keys", "reservations", "batches", "pace", "workers")
ON_POSTGRES = pytest.mark.parametrize("place", ["postgres"], indirect=True)


def emptied(connection: Connection) -> Connection:
    """Empty the tables."""

    def empty(tx: Tx) -> None:
        for table in TABLES:
            tx.run(f"delete from bff_{table}")
        tx.run("update bff_counts set count = 0")

    transacted(connection, empty)
    return connection


def hasty(place: Place) -> Connection:
    """Return a connection for thousands of commits, none of which a crash of the server is to outlive."""
    connection = place.connect()
    connection.run("set synchronous_commit = off")
    return connection


@dataclass
class There(Tried):
    """Plans that are run on a connection."""

    connection: Connection | None = None

    def world(self, plan: Plan) -> World:
        assert self.connection is not None
        return world(self.sources, plan, self.stubborn, on=emptied(self.connection))


@ON_POSTGRES
def test_whatever_happens_once_at_any_point_it_is_all_parts_or_none(place: Place) -> None:
    tried = There({"price": "422"}, ("info", "price"), intruded=["info"], connection=hasty(place))
    for _ in tried.single():
        pass
    assert tried.wrong == {}
    assert tried.plans > 80


@ON_POSTGRES
def test_whatever_happens_once_at_any_point_each_unit_is_sold_once_and_nothing_is_stuck(place: Place) -> None:
    connection = hasty(place)

    async def each() -> dict[str, list[str]]:
        wrong = {}
        _, trace = await run({}, emptied(connection))
        for plan in after({}, trace):
            faults, _ = await run(plan, emptied(connection))
            if faults:
                wrong[str(plan)] = faults
        return wrong

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(each()) == {}
