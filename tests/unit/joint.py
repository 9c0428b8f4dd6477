"""Bulk reads that the unit ring plays: a source that a function answers, and readers that wait for it."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bff.cache.entry import Lifetimes
from bff.cache.flights import Flight
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Failed, Outcome, Tiers
from bff.product.guard import Guard
from bff.product.jointly import Jointly
from bff.product.loader import Landings, Singly, Time
from bff.resilience.breaker import Breaker, Circuit
from bff.resilience.budget import RetryBudget
from bff.resilience.bulkhead import Bulkhead
from bff.resilience.observe import Observe
from bff.resilience.retry import Retry, RetryPolicy
from bff.resilience.stack import stack
from bff.resilience.timeout import Timeout
from clients.bulk import Found
from clients.errors import Rejected
from clients.source import Caller, Room, Source
from tests.unit.playing import FAILURES, ON, Knobs, asked_wait, now

CALLER = Caller("a-request", "0" * 31 + "1")
CALL_SECONDS = 0.8
KEPT = Lifetimes(600, 0, 0, 600)
Says = Callable[[tuple[str, ...]], Any]


def well(skus: Iterable[str]) -> Found:
    """Answer with every part."""
    return Found({sku: b'{"sku_id":"%b"}' % sku.encode() for sku in skus})


def poisoned(error: Exception, *bad: str) -> Says:
    """Fail where any of these is asked for, and else answer with every part."""
    return lambda skus: error if set(bad) & set(skus) else well(skus)


@dataclass
class Shelf(Source):
    """A source without a transport: after so many seconds it answers what a function says of the SKUs.

    calls: when each bulk call was made, for whom, and how long it was told it had; singly: those that were asked alone.
    """

    says: Says = well
    seconds: float = 0.1
    alone: Any = b'{"sku_id":"alone"}'
    calls: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    given: list[float] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    singly: list[str] = field(default_factory=list)

    async def fetch_all(self, skus: tuple[str, ...], caller: Caller, seconds: float) -> Found:
        self.calls.append((now(), skus))
        self.given.append(seconds)
        self.callers.append(caller)
        await asyncio.sleep(self.seconds)
        says = self.says(skus)
        if isinstance(says, Exception):
            raise says
        assert isinstance(says, Found)
        return says

    async def fetch(self, sku: str, caller: Caller, seconds: float) -> bytes | None:
        self.singly.append(sku)
        await asyncio.sleep(self.seconds)
        if isinstance(self.alone, Exception):
            raise self.alone
        found: bytes | None = self.alone
        return found

    @property
    def asked(self) -> list[tuple[str, ...]]:
        return [skus for _, skus in self.calls]


class Reader:
    """Waits for one SKU. outcome: what it was told."""

    def __init__(self, flight: Flight[Outcome]) -> None:
        self.flight = flight
        self.landed_at: float | None = None
        self.outcome: Outcome | None = None
        flight.join(self)

    def landed(self, flight: Flight[Outcome]) -> None:
        assert flight is self.flight
        assert self.outcome is None, "a reader is told once"
        self.outcome = flight.outcome
        self.landed_at = now()

    def disconnect(self) -> None:
        if self.outcome is None:  # else it waits for nothing
            self.flight.disconnect(self)

    @property
    def found(self) -> str:
        """`ok`, `not_found`, or the reason of a failure; `waits` before any of these."""
        if self.outcome is None:
            return "waits"
        if isinstance(self.outcome, Failed):
            return self.outcome.reason
        return "not_found" if self.outcome.entry.body is None else "ok"


class Shop:
    """Bulk reads of one source behind its guard, as in production."""

    def __init__(
        self, shelf: Shelf, knobs: Knobs | None = None, room: Room | None = None, *, confirm: bool = False
    ) -> None:
        own, clock = knobs or Knobs(floor=1000), asyncio.get_running_loop().time
        self.shelf = shelf
        self.cache = Tiers(MemoryTier(["price"], 10_000, 10**8), ["price"])
        self.circuit = Circuit(own.policy, clock)
        self.bulkhead = Bulkhead(own.concurrency, own.queue, clock)
        budget = RetryBudget(own.ratio, own.floor, clock)
        retry = Retry(RetryPolicy(own.attempts, ON, asked_wait), budget, clock, own.pause, asyncio.sleep)
        breaker = Breaker(self.circuit, own.slow_seconds, clock, failures=FAILURES, answers=(Rejected,))
        attempt = (Observe(lambda _: None, clock), Timeout(own.attempt_seconds, clock))
        call = stack(retry, breaker, self.bulkhead, *attempt)
        guard = Guard(call, retry, self.circuit, self.bulkhead, budget)
        time = Time(CALL_SECONDS, clock, clock, lambda: 0.0)
        landings = Landings("price", self.cache.of("price"), KEPT, time)
        singly = Singly(shelf, call, landings, time)
        self.jointly = Jointly(shelf, room or Room(100, 4000), guard, landings, time, singly, confirm=confirm)

    def read(self, *skus: str, caller: Caller = CALLER) -> list[Reader]:
        """Begin to read, all in this turn of the event loop."""
        return [self._read(sku, caller) for sku in skus]

    def _read(self, sku: str, caller: Caller) -> Reader:
        flight, is_new = self.cache.of("price").flights.board(sku)
        if is_new:
            self.jointly.start(flight, caller)
        return Reader(flight)

    async def invalidate(self, *skus: str) -> None:
        self.cache.forget(skus, ["price"])

    @property
    def held(self) -> dict[str, int]:
        """Whatever is held."""
        tasks = repr(self.jointly).partition("<Tasks ")[2].partition(">")[0]
        held = {"in flight": self.bulkhead.in_flight, "waiting": self.bulkhead.waiting, "tasks": int(tasks)}
        return {name: count for name, count in (held | {"loads": self.cache.loading}).items() if count}


def found(readers: Iterable[Reader]) -> list[str]:
    return [reader.found for reader in readers]
