"""What routes ask for: taken in together, each under its key once, and followed to its end."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import pytest

from bff.durable import changes
from bff.durable.changes import Accepted, Ended, Order, Part, Reused
from bff.durable.database import Away, Database
from bff.durable.desk import Desk, InUse
from bff.durable.driver import Tx
from bff.durable.journal import Change
from bff.durable.keys import Key
from bff.durable.reservations import Full, Reserved, Wish
from tests.unit.durable_tables import tables, transacted

T = TypeVar("T")
MOST = 5


class Gated:
    """A database whose writes take a second each. away: whether it is."""

    def __init__(self) -> None:
        self.tables = tables()
        self.away = False
        self.writes = 0

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def do(self, what: Callable[[Tx], T]) -> T:
        return transacted(self.tables, what)

    async def write(self, what: Callable[[Tx], T]) -> T:
        self.writes += 1
        await asyncio.sleep(1.0)
        if self.away:
            raise Away
        return self.do(what)

    async def read(self, what: Callable[[Tx], T]) -> T:
        return self.do(what)


class Counter:
    """A desk, its database, and how often somebody was woken."""

    def __init__(self, most: int = MOST) -> None:
        self.database = Gated()
        self.woken = 0
        self.ended: list[str] = []
        self.desk = Desk(cast(Database, self.database), most, self._wake, self.ended.append)

    def _wake(self) -> None:
        self.woken += 1


def wish(name: str, key: str = "") -> Wish:
    return Wish(name, "7", 1, Key("caller", key or name, f"of {key or name}"))


def order(name: str, key: str = "") -> Order:
    return Order(name, "7", Key("caller", key or name, "print"), (Part("info", "1", "1"),), 60.0, 5, "request", "trace")


async def test_reservations_that_come_during_a_commit_are_accepted_in_the_next_one() -> None:
    counter = Counter(most=100)
    first = asyncio.ensure_future(counter.desk.reserve(wish("first")))
    await asyncio.sleep(0.5)
    answers = await asyncio.gather(*(counter.desk.reserve(wish(f"{number}")) for number in range(50)))
    assert counter.database.writes == 2
    assert [answer.reservation.id for answer in [*answers, await first] if isinstance(answer, Reserved)] == [
        *(f"{number}" for number in range(50)),
        "first",
    ]
    assert asyncio.get_running_loop().time() == 2.0
    assert counter.woken == 2


async def test_a_full_queue_says_so_and_leaves_the_key_free() -> None:
    counter = Counter()
    answers = await asyncio.gather(*(counter.desk.reserve(wish(f"{number}")) for number in range(MOST + 2)))
    assert answers[MOST:] == [Full(), Full()]
    assert await counter.desk.reserve(wish("again", key=f"{MOST}")) == Full()
    again = await counter.desk.reserve(wish("again", key="0"))
    assert isinstance(again, Reserved) and again.replayed
    assert counter.database.tables.rows("select count(*) from bff_keys") == [(MOST,)]


@pytest.mark.parametrize("kind", ["change", "reservation"])
async def test_a_key_is_in_use_while_its_first_use_is_being_accepted_and_no_longer(kind: str) -> None:
    counter = Counter()

    def ask(name: str) -> Any:
        return counter.desk.change(order(name, "key")) if kind == "change" else counter.desk.reserve(wish(name, "key"))

    first = asyncio.ensure_future(ask("first"))
    await asyncio.sleep(0.5)
    with pytest.raises(InUse):
        await ask("second")
    accepted, again = await first, await ask("second")
    assert (accepted.replayed, again.replayed) == (False, True)
    assert repr(counter.desk) == "<Desk 0 being accepted>"


@pytest.mark.parametrize("kind", ["change", "reservation"])
async def test_what_could_not_be_accepted_leaves_its_key_free(kind: str) -> None:
    counter = Counter()
    counter.database.away = True
    for _ in range(2):
        with pytest.raises(Away):
            await (counter.desk.change(order("a")) if kind == "change" else counter.desk.reserve(wish("a")))
    counter.database.away = False
    found: Any = await (counter.desk.change(order("a")) if kind == "change" else counter.desk.reserve(wish("a")))
    assert not found.replayed


async def test_a_database_that_is_away_is_told_to_all_that_came_together() -> None:
    counter = Counter()
    counter.database.away = True
    asks = (counter.desk.reserve(wish(f"{number}")) for number in range(4))
    found = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(each) for each in found] == [Away] * 4


@pytest.mark.parametrize("seconds", [0.0, 0.5, 0.999])
async def test_who_leaves_before_the_answer_finds_what_was_accepted_when_it_comes_again(seconds: float) -> None:
    counter = Counter()
    leaves = asyncio.ensure_future(counter.desk.reserve(wish("first", "key")))
    stays = asyncio.ensure_future(counter.desk.reserve(wish("other")))
    await asyncio.sleep(seconds)
    leaves.cancel()
    assert isinstance(await stays, Reserved)
    await asyncio.sleep(0.5)
    again = await counter.desk.reserve(wish("second", "key"))
    assert isinstance(again, Reserved)
    assert (again.reservation.id, again.replayed) == ("first", True)


async def test_a_key_of_a_change_is_none_for_a_reservation() -> None:
    counter = Counter()
    assert isinstance(await counter.desk.change(order("change", "key")), Accepted)
    assert await counter.desk.reserve(wish("reservation", "key")) == Reused()


async def test_a_change_is_followed_as_it_goes_and_to_its_end() -> None:
    counter = Counter()
    await counter.desk.change(order("a"))
    seen: list[str] = []
    idle = 0

    async def follow() -> None:
        nonlocal idle
        async for events in counter.desk.follow("a", 0):
            seen.extend(event.event for event in events)
            idle += not events

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(3.0)
    assert (seen, following.done()) == (["accepted"], False)
    counter.database.do(partial(changes.cancel, change_id="a", cause="asked for", now=4.0))
    await following
    assert seen == ["accepted", "cancel_requested", "ended"]
    assert idle > 10


async def test_who_follows_is_let_go_when_the_service_leaves() -> None:
    counter = Counter()
    await counter.desk.change(order("a"))
    following = counter.desk.follow("a", 1)
    assert await anext(following) == []
    counter.desk.leave()
    assert [events async for events in following] == []


async def test_a_cancel_says_whether_there_was_anything_to_cancel() -> None:
    counter = Counter()
    await counter.desk.change(order("a"))
    found = await counter.desk.cancel("a", "asked for")
    assert isinstance(found, Change) and found.state == "cancelled"
    assert await counter.desk.cancel("a", "asked for") == Ended()
    assert await counter.desk.cancel("b", "asked for") is None
    assert counter.ended == ["cancelled"]
    assert [change.id for change in await counter.desk.changes(None, 10, None)] == ["a"]
    assert await counter.desk.find_change("b") is None


async def test_only_who_reserved_it_finds_or_gives_back_a_reservation() -> None:
    counter = Counter()
    await counter.desk.reserve(wish("a"))
    assert await counter.desk.find_reservation("another", "a") is None
    assert await counter.desk.release("another", "a") is None
    found = await counter.desk.find_reservation("caller", "a")
    assert found is not None and found.state == "queued"
    assert await counter.desk.release("caller", "a") == found
