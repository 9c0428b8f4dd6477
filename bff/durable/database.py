"""The database as the rest sees it: functions over a transaction, run in a thread, committed together, synced.

What is asked for while a commit is under way goes into the next one, so that one sync serves many. A function that
raises, or a transaction that cannot be committed, is run once more by itself. Knows neither SQL dialect nor driver.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from bff.durable.driver import Connection, Driver, Lost, Torn, Tx

MOST_TOGETHER = 256
MOST_WAITING = 20_000
WAIT_SECONDS = 5.0
RETRY_SECONDS = 0.5

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Away(Exception):
    """The database cannot be had at present. Whether what was asked for is committed is not known."""


@dataclass(slots=True)
class _Asked:
    what: Callable[[Tx], Any]
    answer: "Future[Any]"


class Line:
    """One connection and its thread. write: whether what it runs may write."""

    def __init__(self, driver: Driver, name: str, *, write: bool) -> None:
        self._driver = driver
        self._name = name
        self._write = write
        self._queue: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._connection: Connection | None = None
        self._stopping = False
        self._late = False
        self._said = ""
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Line {self._name} {'usable' if self.usable else 'away'}, {self._queue.qsize()} waiting>"

    @property
    def usable(self) -> bool:
        """Whether it is connected, and not stuck in what it does."""
        return self._connection is not None and not self._late

    def start(self) -> None:
        """Connect, now and whenever the connection was lost."""
        self._thread = threading.Thread(target=self._live, name=self._name, daemon=True)
        self._thread.start()

    async def ask(self, what: Callable[[Tx], T]) -> T:
        """Run a function in a transaction and return what it returns; raises Away, and what the function raises."""
        if not self.usable or self._stopping or self._queue.qsize() > MOST_WAITING:
            raise Away
        answer: Future[T] = Future()
        self._queue.put(_Asked(what, answer))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.wrap_future(answer)
        except TimeoutError as exc:
            self._late = True  # until it moves again: nobody else waits for so long
            raise Away from exc

    async def aclose(self) -> None:
        """Finish what was asked for, and close."""
        self._stopping = True
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, WAIT_SECONDS)

    def _live(self) -> None:
        while True:
            if self._connection is None:
                self._connect()
            batch = self._batch()
            if batch and self._connection is not None:
                self._serve(batch)
            self._late = False
            for asked in batch:
                if not asked.answer.done():
                    _fail(asked, Away())
            if self._stopping and self._queue.empty():
                self._drop()
                return

    def _connect(self) -> None:
        try:
            self._connection = self._driver.connect()
        except Exception as exc:  # the thread goes on, whatever a driver raises
            self._say_away(exc)
        else:
            self._said = ""
            log.info("the database is there", line=self._name)

    def _batch(self) -> list[_Asked]:
        """Wait for something to do, and return all that there is."""
        batch: list[_Asked] = []
        with contextlib.suppress(queue.Empty):
            asked = self._queue.get(timeout=RETRY_SECONDS)
            while True:
                if asked is not None and asked.answer.set_running_or_notify_cancel():
                    batch.append(asked)
                if len(batch) == MOST_TOGETHER:
                    break
                asked = self._queue.get_nowait()
        return batch

    def _serve(self, batch: list[_Asked]) -> None:
        try:
            try:
                found = self._together([asked.what for asked in batch])
            except Lost:
                raise
            except BaseException:  # whose it is shows once each runs by itself
                for asked in batch:
                    self._alone(asked)
                return
        except Lost as exc:
            self._say_away(exc)
            self._drop()
            return
        for asked, result in zip(batch, found, strict=True):
            asked.answer.set_result(result)

    def _alone(self, asked: _Asked) -> None:
        try:
            (found,) = self._together([asked.what])
        except Lost:
            raise
        except Torn:
            _fail(asked, Away())
        except BaseException as exc:  # the thread goes on, whatever a function raises
            _fail(asked, exc)
        else:
            asked.answer.set_result(found)

    def _together(self, whats: Sequence[Callable[[Tx], Any]]) -> list[Any]:
        connection = self._connection
        assert connection is not None, "served without a connection"
        connection.begin(write=self._write)
        try:
            found = [what(connection) for what in whats]
            connection.commit()
        except Lost:
            raise
        except BaseException:
            connection.rollback()
            raise
        return found

    def _say_away(self, error: Exception) -> None:
        if (why := str(error.__cause__ or error)) != self._said:  # else it would be said twice a second
            log.warning("the database is away", line=self._name, error=why)
            self._said = why

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Database:
    """The database: one line that writes, one that reads."""

    def __init__(self, driver: Driver) -> None:
        self.now = driver.now
        self._writer = Line(driver, "database-writer", write=True)
        self._reader = Line(driver, "database-reader", write=False)
        self.write = self._writer.ask
        self.read = self._reader.ask

    def __repr__(self) -> str:
        return f"<Database {self._writer!r} {self._reader!r}>"

    @property
    def usable(self) -> bool:
        """Whether it can be had."""
        return self._writer.usable and self._reader.usable

    def start(self) -> None:
        """Connect, in the background."""
        self._writer.start()
        self._reader.start()

    async def aclose(self) -> None:
        """Finish what was asked for, and close."""
        await asyncio.gather(self._writer.aclose(), self._reader.aclose())


def _fail(asked: _Asked, error: BaseException) -> None:
    asked.answer.set_exception(error)
