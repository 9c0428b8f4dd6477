"""DBOS, which sees changes through and takes them up again where its process died. No other module imports it.

It is driven from a thread and a loop of its own: it replaces the default executor of the loop that it runs on, and
waits in that executor's threads for a database that is away. What it calls back runs on the loop of the service.
What is on record of a change is not here but in the journal: a workflow may be lost, or run twice, and does no harm.

DBOS 3.4: a workflow is recovered by a process that launches with the same executor id and application version.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import uvloop

from bff.durable import saga
from bff.durable.claims import Claim

APPLICATION = "product-bff"
VERSION = "1"
"""Of the steps and their names, fixed by us: a new one leaves what is under way to the processes of the old one."""

THREADS = 4
JOIN_SECONDS = 10.0
STOP_LOOK_SECONDS = 0.25
"""How often DBOS looks whether it is to stop; each look is a query, too."""

_ONE = threading.Lock()  # DBOS is one in a process: a second one would share its registry and its tables

Perform = Callable[[Claim, str], Awaitable[str]]

log = structlog.get_logger(__name__)


class NotLaunched(Exception):
    """The engine could not be started: its database is away, or another one runs in this process."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the engine keeps its tables, and under which name it works. prepare: called before a launch; may raise."""

    database_url: str
    executor_id: str
    prepare: Callable[[], object]


class Engine:
    """Drives claimed changes. perform: does one step of one; it is called on the loop that starts the engine."""

    def __init__(self, place: Place, perform: Perform) -> None:
        self._place = place
        self._perform = perform
        self._thread: threading.Thread | None = None
        self._launched: asyncio.Future[None] | None = None
        self._home: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._change: Any = None
        self._closing = False

    def __repr__(self) -> str:
        return f"<Engine {self._place.executor_id}{' running' if self.running else ''}>"

    @property
    def running(self) -> bool:
        """Whether changes can be given to it."""
        return self._loop is not None

    async def start(self) -> None:
        """Start it, and with it what this executor had begun; raises NotLaunched."""
        self._closing = False
        self._home = asyncio.get_running_loop()
        self._launched = self._home.create_future()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._live()), name="engine", daemon=True)
        self._thread.start()
        await self._launched

    async def run(self, claim: Claim) -> None:
        """Have a claimed change done; one that is being done under this claim goes on as it is. Raises NotLaunched."""
        await self._there(self._start(claim))

    async def purge(self, claims: Sequence[tuple[str, int]]) -> None:
        """Forget changes that have ended, given with their highest epochs. Raises NotLaunched."""
        ids = [_workflow(change_id, epoch) for change_id, last in claims for epoch in range(1, last + 1)]
        await self._there(self._delete(ids))

    async def aclose(self) -> None:
        """Stop; what is under way stays to be taken up again."""
        self._closing = True  # seen by the thread where it is still launching
        thread, self._thread = self._thread, None
        loop, stop = self._loop, self._stop
        self._loop = None
        if loop is not None and stop is not None:
            loop.call_soon_threadsafe(stop.set)
        if thread is not None:
            await asyncio.to_thread(thread.join, JOIN_SECONDS)

    async def _there(self, work: Any) -> None:
        if self._loop is None:
            work.close()
            raise NotLaunched
        asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise NotLaunched from None  # the engine was closed meanwhile, and all that it did was cancelled

    async def _live(self) -> None:
        """Be the engine's thread, unless there is one."""
        if not _ONE.acquire(blocking=False):
            self._tell(NotLaunched("another engine runs in this process"))
            return
        try:
            await self._drive()
        finally:
            _ONE.release()

    async def _drive(self) -> None:
        from dbos import DBOS  # takes half a second and 50 MB: for those alone who have changes to do

        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # what matters of it is said by the worker
        try:
            self._place.prepare()
            _launch(self._place, self._register)
        except Exception as exc:
            DBOS.destroy(destroy_registry=True)  # or the next launch would do nothing, without a word
            self._tell(NotLaunched(_why(exc)))
            return
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._closing:
            self._stop.set()
        self._tell(None)
        await self._stop.wait()
        self._loop = None
        DBOS.destroy(destroy_registry=True)

    def _tell(self, error: NotLaunched | None) -> None:
        def told(launched: "asyncio.Future[None]") -> None:
            if not launched.done():
                launched.set_result(None) if error is None else launched.set_exception(error)

        assert self._home is not None and self._launched is not None, "told before it was started"
        with suppress(RuntimeError):  # a loop that is gone has nobody to tell
            self._home.call_soon_threadsafe(told, self._launched)

    def _register(self) -> None:
        from dbos import DBOS

        @DBOS.workflow(name="change", max_recovery_attempts=None)
        async def change(change_id: str, epoch: int, sources: list[str]) -> str:
            claim = Claim(change_id, epoch, tuple(sources))
            # No steps of DBOS' own: one that has ended says so by the journal, where DBOS would write it twice more.
            return await saga.change(sources, partial(self._at_home, claim))

        self._change = change

    async def _at_home(self, claim: Claim, name: str) -> str:
        assert self._home is not None, "a step without a loop to run on"
        step = asyncio.run_coroutine_threadsafe(_awaited(self._perform(claim, name)), self._home)
        return await asyncio.wrap_future(step)

    async def _start(self, claim: Claim) -> None:
        from dbos import DBOS, SetWorkflowID

        with SetWorkflowID(_workflow(claim.change_id, claim.epoch)):
            await DBOS.start_workflow_async(self._change, claim.change_id, claim.epoch, list(claim.sources))

    async def _delete(self, ids: list[str]) -> None:
        from dbos import DBOS

        await DBOS.delete_workflows_async(ids)


def _launch(place: Place, register: Callable[[], None]) -> None:
    from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

    DBOS(
        config=DBOSConfig(
            name=APPLICATION,
            system_database_url=place.database_url,
            # With the executor's name in it: what one of them recovers, DBOS queues for all of the same version.
            application_version=f"{VERSION}.{place.executor_id}",
            executor_id=place.executor_id,
            max_executor_threads=THREADS,
            sys_db_pool_size=THREADS,
            log_level="CRITICAL",
            console_log_level="CRITICAL",
            enable_otlp=False,
            use_listen_notify=False,
            notification_listener_polling_interval_sec=STOP_LOOK_SECONDS,
            serializer=DBOSPortableJSONSerializer(),  # the default unpickles what is in its tables
        )
    )
    register()
    DBOS.listen_queues([])  # changes are claimed from a table of ours; polling for others costs a twentieth of a core
    DBOS.launch()


def _why(exc: Exception) -> str:
    """Say what a database said; what else may be said of it might have its URL in it, and its password."""
    said = getattr(exc, "orig", exc)
    return str(said) if isinstance(said, (OSError, sqlite3.Error)) or said is not exc else type(exc).__name__


def _workflow(change_id: str, epoch: int) -> str:
    return f"{change_id}.{epoch}"


async def _awaited(what: Awaitable[str]) -> str:
    return await what
