"""The life of a worker: its name, its beats, what it claims, and its end. A name belongs to one process at a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import structlog

from bff.durable import batches, claims, runner
from bff.durable.claims import Claim
from bff.durable.database import Away, Database
from bff.durable.doing import Needs
from bff.durable.driver import Tx
from bff.durable.engine import Engine, NotLaunched, Place
from bff.durable.reconciler import Counting, Reconciler
from bff.durable.retention import Retention
from bff.durable.selling import Selling
from bff.durable.steps import Usurped
from bff.durable.terms import ALONE_SECONDS, IDLE_SECONDS, Terms

ROOM = 20
"""Changes that one worker does at once."""

BEAT_SECONDS = 0.5
NAME_SECONDS = 1.6
AWAY_SECONDS = 3.0
"""After so long without its database the engine is started anew: it would go on waiting for up to a minute."""

SWEEP_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Worker:
    """Does what was accepted. selling, retention: None where there is none."""

    def __init__(
        self,
        needs: Needs,
        place: Place,
        terms: Terms,
        selling: Selling | None,
        retention_seconds: float,
        clock: Callable[[], float],
        counting: Counting,
    ) -> None:
        self._needs = replace(needs, sleep=self._sleep)
        self._database: Database = needs.database
        self._name = needs.worker
        self._terms = terms
        self._engine = Engine(place, self._perform)
        self._selling = selling
        self._retention = Retention(needs.database, retention_seconds, self._engine.purge)
        self._clock = clock
        self._counting = counting
        self._reconciler = Reconciler(needs.database, needs.worker, selling, terms.overdue_seconds, clock, counting)
        self._wake = asyncio.Event()
        self._doing = 0
        self._stopping = False
        self._said = ""
        self._taken_up = False
        self._away_since: float | None = None
        self._life: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Worker {self._name.id}, {self._doing} steps under way, {self._engine!r}>"

    @property
    def working(self) -> bool:
        """Whether it does what it claims."""
        return self._engine.running

    def start(self) -> None:
        """Work, as soon as there is a database."""
        self._life = asyncio.get_running_loop().create_task(self._live())

    def wake(self) -> None:
        """Look for work at once."""
        self._wake.set()
        if self._selling is not None:
            self._selling.wake()

    async def aclose(self) -> None:
        """Begin nothing more, let the steps under way end within the grace, and leave the rest to whoever comes."""
        self._stopping = True
        until = self._clock() + self._terms.grace_seconds
        while self._doing and self._clock() < until:  # noqa: ASYNC110 - it happens once in a life
            await asyncio.sleep(0.02)
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            with contextlib.suppress(Away):
                await self._database.write(partial(claims.leave, worker=self._name))

    async def _live(self) -> None:
        while True:
            await self._take_name()
            await self._work()

    async def _take_name(self) -> None:
        while True:
            with contextlib.suppress(Away):
                last = (await self._database.read(claims.seen)).get(self._name.id)
                if last is not None and not self._terms.alone:
                    await asyncio.sleep(NAME_SECONDS)
                if await self._database.write(partial(claims.take_name, worker=self._name, last=last)):
                    return
                log.warning("another worker has this name", name=self._name.id)
            await asyncio.sleep(IDLE_SECONDS)

    async def _work(self) -> None:
        """Work until the name is lost."""
        parts = [
            self._repeat(self._keep_engine, IDLE_SECONDS),
            self._repeat(self._dispatch, 0.0),
            self._repeat(self._reconcile, self._terms.poll_seconds),
            self._repeat(self._sweep, SWEEP_SECONDS),
        ]
        if self._selling is not None:
            parts += [self._repeat(run, IDLE_SECONDS) for run in (self._selling.run, self._selling.run_returns)]
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(part) for part in parts]
        try:
            await self._beat()
            log.warning("this worker's name was taken, or given up for gone", name=self._name.id)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._selling is not None:
                await self._selling.aclose()
            await self._engine.aclose()

    async def _repeat(self, what: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
        """Do something for ever; what goes wrong with it is a line in the log, and the next time comes."""
        while True:
            try:
                await what()
            except (Away, NotLaunched):
                await asyncio.sleep(IDLE_SECONDS)
            except Exception:
                log.exception("durable work broke, and goes on", part=what.__name__)
                await asyncio.sleep(AWAY_SECONDS)
            await asyncio.sleep(pause_seconds)

    async def _beat(self) -> None:
        """Beat until the name is another one's; where there can be no other one, see that it is still there."""
        while True:
            with contextlib.suppress(Away):
                if not await self._has_name():
                    return
            await asyncio.sleep(ALONE_SECONDS if self._terms.alone else BEAT_SECONDS)

    async def _has_name(self) -> bool:
        if not self._terms.alone:
            return await self._database.write(partial(claims.beat, worker=self._name))
        boot, _ = (await self._database.read(claims.seen)).get(self._name.id, ("", 0))
        return boot == self._name.boot  # a file that is put in this one's place has another one's, or none

    async def _keep_engine(self) -> None:
        """Have the engine run while the database is there, and anew where that was away for long."""
        if not self._database.usable:
            self._away_since = self._away_since or self._clock()
            return
        if self._away_since is not None and self._clock() - self._away_since > AWAY_SECONDS:
            await self._engine.aclose()
        self._away_since = None
        if not self._engine.running and not self._stopping:
            await self._take_up()
            await self._start_engine()
            await self._resume()

    async def _start_engine(self) -> None:
        try:
            await self._engine.start()
        except NotLaunched as exc:
            if (why := str(exc)) != self._said:  # else it would be said five times a second
                log.warning("changes cannot be done: the engine does not start", error=why)
                self._said = why
            raise
        self._said = ""
        log.info("durable work goes on", name=self._name.id)

    async def _take_up(self) -> None:
        """Say, once in a life, what an earlier process of this name has left; it is gone on with as it is."""
        if self._taken_up:
            return
        for kind, take_up in (("change", claims.take_up), ("batch", batches.take_up)):
            count = await self._database.write(partial(take_up, worker=self._name, now=self._database.now()))
            if count:
                log.warning("work of an earlier process is taken up again", kind=kind, count=count)
                self._counting.reconciled(kind, count)
        self._taken_up = True

    async def _resume(self) -> None:
        """Go on with what this worker had begun, where an earlier process or an outage left it."""
        for claim in await self._database.read(partial(claims.mine, worker=self._name)):
            await self._engine.run(claim)
        if self._selling is not None:
            self._selling.resume(await self._database.read(partial(batches.mine, worker=self._name)))

    async def _dispatch(self) -> None:
        """Claim what is to be done, and have it done."""
        claimed: list[Claim] = []
        if self._engine.running and not self._stopping:
            claimed = await self._database.write(self._claim)
        for claim in claimed:
            await self._engine.run(claim)
        if not claimed:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._terms.poll_seconds):
                    await self._wake.wait()

    def _claim(self, tx: Tx) -> list[Claim]:
        # The time is that of the claim, however long it waited for its turn: a change's own time begins with it.
        return claims.claim(tx, self._name, ROOM, self._database.now())

    async def _reconcile(self) -> None:
        """Go on with what nobody does any more."""
        ready = self._engine.running and not self._stopping
        for claim in await self._reconciler.find(take=ready):
            await self._engine.run(claim)

    async def _sweep(self) -> None:
        while await self._retention.sweep():  # noqa: ASYNC110 - it does something each time
            await asyncio.sleep(0)  # others' turn, between one batch and the next

    async def _sleep(self, seconds: float) -> None:
        """Wait between two attempts; a worker that stops makes no other one."""
        if self._stopping:
            raise Usurped
        await asyncio.sleep(seconds)
        if self._stopping:
            raise Usurped

    async def _perform(self, claim: Claim, name: str) -> str:
        """Do a step, for the engine."""
        if self._stopping:
            raise Usurped
        self._doing += 1
        try:
            ended = await runner.do(self._needs, claim, name)
        except Exception:
            log.exception("a step broke, and is taken up again", change_id=claim.change_id, step=name)
            raise
        finally:
            self._doing -= 1
        if name == "end":
            self._wake.set()
            if ended not in ("fenced", "stopped"):
                self._counting.change_ended(ended)
        return ended
