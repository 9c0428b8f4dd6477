"""What a change lives in, as a test plays it: its tables, its owners, its time, and what may happen at each point.

A point is where a process may die, or somebody else may come between: before each transaction, each read and write of
an owner, and each pause. A plan says what happens at which. Nothing is waited for, so that a run takes milliseconds and
thousands of plans can be tried. The tests here are of the play itself.
"""

import sqlite3
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
from bff.durable.journal import Change
from bff.durable.keys import Key
from bff.durable.schema import migrate
from bff.durable.sqlite import SqliteConnection
from bff.durable.steps import Usurped
from bff.product.parts import SourceName
from bff.product.writing import Declined, Failed, Outcome, Stored, Unanswered, Unwritten, Write, Writing
from clients.errors import Unavailable
from clients.given import Given as Shown
from clients.source import Caller, Held

T = TypeVar("T")
CHANGE = "change-1"
SKU = "7"
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


@dataclass(frozen=True)
class Entry:
    """A value that an owner took. author: the key it came with, None where it was somebody else's."""

    author: str | None
    value: bytes

    @property
    def is_ours(self) -> bool:
        return self.author is not None and "-undo-" not in self.author

    @property
    def is_undo(self) -> bool:
        return self.author is not None and "-undo-" in self.author


class Owner:
    """The owner of one part, by section 5 of the contract: a key gets its first answer again.

    tags: whether it gives entity tags. remembers: whether it knows keys.
    """

    def __init__(self, source: str, *, tags: bool = True, remembers: bool = True) -> None:
        self.source = source
        self.log = [Entry(None, self.value_of("before"))]
        self._tags = tags
        self._remembers = remembers
        self._late: list[tuple[float, Write]] = []
        self._answers: dict[str, tuple[Write, Outcome]] = {}

    def value_of(self, text: str) -> bytes:
        """Make a part."""
        return f'{{"sku_id":"{SKU}","{self.source}":"{text}"}}'.encode()

    @property
    def value(self) -> bytes:
        """What it holds."""
        return self.log[-1].value

    @property
    def tag(self) -> str | None:
        """What its entity tag is by now."""
        return f'"{len(self.log)}"' if self._tags else None

    def held(self) -> Held:
        """Answer a read."""
        return Held(Shown(self.value, self.value), self.tag)

    def intrude(self) -> None:
        """Take somebody else's value."""
        self.log.append(Entry(None, self.value_of(f"somebody else's {len(self.log)}")))

    def delay(self, write: Write, until: float) -> None:
        """Take a write in, and be at it until a time."""
        self._late.append((until, write))

    def is_at(self, write: Write) -> bool:
        """Whether it has taken this write in, and is still at it."""
        return any(late.key == write.key for _, late in self._late)

    def advance(self, now: float) -> None:
        """Do what was taken in and is due."""
        due = [write for until, write in self._late if until <= now]
        self._late = [(until, write) for until, write in self._late if until > now]
        for write in due:
            self.take(write)

    def take(self, write: Write) -> Outcome:
        """Answer a write."""
        assert write.key is not None, "a change's writes have keys"
        if self.is_at(write):
            return Declined(409)  # as the draft of the Idempotency-Key header has it
        if self._remembers and write.key in self._answers:
            first, outcome = self._answers[write.key]
            assert (first.part.sent, first.if_match) == (write.part.sent, write.if_match), "one key, two writes"
            return outcome
        outcome = self._take(write)
        self._answers[write.key] = (write, outcome)
        return outcome

    def _take(self, write: Write) -> Outcome:
        if write.if_match is not None and write.if_match != self.tag:
            return Declined(412)
        self.log.append(Entry(write.key, write.part.sent))
        return Stored(self.value)


WRITE_FAULTS: Mapping[str, tuple[bool, Outcome]] = {
    "request lost": (False, Unanswered()),
    "answer lost": (True, Unanswered()),
    "5xx": (False, Failed(open=True)),
    "5xx, and stored": (True, Failed(open=True)),
    "refused": (False, Failed(open=False)),
    "unreachable": (False, Unwritten("unreachable")),
    "409": (False, Declined(409)),
    "422": (False, Declined(422)),
}
"""By name: whether the owner takes it all the same, and what is seen of it."""

HELD_FAULTS: Mapping[str, Exception] = {"unreadable": Unavailable("broken off"), "slow": TimeoutError()}


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
        self.tables.begin(write=True)
        try:
            found = what(self.tables)
            self.tables.commit()
        except BaseException:
            self.tables.rollback()
            raise
        return found

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

    def life(self, worker: Worker, claim: Claim, memory: dict[str, str] | None = None) -> Any:
        """Return the work of one process on a claimed change. memory: of steps that ended, which an engine keeps."""
        known = {} if memory is None else memory
        needs = self.needs(worker)

        async def do(name: str) -> str:
            if name == saga.END:  # what the engine has it ask anew each time
                return await runner.do(needs, claim, name)
            if name not in known:
                known[name] = await runner.do(needs, claim, name)
            return known[name]

        return saga.change(claim.sources, do)

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


def _template() -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    migrate(SqliteConnection(raw))
    return raw


_TEMPLATE = _template()


def tables() -> SqliteConnection:
    """Return empty tables, in memory."""
    raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _TEMPLATE.backup(raw)
    return SqliteConnection(raw)


def world(
    sources: Sequence[str] = ("info", "price"),
    plan: Mapping[int, str] | None = None,
    stubborn: Mapping[str, str] | None = None,
    *,
    tags: bool = True,
    remembers: bool = True,
    on: Connection | None = None,
) -> World:
    """Make a world with a change that is accepted. on: empty tables."""
    owners = {source: Owner(source, tags=tags, remembers=remembers) for source in sources}
    made = World(owners, plan or {}, stubborn or {}, tables=on or tables(), lent=on is not None)
    made.accept()
    return made


def lives(played: World, first: Worker = Worker("one", "1")) -> str:  # noqa: B008 - frozen
    """Have the change done: by another worker after a crash, or by the same one, started again; return its end."""
    worker, memory = played.name(first), dict[str, str]()
    claim = played.claim(worker)
    for boot in range(2, 100):
        try:
            return str(drive(played.life(worker, claim, memory)))
        except Crash as crash:
            if str(crash) == "crash, and started again":
                worker = played.name(replace(worker, boot=str(boot)))
                continue
            former, worker, memory = worker, played.name(Worker(f"worker {boot}", "1")), {}
            taken = played.hand_over(worker, former)
            if taken is None:
                return played.change().state
            claim = taken
    raise AssertionError("it does not end")


def test_a_change_that_nothing_happens_to_is_written_part_by_part() -> None:
    with world() as played:
        assert lives(played) == "succeeded"
        assert [owner.value for owner in played.owners.values()] == [
            b'{"sku_id":"7","info":"ours"}',
            b'{"sku_id":"7","price":"ours"}',
        ]
        one = ["transaction", "read {}", "transaction", "write {}", "transaction"]
        assert played.trace == [
            *(place.format("info") for place in one),
            *(place.format("price") for place in one),
            "transaction",
        ]


def test_a_life_ends_where_the_plan_has_a_crash_and_another_goes_on() -> None:
    with world(plan={3: "crash"}) as played:
        assert lives(played) == "succeeded"
        assert [event.cause for event in journal.events(played.tables, CHANGE) if event.event == "started"] == [
            None,
            "taken over: one is gone",
        ]


def test_an_owner_gives_a_key_its_first_answer_again() -> None:
    owner = Owner("price")
    given = Shown(b"1", b"1")
    write = Write("price", SKU, given, Caller("request", "trace"), '"1"', "key")
    assert owner.take(write) == Stored(b"1")
    owner.intrude()
    assert owner.take(write) == Stored(b"1")
    assert owner.take(replace(write, key="another")) == Declined(412)


def test_a_process_that_is_usurped_says_so() -> None:
    with world(plan={2: "paused"}) as played:
        old = played.name(Worker("one", "1"))
        claim = played.claim(old)
        life = played.life(old, claim)
        life.send(None)
        played.name(Worker("one", "2"))
        try:
            life.send(None)
        except Usurped:
            return
        raise AssertionError
