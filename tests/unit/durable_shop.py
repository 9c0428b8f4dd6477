"""What selling lives in, as a test plays it: tables, a stock service by section 5 of the contract, and what may happen.

As with changes, a plan says what happens at which point: before a transaction, and before a call of the stock service.
After a crash nothing of that process happens any more, and another one finds what is on disk.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from bff.durable import batches, journal, reservations
from bff.durable.batches import Batch
from bff.durable.claims import Worker
from bff.durable.database import Away, Database
from bff.durable.driver import Connection, Tx
from bff.durable.journal import RESERVATION_ENDS
from bff.durable.keys import Key
from bff.durable.reservations import Answer, Wish
from bff.durable.selling import Pace, Selling
from clients.errors import Garbled, Unavailable, Unknown
from tests.unit.durable_stock import Stock
from tests.unit.durable_tables import tables, transacted

T = TypeVar("T")
PACE = Pace(None, 300.0, 0.2)
LONG_SECONDS = 1000.0
OVERDUE_SECONDS = 30.0
PARTS = {"half an answer": 1, "no results": 0}
"""How much of an answer comes."""

CALLER = "caller"


@dataclass
class Shop:
    """All of it.

    plan: what happens at which point; delay: how long a call takes on its way, and its answer; failing: SKUs of which
    each call fails.
    """

    stock: Stock
    plan: Mapping[int, str] = field(default_factory=dict)
    pace: Pace = PACE
    delay: Callable[[], float] = lambda: 0.0
    failing: set[str] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)
    dead: bool = False
    late: float = 0.0
    asked_back: set[str] = field(default_factory=set)
    told: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    sent: list[tuple[float, int]] = field(default_factory=list)
    numbers: int = 0
    tables: Connection = field(default_factory=tables)

    def __post_init__(self) -> None:
        self.first = dict(self.stock.left)

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return asyncio.get_running_loop().time() + self.late

    def do(self, what: Callable[[Tx], T]) -> T:
        """Run something in a transaction; what is counted must be what there is after each."""
        found = transacted(self.tables, what)
        ((counted,),) = self.tables.rows("select count from bff_counts where name = 'queued'")
        ((there,),) = self.tables.rows("select count(*) from bff_reservations where state = 'queued'")
        if counted != there:
            self.wrong.append(f"{counted} are counted, and {there} there")
        return found

    def reserve(self, name: str, sku: str, quantity: int = 1) -> Answer:
        """Reserve something."""
        wish = Wish(name, sku, quantity, Key(CALLER, name, "print"))
        return self.do(partial(reservations.accept, wishes=[wish], most=100_000, now=self.now))[0]

    def give_back(self, name: str) -> None:
        """Have a reservation given back; what is acknowledged is kept in mind."""
        found = self.do(partial(reservations.release, caller=CALLER, reservation_id=name, now=self.now))
        if found not in ("rejected", None):
            self.asked_back.add(name)

    async def reach(self, place: str) -> str:
        """Be at a point; return what happens there, where that is the place's own."""
        number = len(self.trace)
        act = "" if self.dead else self.plan.get(number, "")
        what, _, name = act.partition(" of ")
        if what.startswith("crash"):
            self.dead = True
        if self.dead:
            await asyncio.get_running_loop().create_future()  # nothing of that process goes on
        self.trace.append(place)
        if what == "given back":
            self.give_back(name)
        elif what == "reserved":
            self.reserve(f"late {number}", name)
        elif what == "late":
            self.late += LONG_SECONDS
        else:
            return act
        return ""

    async def write(self, what: Callable[[Tx], T]) -> T:
        """Run something in a transaction of a worker's."""
        act = await self.reach("transaction")
        if act == "away":
            raise Away
        found = self.do(what)
        if act == "away once committed":
            raise Away
        await asyncio.sleep(0)
        return found

    async def deduct(self, batch: Batch) -> Mapping[str, str]:
        """Be the stock service."""
        act = await self.reach("deduct")
        self.sent.append((asyncio.get_running_loop().time(), len(batch.items)))
        await asyncio.sleep(self.delay())
        if act == "5xx" or batch.sku_id in self.failing:
            raise Unavailable("status 503")
        if act == "request lost":
            raise Unknown("not answered")
        answer = self.stock.deduct(batch)
        await asyncio.sleep(self.delay())
        if act == "answer lost":
            raise Unknown("not answered")
        if act == "garbled":
            raise Garbled("no results")
        return dict(list(answer.items())[: PARTS.get(act)])

    async def release(self, reservation_ids: Sequence[str]) -> None:
        """Be the stock service."""
        act = await self.reach("release")
        await asyncio.sleep(self.delay())
        if act == "request lost":
            raise Unknown("not answered")
        self.stock.release(reservation_ids)
        await asyncio.sleep(self.delay())
        if act == "answer lost":
            raise Unknown("not answered")

    async def changed(self, skus: Sequence[str]) -> None:
        """Hear that stock has changed."""
        await asyncio.sleep(0)
        self.told.update(dict.fromkeys(skus, self.stock.calls))

    def selling(self, worker: Worker) -> Selling:
        """Return a process' selling."""
        return Selling(cast(Database, _Tables(self)), self, worker, self.pace, self._new_id, self.changed, _nobody)

    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        open_rows = self.tables.rows("select 1 from bff_reservations where state = 'queued' or wanted is not null")
        return not open_rows and not self.tables.rows("select 1 from bff_batches")

    def faults(self) -> list[str]:
        """Say what is wrong once all is done."""
        wrong = list(self.wrong)
        sold: dict[str, int] = {}
        rows = self.tables.rows("select id, sku_id, quantity, state, reason, batch, seq from bff_reservations")
        for name, sku, quantity, state, reason, batch, seq in rows:
            if state == "confirmed":
                sold[sku] = sold.get(sku, 0) + quantity
            if (state == "confirmed") is not (name in self.stock.taken):
                wrong.append(f"{name} is {state}, and the stock service says {self.stock.answers.get(name)}")
            if state not in RESERVATION_ENDS or batch is not None:
                wrong.append(f"{name} is left {state}")
            if name in self.asked_back and state != "released":
                wrong.append(f"{name} was to be given back, and is {state}")
            if state == "released" and name not in self.asked_back:
                wrong.append(f"{name} was given back unasked")
            wrong += self._history(name, state, reason, seq)
        for sku, first in self.first.items():
            if self.stock.left[sku] + sold.get(sku, 0) != first or self.stock.left[sku] < 0:
                wrong.append(f"{sold.get(sku, 0)} of {sku} sold, {self.stock.left[sku]} of {first} left")
        wrong += [f"nobody was told of {sku}" for sku, at in self.stock.moved.items() if self.told.get(sku, -1) < at]
        return wrong

    def _history(self, name: str, state: str, reason: str | None, seq: int) -> list[str]:
        events = journal.events(self.tables, name)
        folded = journal.fold_reservation(name, events)
        states = [event.state for event in events if event.state is not None]
        wrong = []
        if [event.seq for event in events] != [*range(1, seq + 1)]:
            wrong.append(f"{name}: events {[event.seq for event in events]} of {seq}")
        if (folded.state, folded.reason) != (state, reason):
            wrong.append(f"{name} is {state}, its events say {folded.state}")
        if states[1:] not in ([], ["confirmed"], ["rejected"], ["released"], ["confirmed", "released"]):
            wrong.append(f"{name} was {states}")
        return wrong

    def _new_id(self) -> str:
        self.numbers += 1
        return f"batch {self.numbers:04}"


@dataclass
class _Tables:
    shop: Shop
    usable: bool = True

    def now(self) -> float:
        return self.shop.now

    async def write(self, what: Callable[[Tx], T]) -> T:
        return await self.shop.write(what)

    read = write


def _nobody(counts: Mapping[tuple[str, str], int]) -> None:
    """Count nothing."""


async def live(shop: Shop, worker: Worker, resumed: Sequence[str] = ()) -> None:
    """Be one process: until all is done, or it is dead."""
    loop = asyncio.get_running_loop()
    selling = shop.selling(worker)
    selling.resume(resumed)
    tasks = [loop.create_task(selling.run()), loop.create_task(selling.run_returns())]
    try:
        while not shop.dead and not shop.is_done():
            await asyncio.sleep(0.05)
            take = partial(batches.take_over, worker=worker, dead=[], before=shop.now - OVERDUE_SECONDS, now=shop.now)
            selling.resume(shop.do(take))  # as the reconciler has it
    finally:
        for task in tasks:
            task.cancel()
        await selling.aclose()
        await asyncio.gather(*tasks, return_exceptions=True)
        shop.dead = False


async def lives(shop: Shop) -> None:
    """Have it done by as many processes, one after another, as it takes."""
    worker, resumed = Worker("one", "1"), list[str]()
    for number in range(2, 100):
        await live(shop, worker, resumed)
        if shop.is_done():
            return
        shop.trace.append(died := shop.plan[len(shop.trace)])
        if died == "crash, and started again":
            worker = Worker(worker.id, str(number))
            resumed = shop.do(partial(batches.mine, worker=worker))
        else:
            former, worker = worker.id, Worker(f"worker {number}", "1")
            take = partial(batches.take_over, worker=worker, dead=[former], before=0.0, now=shop.now)
            resumed = shop.do(take)
    raise AssertionError("it does not end")
