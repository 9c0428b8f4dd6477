"""What a change lives in, as a test plays it: its tables, its owners, its time, and what may happen at each point.

A point is where a process may die, or somebody else may come between: before each transaction, each read and write of
an owner, and each pause. A plan says what happens at which. Nothing is waited for, so that a run takes milliseconds and
thousands of plans can be tried.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import coroutine
from typing import Any, Self, TypeVar, cast

from bff.durable import changes, claims, journal, runner, saga
from bff.durable.changes import Order
from bff.durable.changes import Part as Given
from bff.durable.claims import Claim, Worker
from bff.durable.database import Away, Database
from bff.durable.doing import Needs, Patience
from bff.durable.driver import Connection, Tx
from bff.durable.journal import CHANGE_ENDS, Change
from bff.durable.keys import Key
from bff.product.parts import SourceName
from bff.product.writing import Outcome, Unanswered, Write, Writing
from clients.source import Caller, Held
from tests.unit.durable_owner import HELD_FAULTS, SKU, WRITE_FAULTS, Owner
from tests.unit.durable_tables import tables, transacted

T = TypeVar("T")
CHANGE = "change-1"
ATTEMPTS = 2
UNDO_SECONDS = 1.5
TIMEOUT_SECONDS = 60.0
LONG_SECONDS = 1000.0
SLOW_SECONDS = 2.0


class Crash(BaseException):
    """The process dies here."""


@coroutine
def suspend() -> Generator[None, None, None]:
    """Let whoever drives the coroutine do something else first."""
    yield


def drive(work: Any) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


@dataclass
class World:
    """All of it.

    plan: what happens at which point; stubborn: what each write of a source is answered, for ever, by its name, after
    "undo" where it is written back; denied: the sources that have said that they know no such product; tables: empty;
    lent: whether they are somebody else's.
    """

    owners: Mapping[str, Owner]
    plan: Mapping[int, str] = field(default_factory=dict)
    stubborn: Mapping[str, str] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    now: float = 1000.0
    cancelled_at: int | None = None
    denied: set[str] = field(default_factory=set)
    tables: Connection = field(default_factory=lambda: tables())
    lent: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.lent:
            self.tables.close()

    def do(self, what: Callable[[Tx], T]) -> T:
        """Run something in a transaction."""
        return transacted(self.tables, what)

    async def write(self, what: Callable[[Tx], T]) -> T:
        """Run something in a transaction of the worker's: the part of the database that steps see."""
        act = await self.reach("transaction")
        if act == "away":
            raise Away
        found = self.do(what)
        if act == "away once committed":
            raise Away
        return found

    async def reach(self, place: str) -> str:
        """Be at a point; return what happens there, where that is the place's own, or nothing's."""
        number = len(self.trace)
        self.trace.append(place)
        self.now += 0.001
        for owner in self.owners.values():
            owner.advance(self.now)
        act = self.plan.get(number, "")
        what, _, source = act.partition(" by ")
        if what.startswith("crash"):
            raise Crash(act)
        if what == "intruded":
            self.owners[source].intrude()
        elif what == "cancelled":
            self.cancel()
        elif what == "late":
            self.now += LONG_SECONDS
        elif what == "paused":
            await suspend()
        else:
            return act
        return ""

    async def held(self, source: str, sku: str, caller: Caller) -> Held | None:
        """Be the owners, read."""
        act = await self.reach(f"read {source}")
        if act == "unknown":
            self.denied.add(source)
            return None
        if act in HELD_FAULTS:
            raise HELD_FAULTS[act]
        return self.owners[source].held()

    async def tell(self, write: Write) -> Outcome:
        """Be the owners, written to."""
        act = await self.reach(f"write {write.source}")
        way = "undo " if "-undo-" in (write.key or "") else ""
        act = act or self.stubborn.get(way + write.source, "")
        if self.owners[write.source].is_at(write) and act in ("409", "422", "refused", "slow"):
            act = ""  # it says so itself
        if act == "slow":
            self.owners[write.source].delay(write, self.now + SLOW_SECONDS)
            return Unanswered()
        taken, seen = WRITE_FAULTS.get(act, (True, None))
        outcome = self.owners[write.source].take(write) if taken else None
        seen = seen or outcome
        assert seen is not None, act
        return seen

    async def sleep(self, seconds: float) -> None:
        """Pass the time."""
        await self.reach("pause")
        self.now += seconds

    def accept(self, change_id: str = CHANGE, *, sku: str = SKU, priority: int = 5) -> None:
        """Accept a change of every part that there is an owner of."""
        parts = tuple(
            Given(source, owner.value_of("ours").decode(), owner.value_of("ours").decode())
            for source, owner in self.owners.items()
        )
        key = Key("caller", change_id, "fingerprint")
        order = Order(change_id, sku, key, parts, TIMEOUT_SECONDS, priority, "request", "trace")
        self.do(partial(changes.accept, order=order, now=self.now))

    def cancel(self) -> None:
        """Cancel the change; what is acknowledged is kept in mind."""
        found = self.do(partial(changes.cancel, change_id=CHANGE, cause="asked for", now=self.now))
        if isinstance(found, Change) and self.cancelled_at is None:
            self.cancelled_at = found.seq

    def name(self, worker: Worker) -> Worker:
        """Give a worker its name, whoever has it."""
        last = self.do(claims.seen).get(worker.id)
        assert self.do(partial(claims.take_name, worker=worker, last=last))
        return worker

    def claim(self, worker: Worker) -> Claim:
        """Have a worker claim what there is."""
        (found,) = self.do(partial(claims.claim, worker=worker, room=20, now=self.now))
        return found

    def hand_over(self, worker: Worker, former: Worker) -> Claim | None:
        """Have a worker take over what another one had; None where there is nothing."""
        take = partial(claims.take_over, worker=worker, dead=[former.id], overdue=0.0, room=20, now=self.now)
        found = self.do(take)
        return found[0] if found else None

    def needs(self, worker: Worker) -> Needs:
        """Return what the steps of a worker need."""
        patience = Patience(ATTEMPTS, UNDO_SECONDS)
        return Needs(cast(Database, _Tables(self)), cast(Writing, _Telling(self)), worker, patience, _most, self.sleep)

    def life(self, worker: Worker, claim: Claim) -> Any:
        """Return the work of one process on a claimed change."""
        return saga.change(claim.sources, partial(runner.do, self.needs(worker), claim))

    def change(self) -> Change:
        """Return the change as the journal has it."""
        return journal.fold_change(CHANGE, journal.events(self.tables, CHANGE))


@dataclass
class _Tables:
    world: World
    usable: bool = True

    def now(self) -> float:
        return self.world.now

    async def write(self, what: Callable[[Tx], T]) -> T:
        return await self.world.write(what)

    read = write


@dataclass
class _Telling:
    world: World

    def seconds(self, source: SourceName) -> float:
        return 2 * SLOW_SECONDS

    async def held(self, source: SourceName, sku: str, caller: Caller) -> Held | None:
        return await self.world.held(source, sku, caller)

    async def write(self, write: Write) -> Outcome:
        return await self.world.tell(write)


def _most(low: float, high: float) -> float:
    return high


def world(
    sources: Sequence[str] = ("info", "price"),
    plan: Mapping[int, str] | None = None,
    stubborn: Mapping[str, str] | None = None,
    *,
    tags: bool = True,
    remembers: bool = True,
    shouts: bool = False,
    on: Connection | None = None,
) -> World:
    """Make a world with a change that is accepted. on: empty tables."""
    owners = {source: Owner(source, tags=tags, remembers=remembers, shouts=shouts) for source in sources}
    made = World(owners, plan or {}, stubborn or {}, tables=on or tables(), lent=on is not None)
    made.accept()
    return made


def lives(played: World, first: Worker = Worker("one", "1")) -> str:  # noqa: B008 - frozen
    """Have the change done: by another worker after a crash, or by the same one, started again; return its end."""
    worker = played.name(first)
    claim = played.claim(worker)
    for boot in range(2, 100):
        try:
            ended = str(drive(played.life(worker, claim)))
            state = played.change().state
            return state if ended == "fenced" and state in CHANGE_ENDS else ended  # what has ended is nobody's any more
        except Crash as crash:
            if str(crash) == "crash, and started again":
                worker = played.name(replace(worker, boot=str(boot)))
                continue
            former, worker = worker, played.name(Worker(f"worker {boot}", "1"))
            taken = played.hand_over(worker, former)
            if taken is None:
                return played.change().state
            claim = taken
    raise AssertionError("it does not end")
