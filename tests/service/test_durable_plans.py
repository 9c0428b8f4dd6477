"""What looking for work costs where there is much of it: counted in what the database visits, and not in time."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import pytest

from bff.durable import batches, census, claims
from bff.durable.claims import Worker
from bff.durable.driver import Row, Tx
from bff.durable.sqlite import SqliteConnection
from tests.service.durabledb import Place

FEW, MANY = 50, 20_000
WORKER = Worker("worker", "boot")

SERIES = {
    "sqlite": """with recursive series (n) as (select 1 union all select n + 1 from series where n < ?)
        select {} from series""",
    "postgres": "select {} from generate_series(1, ?::integer) as series (n)",
}
PADDED = {"sqlite": "printf('%08d', n)", "postgres": "lpad(n::text, 8, '0')"}


class Explaining:
    """A transaction that sums up how many blocks each select visits, as Postgres itself counts them."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.blocks = 0
        self.locking, self.skipping = tx.locking, tx.skipping

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        ((plans,),) = self._tx.rows(f"explain (analyze, buffers, format json) {sql}", *parameters)
        self.blocks += plans[0]["Plan"]["Shared Hit Blocks"] + plans[0]["Plan"]["Shared Read Blocks"]
        return self._tx.rows(sql, *parameters)

    def run(self, sql: str, *parameters: Any) -> int:
        return self._tx.run(sql, *parameters)

    def each(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        self._tx.each(sql, parameters)


def cost(place: Place, what: Callable[[Tx], Any]) -> int:
    """Return how much is visited, in the database's own unit, and undo what was done."""
    connection = place.connect()
    connection.begin(write=True)
    if place.kind == "postgres":
        explaining = Explaining(connection)
        what(explaining)
        visited = explaining.blocks
    else:
        raw, steps = cast(SqliteConnection, connection)._raw, [0]
        raw.set_progress_handler(partial(_count, steps), 1)
        what(connection)
        raw.set_progress_handler(None, 1)
        visited = steps[0]
    connection.rollback()
    return visited


def _count(steps: list[int]) -> int:
    steps[0] += 1
    return 0


def reserve(place: Place, many: int, *, sku: str = "'hot'", state: str = "queued", wanted: str = "null") -> None:
    """Put reservations there, older than the few. sku: an expression over `n`."""
    columns = f"'a' || {PADDED[place.kind]}, {sku}, 'caller', 1, '{state}', 1, {wanted}, n, n"
    _reserve(place, many, columns)


def reserve_few(place: Place) -> None:
    """Put a few reservations there, the last ones that came."""
    _reserve(place, FEW, f"'z' || {PADDED[place.kind]}, 'hot', 'caller', 1, 'queued', 1, null, n + 1000000, n")


def _reserve(place: Place, many: int, columns: str) -> None:
    sql = f"""insert into bff_reservations (id, sku_id, caller, quantity, state, seq, wanted, created_at, updated_at)
        {SERIES[place.kind].format(columns)}"""
    place.do(lambda tx: tx.run(sql, many))


def ask(place: Place, many: int, sku: str, state: str) -> None:
    """Put changes there. sku: an expression over `n`."""
    columns = f"'a' || {PADDED[place.kind]}, {sku}, 'caller', 5, 60, n, '{state}', 1, 'request', 'trace', n"
    place.do(
        lambda tx: tx.run(
            f"""insert into bff_changes (id, sku_id, caller, priority, timeout_seconds, created_at, state, seq,
            request_id, trace_id, ended_at) {SERIES[place.kind].format(columns)}""",
            many,
        )
    )


Look = Callable[[Tx], Any]
LOOKS: dict[str, Look] = {
    "for SKUs with something to send": partial(batches.waiting, after="", most=8),
    "for SKUs after the hot one": partial(batches.waiting, after="hot", most=8),
    "for what goes into a batch": partial(
        batches.make, worker=WORKER, batch_id="batch", sku="hot", most=FEW // 2, now=0.0
    ),
    "for what is too old": partial(batches.overdue, before=1e9, most=FEW // 2),
    "for what is to be given back": partial(batches.wanted, most=FEW // 2),
}


MANIES: dict[str, Callable[[Place], None]] = {
    "of one SKU are queued": partial(reserve, many=MANY),
    "each of another SKU are queued": partial(reserve, many=MANY, sku="'sku ' || n"),
    "are on their way back": partial(reserve, many=MANY, wanted="'expire'"),
    "have ended": partial(reserve, many=MANY, state="confirmed"),
}


HURRIES = {
    # The rush is over before Postgres has statistics of it.
    "and came all at once": [name for name in LOOKS if name != "for what is too old"],
    "and have been for a while": list(LOOKS),
}


@pytest.mark.parametrize("hurry", HURRIES)
@pytest.mark.parametrize("many", MANIES.values(), ids=MANIES)
def test_a_look_for_reservations_costs_no_more_where_many(
    place: Place, many: Callable[[Place], None], hurry: str
) -> None:
    reserve_few(place)
    looks = {name: LOOKS[name] for name in HURRIES[hurry]}
    few = {name: cost(place, look) for name, look in looks.items()}
    many(place)
    if place.kind == "postgres" and hurry == "and have been for a while":
        place.do(lambda tx: tx.run("analyze"))
    dear = {name: cost(place, look) for name, look in looks.items()}
    assert {name: (few[name], visited) for name, visited in dear.items() if visited > bound(place, few[name])} == {}


def bound(place: Place, few: int) -> int:
    """Return what may be visited at most. few: what is where there is little. A row is steps, or a part of a block."""
    return 3 * few + {"sqlite": 1000, "postgres": 50}[place.kind]


@pytest.mark.parametrize("state", ["pending", "succeeded"])
def test_a_claim_costs_no_more_where_there_are_many_changes(place: Place, state: str) -> None:
    look: Look = partial(claims.claim, worker=WORKER, room=10, now=0.0)
    ask(place, FEW, "'first ' || n", "pending")
    few = cost(place, look)
    place.do(lambda tx: tx.run("delete from bff_changes"))
    ask(place, MANY, "'sku ' || n", state)
    assert cost(place, look) < bound(place, few)


def test_counting_what_there_is_visits_nothing_that_has_ended(place: Place) -> None:
    look: Look = partial(census.count, now=0.0)
    reserve_few(place)
    few = cost(place, look)
    reserve(place, MANY, state="confirmed")
    ask(place, MANY, "'sku ' || n", "succeeded")
    if place.kind == "postgres":
        place.do(lambda tx: tx.run("analyze"))  # these have been there for long, and its statistics know them
    assert cost(place, look) < bound(place, few)


def test_control_what_has_no_index_is_seen_to_cost_more(place: Place) -> None:
    def look(tx: Tx) -> list[Row]:
        return tx.rows("select 1 from bff_reservations where quantity = 2")

    reserve_few(place)
    few = cost(place, look)
    reserve(place, MANY)
    assert cost(place, look) > bound(place, few)
