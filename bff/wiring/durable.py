"""How durable work is put together: its database, who takes it in, who does it."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog

from bff.durable import census, sqlite
from bff.durable.batches import Batch
from bff.durable.census import Census
from bff.durable.claims import Worker as Name
from bff.durable.database import Away, Database
from bff.durable.desk import Desk
from bff.durable.doing import Needs, Patience
from bff.durable.driver import Driver
from bff.durable.engine import Place
from bff.durable.selling import Pace, Selling
from bff.durable.terms import ALONE_SECONDS, IDLE_SECONDS, Terms
from bff.durable.worker import Worker
from bff.metrics import Metrics
from bff.product.fence import Fence, Untold
from bff.product.parts import SOURCES
from bff.product.writing import Writing
from bff.settings import Settings
from bff.wiring.clocks import clock, wall_clock
from bff.wiring.sources import deductor
from clients.deduct import Deductor, Item
from clients.source import Caller

LOCAL = "local"
FILE = "bff.sqlite"
ENGINE_FILE = "dbos.sqlite"
CENSUS_SECONDS = 2.0
STEP_SECONDS = 15.0
"""What a step may take besides its calls, before it counts as overdue."""

STOP_SECONDS = 5.0
"""What steps under way get at a stop, at most; what they leave is on disk, and taken up again."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Durable:
    """Durable work, and what its life needs.

    new_id: makes names whose order is that of time. worker: None where others do it. census: as it was counted last,
    None before it was.
    """

    database: Database
    desk: Desk
    new_id: Callable[[], str]
    worker: Worker | None
    stock: Deductor | None
    release: Callable[[], None]
    enabled: bool
    census: Census | None = None
    _counting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take work in and do it, as soon as there is a database; where nobody may write there is none."""
        if not self.enabled:
            return
        self.database.start()
        if self.worker is not None:
            self.worker.start()
        self._counting = asyncio.get_running_loop().create_task(self._count())

    def figures(self) -> dict[str, Any]:
        """Return how much there is, and who does it."""
        database = "usable" if self.database.usable else "away"
        counted = dict.fromkeys(Census.__slots__) if self.census is None else asdict(self.census)
        return {
            "enabled": self.enabled,
            "database": database if self.enabled else None,
            "worker": None if self.worker is None else {"working": self.worker.working},
            **counted,
        }

    async def aclose(self) -> None:
        """Let what is under way end, and leave the rest on disk."""
        if not self.enabled:
            return
        if self.worker is not None:
            await self.worker.aclose()
        if self._counting is not None:
            self._counting.cancel()
        if self.stock is not None:
            await self.stock.aclose()
        await self.database.aclose()
        self.release()

    async def _count(self) -> None:
        while True:
            try:
                self.census = await self.database.read(partial(census.count, now=self.database.now()))
            except Away:
                log.debug("not counted: the database is away")
            await asyncio.sleep(IDLE_SECONDS if self.census is None else CENSUS_SECONDS)


def durable(settings: Settings, writing: Writing, fence: Fence, metrics: Metrics, *, works: bool) -> Durable:
    """Put it together. works: whether this process does the work, besides taking it in."""
    driver, place, release = _database(settings)
    database = Database(driver)
    worker = stock = None
    if works and settings.authenticates:
        name = Name(place.executor_id, secrets.token_hex(8))
        stock = deductor(settings.stock)
        selling = None if stock is None else _selling(settings, database, name, stock, fence, metrics)
        worker = _worker(settings, database, place, name, writing, selling, metrics)
    desk = Desk(database, settings.reservations.max_queued, worker.wake if worker else _nobody, metrics.change_ended)
    found = Durable(database, desk, partial(_new_id, database.now), worker, stock, release, settings.authenticates)
    if found.enabled:
        _warn(settings)
        metrics.watch_durable(lambda: found.census, lambda: database.usable)
    return found


def _warn(settings: Settings) -> None:
    if settings.database_url is None and settings.redis_url is not None:
        log.warning("pods that share Redis do not share SQLite: set BFF_DATABASE_URL, or let one of them write alone")
    if settings.database_url is not None and settings.redis_url is None:
        log.warning("without BFF_REDIS_URL the pods are not told of what changes and reservations write")


def _new_id(now: Callable[[], float]) -> str:
    """Return a name whose order is that of time, to the millisecond."""
    return f"{int(now() * 1000):012x}{secrets.token_hex(10)}"


def reach_database(settings: Settings) -> tuple[bool, str]:
    """Try once whether the database can be used; return whether, and what was found. It blocks."""
    if settings.database_url is None:
        found = [sqlite.reach(settings.data_dir / name) for name in (FILE, ENGINE_FILE)]
        return next((each for each in found if not each[0]), found[0])
    from bff.durable import postgres

    return postgres.reach(settings.database_url)


def _database(settings: Settings) -> tuple[Driver, Place, Callable[[], None]]:
    executor = settings.executor_id or LOCAL
    if settings.database_url is None:
        offset = wall_clock() - clock()
        file = sqlite.Sqlite(settings.data_dir / FILE, lambda: clock() + offset)
        engines = settings.data_dir.absolute() / ENGINE_FILE  # of its own: in one file, each waits for the other
        return file, Place(f"sqlite:///{engines}", executor, lambda: sqlite.open_wal(engines).close()), file.release
    from bff.durable.postgres import CONNECT_SECONDS, Postgres  # psycopg, for those alone who have a server

    postgres = Postgres(settings.database_url, clock, wall_clock)
    url = urlsplit(settings.database_url)
    query = urlencode({"connect_timeout": CONNECT_SECONDS, **dict(parse_qsl(url.query))})
    return postgres, Place(url._replace(query=query).geturl(), executor, _nothing), _nothing


def _worker(
    settings: Settings,
    database: Database,
    place: Place,
    name: Name,
    writing: Writing,
    selling: Selling | None,
    metrics: Metrics,
) -> Worker:
    longest = max(getattr(settings, source).write_timeout_seconds for source in SOURCES)
    grace_seconds = min(settings.grace_seconds, STOP_SECONDS)
    terms = Terms(settings.database_url is None, STEP_SECONDS + 3 * longest, grace_seconds)
    patience = Patience(settings.changes.attempts, settings.changes.undo_seconds)
    needs = Needs(database, writing, name, patience, random.uniform, asyncio.sleep)
    return Worker(needs, place, terms, selling, settings.retention.seconds, clock, metrics)


def _selling(
    settings: Settings, database: Database, name: Name, stock: Deductor, fence: Fence, metrics: Metrics
) -> Selling:
    alone = settings.database_url is None
    poll_seconds = ALONE_SECONDS if alone else IDLE_SECONDS
    pace = Pace(settings.reservations.rate, settings.reservations.max_age_seconds, poll_seconds)
    seller = _Stock(stock, settings.stock.write_timeout_seconds)
    return Selling(
        database, seller, name, pace, partial(_new_id, database.now), _changed(fence), metrics.reservations_ended
    )


def _changed(fence: Fence) -> Callable[[Sequence[str]], Awaitable[None]]:
    async def changed(skus: Sequence[str]) -> None:
        try:
            await fence.forget(skus, ("stock",))
        except Untold:  # what is sold is sold; a page may show the stock before it for as long as it is fresh
            log.warning("not every pod was told of sales", products=len(skus))

    return changed


class _Stock:
    """The stock service, as selling asks it."""

    def __init__(self, client: Deductor, seconds: float) -> None:
        self._client = client
        self._seconds = seconds

    async def deduct(self, batch: Batch) -> Mapping[str, str]:
        items = [Item(item.reservation_id, batch.sku_id, item.quantity) for item in batch.items]
        return await self._client.deduct(batch.id, items, _caller(batch.id), self._seconds)

    async def release(self, reservation_ids: Sequence[str]) -> None:
        await self._client.release(reservation_ids, _caller(secrets.token_hex(16)), self._seconds)


def _caller(request_id: str) -> Caller:
    return Caller(request_id, f"{random.getrandbits(128) or 1:032x}")


def _nobody() -> None:
    """Wake nobody: who does the work looks by itself."""


def _nothing() -> None:
    """Prepare nothing, release nothing."""
