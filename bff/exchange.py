"""A request that is answered ahead of the application, but not at once."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

Field = tuple[bytes, bytes]
Answer = tuple[int, list[Field], bytes]
"""A status, headers, and a body."""


class Asker(Protocol):
    """Whoever answers an exchange later. One of these is called at most, and the exchange is not answered after it."""

    def left(self) -> None:
        """Answer no more: the client is gone."""

    def stopped(self) -> Answer:
        """Answer now: the grace of a stop is over."""


Later = Callable[[Asker], "Exchange"]


class Connection(Protocol):
    """Where a request came from; a scope has it under `bff.protocol.SCOPE_KEY`."""

    loop: asyncio.AbstractEventLoop
    tasks: set[Any]
    cycle: Any

    def watch(self, left: Callable[[], None] | None) -> None:
        """Have something done when the client leaves, or nothing any more."""

    def answer(self, answer: Answer, *, keep_alive: bool) -> None:
        """Write an answer, and go on to what comes after it."""


class _NobodyWaits:
    """Stands where uvicorn wakes who waits for a message."""

    def set(self) -> None:
        """Wake nobody."""


class _Answered:
    """A cycle that is over, as uvicorn's protocol looks at it between two requests."""

    response_complete = True
    message_event = _NobodyWaits()


ANSWERED = _Answered()


class Exchange:
    """A request that is answered later. uvicorn finds it where it looks for a cycle, and among its tasks."""

    __slots__ = ("_asker", "_connection", "disconnected", "keep_alive", "more_body", "response_complete")
    message_event = _NobodyWaits()

    def __init__(self, connection: Connection, asker: Asker, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self._connection = connection
        self._asker: Asker | None = asker
        connection.tasks.add(self)  # a stop waits for these, and cancels them at its end
        connection.watch(self._left)

    def __repr__(self) -> str:
        return f"<Exchange {'ended' if self._asker is None else 'open'}>"

    def answer(self, answer: Answer) -> None:
        """Send the answer, whose headers are ours now; nowhere where the client is gone."""
        if self._asker is not None:
            self._end()
            self._connection.answer(answer, keep_alive=self.keep_alive)

    def withdraw(self) -> None:
        """Leave the request to the application: nothing is answered here, and nobody is told."""
        self._end()

    def cancel(self, msg: object = None) -> None:
        """Have it answered in the next turn: uvicorn is walking through what it stops."""
        self._connection.loop.call_soon(self._stop)

    def _stop(self) -> None:
        if self._asker is not None:
            self.keep_alive = False
            self.answer(self._asker.stopped())

    def _left(self) -> None:
        asker = self._asker
        self._end()
        if asker is not None:
            asker.left()

    def _end(self) -> None:
        self._asker = None
        self.response_complete = True
        connection = self._connection
        connection.watch(None)
        connection.tasks.discard(self)
        if connection.cycle is self:  # else another request waits behind it already
            connection.cycle = ANSWERED  # so that the two do not hold each other
