"""One connection and its thread, on a driver that the test plays: what is committed together, and how that ends."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from bff.durable.database import MOST_TOGETHER, MOST_WAITING, Away, Line
from bff.durable.driver import Lost, Row, Torn, Tx
from tests.service.durabledb import until


class Broken(Exception):
    """A function raises it."""


class Gone(BaseException):
    """A function raises it; no Exception."""


@dataclass
class Playing:
    """A driver and its connections. away: whether there is none; fails: what a statement raises, time by time."""

    away: bool = False
    fails: dict[str, list[Exception | None]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    connects: int = 0

    def connect(self) -> "Playing":
        self.connects += 1
        if self.away:
            raise Lost
        self.log.append("connect")
        return self

    def now(self) -> float:
        return 0.0

    locking = skipping = ""

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        self._do(sql)
        return []

    def run(self, sql: str, *parameters: Any) -> int:
        self._do(sql)
        return 0

    def each(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        self._do(sql)

    def begin(self, *, write: bool) -> None:
        self._do("begin")

    def commit(self) -> None:
        self._do("commit")

    def rollback(self) -> None:
        self._do("rollback")

    def close(self) -> None:
        self.log.append("close")

    def _do(self, what: str) -> None:
        self.log.append(what)
        if self.fails.get(what) and (error := self.fails[what].pop(0)) is not None:
            raise error


class Held:
    """A line whose thread is held in a first function, so that what is asked meanwhile comes together."""

    def __init__(self, driver: Playing) -> None:
        self.driver = driver
        self.line = Line(driver, "line", write=True)
        self._go = threading.Event()
        self._entered = threading.Event()

    async def __aenter__(self) -> Self:
        self.line.start()
        await until(lambda: self.line.usable)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go.set()
        await self.line.aclose()

    async def asked(self, *whats: Callable[[Tx], Any]) -> list[Any]:
        """Ask all of it at once, and return what came of each."""
        first = asyncio.ensure_future(self.line.ask(self._hold))
        await until(self._entered.is_set)
        del self.driver.log[:]
        asks = [asyncio.ensure_future(self.line.ask(what)) for what in whats]
        await asyncio.sleep(0)
        self._go.set()
        await first
        return await asyncio.gather(*asks, return_exceptions=True)

    def _hold(self, tx: Tx) -> None:
        self._entered.set()
        self._go.wait()


def insert(name: str) -> Callable[[Tx], str]:
    def what(tx: Tx) -> str:
        tx.run(name)
        return name

    return what


def broken(name: str, error: BaseException) -> Callable[[Tx], str]:
    def what(tx: Tx) -> str:
        tx.run(name)
        raise error

    return what


async def test_what_is_asked_for_during_a_commit_is_committed_together_afterwards() -> None:
    async with Held(Playing()) as held:
        assert await held.asked(insert("a"), insert("b"), insert("c")) == ["a", "b", "c"]
        assert held.driver.log == ["commit", "begin", "a", "b", "c", "commit"]


@pytest.mark.parametrize("error", [Broken(), Gone()])
async def test_one_that_raises_harms_no_other_and_each_runs_again_alone(error: BaseException) -> None:
    async with Held(Playing()) as held:
        assert await held.asked(insert("a"), broken("b", error), insert("c")) == ["a", error, "c"]
        together = ["commit", "begin", "a", "b", "rollback"]
        alone = ["begin", "a", "commit", "begin", "b", "rollback", "begin", "c", "commit"]
        assert held.driver.log[: len(together + alone)] == together + alone
        assert await held.line.ask(insert("d")) == "d"


async def test_a_transaction_that_others_tore_is_run_again_one_by_one() -> None:
    async with Held(Playing(fails={"b": [Torn()]})) as held:
        assert await held.asked(insert("a"), insert("b")) == ["a", "b"]
        assert held.driver.log.count("commit") == 3


async def test_what_is_torn_alone_too_is_away_and_the_connection_stays() -> None:
    async with Held(Playing(fails={"b": [Torn(), Torn()]})) as held:
        found = await held.asked(insert("a"), insert("b"))
        assert found[0] == "a"
        assert isinstance(found[1], Away)
        assert "connect" not in held.driver.log


@pytest.mark.parametrize("fails", [{"begin": [None, Lost()]}, {"b": [Lost()]}, {"commit": [None, Lost()]}])
async def test_a_lost_connection_is_said_to_all_whose_end_is_not_known_and_is_made_anew(
    fails: dict[str, list[Exception | None]],
) -> None:
    driver = Playing()
    async with Held(driver) as held:
        driver.fails = {what: [*errors] for what, errors in fails.items()}
        found = await held.asked(insert("a"), insert("b"), insert("c"))
        assert [type(each) for each in found] == [Away, Away, Away]
        assert await asked_until_there(held.line, insert("d")) == "d"
        assert driver.log.count("connect") == 1


async def asked_until_there(line: Line, what: Callable[[Tx], str]) -> str:
    await until(lambda: line.usable)
    return await line.ask(what)


async def test_those_that_were_committed_alone_before_the_connection_was_lost_are_answered() -> None:
    async with Held(Playing(fails={"c": [Broken(), Lost()]})) as held:
        found = await held.asked(insert("a"), insert("b"), insert("c"), insert("d"))
        assert found[:2] == ["a", "b"]
        assert [type(each) for each in found[2:]] == [Away, Away]


async def test_without_a_connection_it_is_away_at_once_and_it_connects_by_itself_once_it_can() -> None:
    driver = Playing(away=True)
    line = Line(driver, "line", write=True)
    line.start()
    await until(lambda: driver.connects > 0)
    with pytest.raises(Away):
        await line.ask(insert("a"))
    assert "a" not in driver.log
    driver.away = False
    assert await asked_until_there(line, insert("b")) == "b"
    await line.aclose()


async def test_who_leaves_while_waiting_is_not_served_and_keeps_nobody_from_it() -> None:
    async with Held(Playing()) as held:
        first = asyncio.ensure_future(held.line.ask(held._hold))
        await until(held._entered.is_set)
        left, stays = (asyncio.ensure_future(held.line.ask(insert(name))) for name in ("left", "stays"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        held._go.set()
        await first
        assert await stays == "stays"
        assert left.cancelled()
        assert "left" not in held.driver.log


async def test_who_leaves_while_served_does_no_harm() -> None:
    async with Held(Playing()) as held:
        first = asyncio.ensure_future(held.line.ask(held._hold))
        await until(held._entered.is_set)
        first.cancel()
        held._go.set()
        assert await held.line.ask(insert("next")) == "next"
        assert first.cancelled()


async def test_what_was_asked_for_is_finished_before_it_is_closed() -> None:
    async with Held(Playing()) as held:
        hold = asyncio.ensure_future(held.line.ask(held._hold))
        await until(held._entered.is_set)
        waits = [asyncio.ensure_future(held.line.ask(insert("a"))) for _ in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(held.line.aclose())
        await asyncio.sleep(0)
        with pytest.raises(Away):
            await held.line.ask(insert("too late"))
        held._go.set()
        await closing
        assert await asyncio.gather(hold, *waits) == [None, "a", "a", "a"]
        assert held.driver.log[-1] == "close"


@pytest.mark.parametrize("more", [-1, 0, 1, 2, MOST_TOGETHER])
async def test_however_many_come_at_once_each_is_served_once(more: int) -> None:
    async with Held(Playing()) as held:
        names = [str(number) for number in range(MOST_TOGETHER + more)]
        assert await held.asked(*(insert(name) for name in names)) == names
        assert [name for name in held.driver.log if name.isdigit()] == names


async def test_what_waits_for_a_connection_that_does_not_come_back_is_away_when_it_is_closed() -> None:
    driver = Playing(fails={"a": [Lost()]})
    async with Held(driver) as held:
        driver_gone = asyncio.ensure_future(held.asked(insert("a"), insert("b")))
        await until(held._entered.is_set)
        driver.away = True
        assert [type(each) for each in await driver_gone] == [Away, Away]


async def test_a_queue_without_end_is_not_kept() -> None:
    async with Held(Playing()) as held:
        first = asyncio.ensure_future(held.line.ask(held._hold))
        await until(held._entered.is_set)
        for _ in range(MOST_WAITING + 1):
            held.line._queue.put(None)  # what takes up room, and no time
        with pytest.raises(Away):
            await held.line.ask(insert("a"))
        held._go.set()
        await first
