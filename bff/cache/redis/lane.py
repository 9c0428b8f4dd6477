"""One connection to Redis, over which many questions are under way at once.

What is asked in one turn of the event loop leaves together, and answers come back in the order of the questions. So a
page costs no connection, no task and at most one round trip.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio.connection import Connection
from redis.exceptions import MasterDownError, NoScriptError, ReadOnlyError, RedisError, ResponseError

from bff.cache.redis.address import CONNECT_SECONDS, Address
from bff.cache.redis.breaker import Breaker
from bff.cache.redis.scripts import SCRIPTS, Script

PAGE_SECONDS = 0.05  # what a page waits for Redis at most
STUCK_SECONDS = 0.5  # after so long without an answer that is due, a connection is given up
MAX_UNANSWERED = 4096
TURNS = 3  # of the event loop: to poll, to take what came, to hand it out

log = structlog.get_logger(__name__)
Clock = Callable[[], float]
Answer = Any
Done = Callable[[Answer], None]  # takes an answer, or the exception that there is in its place


class Unanswered(Exception):
    """Redis did not answer, or not in time, or cannot be reached."""


class _Question:
    __slots__ = ("asked", "done", "soon")

    def __init__(self, done: Done, asked: float, *, soon: bool) -> None:
        self.done: Done | None = done
        self.asked = asked
        self.soon = soon

    def answer(self, answer: Answer) -> None:
        done, self.done = self.done, None
        if done is not None:
            done(answer)


class Lane:
    """The connection, and the breaker round it. failed: told of each failure, by a word.

    run_id: of the server that the connection leads to; keys begin with it, so that another server starts cold.
    server_ms: what the server's clock said lately, and at what time of ours that was at the latest.
    """

    def __init__(self, address: Address, clock: Clock, failed: Callable[[str], None]) -> None:
        self._address = address
        self._clock = clock
        self._failed = failed
        self._connection: Connection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._out: list[tuple[Any, ...]] = []
        self._questions: deque[_Question] = deque()  # sent or about to be, and not answered
        self._due: deque[_Question] = deque()  # those among them that pages wait for
        self._timer: asyncio.Handle | None = None
        self.breaker = Breaker()
        self.run_id = ""
        self.server_ms = (0, 0.0)

    def __repr__(self) -> str:
        return f"<Lane {'usable' if self.usable else 'not usable'}, {len(self._questions)} unanswered>"

    @property
    def usable(self) -> bool:
        """Whether pages may ask."""
        return self.breaker.closed

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect; raises Unanswered."""
        self._close()
        connection = self._address.connection()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
                await self._prepare(connection)
        except BaseException as exc:  # cancelled, too: nobody else knows of this connection
            with suppress(Exception):
                await connection.disconnect(nowait=True)
            if not isinstance(exc, RedisError | OSError | TimeoutError | ValueError):
                raise
            self._failed("connect")
            raise Unanswered(type(exc).__name__) from exc
        self._connection = connection
        self.breaker.connected()
        self._reading = asyncio.get_running_loop().create_task(self._read(connection))

    def ask(self, command: Sequence[Any], done: Done, *, soon: bool = False) -> None:
        """Have something asked at the end of this turn. soon: a page waits for it, PAGE_SECONDS at most."""
        if self._connection is None or len(self._questions) >= MAX_UNANSWERED:
            done(Unanswered("not connected"))
            return
        question = _Question(done, self._clock(), soon=soon)
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(tuple(command))
        self._questions.append(question)
        if soon:
            self._due.append(question)
        if self._timer is None:
            self._look_in(PAGE_SECONDS)

    def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any], done: Done, *, soon: bool = False
    ) -> None:
        """Have a script run; as `ask`."""
        self.ask(("EVALSHA", script.digest, len(keys), *keys, *arguments), done, soon=soon)

    async def call(self, script: Script, keys: Sequence[str], arguments: Sequence[Any], seconds: float) -> Answer:
        """Return what a script returns, within so long; raises Unanswered."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        self.run(script, keys, arguments, done)
        try:
            async with asyncio.timeout(seconds):
                answer = await future
        except TimeoutError as exc:
            self._failed("timeout")
            raise Unanswered("timeout") from exc
        if isinstance(answer, Exception):
            raise answer if isinstance(answer, Unanswered) else Unanswered(type(answer).__name__) from answer
        return answer

    async def aclose(self) -> None:
        """Close the connection; what is not answered by now is answered with Unanswered."""
        reading = self._reading
        self._close()
        for writing in self._writing:
            writing.cancel()
        await asyncio.gather(*self._writing, *((reading,) if reading else ()), return_exceptions=True)

    async def _prepare(self, connection: Connection) -> None:
        """Have the scripts known to the server, and ask who it is and what its clock says."""
        commands = [*(("SCRIPT", "LOAD", script.text) for script in SCRIPTS), ("INFO", "server"), ("TIME",)]
        await connection.send_packed_command(connection.pack_commands(commands))
        for script in SCRIPTS:
            if (await connection.read_response()).decode() != script.digest:
                raise ValueError(script.name)
        info: bytes = await connection.read_response()
        lines = dict(line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
        self.run_id = lines.get("run_id", "unknown")[:16]
        seconds, micros = await connection.read_response()
        self.server_ms = (int(seconds) * 1000 + int(micros) // 1000, self._clock())

    def _flush(self) -> None:
        if (out := self._out) and self._connection is not None:
            self._out = []
            task = asyncio.get_running_loop().create_task(self._write(self._connection, out))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write(self, connection: Connection, commands: list[tuple[Any, ...]]) -> None:
        if self._connection is not connection:  # redis-py would connect it once more, and nobody would read from it
            return
        try:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        except Exception:  # also uvloop's word for a transport that is closed; what was asked is answered in no case
            self._lose(connection)

    async def _read(self, connection: Connection) -> None:
        try:
            while True:
                try:
                    answer = await connection.read_response(
                        disable_decoding=True, timeout=float("inf"), disconnect_on_error=False
                    )
                except ResponseError as exc:
                    if not self._refused(connection, exc):
                        return
                    continue
                question = self._questions.popleft()
                if question.soon and question.done is not None:  # answered, and in time
                    self.breaker.in_time()
                question.answer(answer)
        except (RedisError, OSError):
            self._lose(connection)
        except Exception as exc:  # an answer that nobody asked for, or whoever asked broke over it
            log.error("reading from Redis broke", exc_info=exc)
            self._lose(connection)

    def _refused(self, connection: Connection, error: ResponseError) -> bool:
        """Hand out an error; return whether the connection is still of use."""
        self._failed("refused")
        self._questions.popleft().answer(error)
        if isinstance(error, (NoScriptError, ReadOnlyError, MasterDownError)):
            self._lose(connection)  # a new connection finds what this one lacks
        return self._connection is connection

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self, turns: int = TURNS) -> None:
        """Give up what pages have waited for long enough, and a connection that says nothing any more."""
        if turns:  # where it was this process that was late, the answer may be there already, and only not yet read
            self._timer = asyncio.get_running_loop().call_soon(self._look, turns - 1)
            return
        self._timer = None
        now, due = self._clock(), self._due
        while due and (due[0].done is None or now - due[0].asked >= PAGE_SECONDS):
            question = due.popleft()
            if question.done is not None:
                self._failed("timeout")
                self.breaker.late()
                question.answer(Unanswered("timeout"))
        if self._questions and now - self._questions[0].asked >= STUCK_SECONDS and self._connection is not None:
            self._lose(self._connection)
        elif due or self._questions:
            self._look_in(max(0.001, due[0].asked + PAGE_SECONDS - now) if due else PAGE_SECONDS)

    def _lose(self, connection: Connection) -> None:
        if self._connection is connection:
            self._failed("lost")
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self.breaker.lost()
        self._out, self._due = [], deque()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if connection is not None:
            _abort(connection)
        left, self._questions = self._questions, deque()
        for question in left:
            question.answer(Unanswered("lost"))


def _abort(connection: Connection) -> None:
    """Close a connection without waiting until what was written has left: it may never do so."""
    if writer := connection._writer:  # noqa: SLF001 - redis-py only closes in peace
        writer.transport.abort()
    connection._close()  # type: ignore[no-untyped-call] # noqa: SLF001 - else it would complain of not having been closed
