"""Loads of parts: each one call to its source, behind the guard, in a task of its own."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Protocol

import structlog

from bff.cache.entry import Lifetimes
from bff.cache.flights import Flight
from bff.cache.tiers import Failed, Outcome, SourceTiers
from bff.product.parts import Reason, SourceName
from bff.resilience.errors import CircuitOpen, Overloaded
from bff.resilience.stack import Call, Clock, Next
from clients.errors import Garbled, Rejected, Throttled, Unavailable
from clients.source import Caller, Source

log = structlog.get_logger(__name__)

_REASONS: tuple[tuple[type[BaseException], Reason], ...] = (
    (TimeoutError, "timeout"),
    (Unavailable, "unavailable"),
    (Throttled, "overloaded"),  # before what it is a kind of
    (Rejected, "rejected"),
    (Garbled, "garbled"),
    (CircuitOpen, "circuit_open"),
    (Overloaded, "overloaded"),
    (asyncio.CancelledError, "unavailable"),  # the service is stopping, and its grace is over
)


@dataclass(frozen=True, slots=True)
class Time:
    """What loads need of time: seconds for a whole call, two clocks, and jitter from 0 to 1."""

    call_seconds: float
    clock: Clock
    wall_clock: Clock
    jitter: Callable[[], float]


class Loading(Protocol):
    """Starts the loads that flights wait for."""

    def start(self, flight: Flight[Outcome], caller: Caller) -> None:
        """Start the load of a flight."""

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it has ended."""


class Landings:
    """Turns what a call has brought into what is kept of it, and lands flights."""

    def __init__(self, name: SourceName, cache: SourceTiers, lifetimes: Lifetimes, time: Time) -> None:
        self._name = name
        self._lifetimes = lifetimes
        self._time = time
        self._cache = cache

    def __repr__(self) -> str:
        return f"<Landings {self._name}>"

    def as_of(self, began: float) -> bytes:
        """Return a moment of the monotonic clock as clients are shown it."""
        return iso(self._time.wall_clock() - (self._time.clock() - began)).encode()

    def brought(self, flight: Flight[Outcome], body: bytes | None, began: float, as_of: bytes) -> None:
        """Land a flight with a part, or with None where the SKU is unknown."""
        self._cache.land(flight, self._lifetimes.entry(body, as_of, began, self._time.jitter()))

    def failed(self, flight: Flight[Outcome], error: BaseException) -> None:
        """Land a flight whose load has brought nothing."""
        self._cache.fail(flight, Failed(self._reason(error)))

    def _reason(self, error: BaseException) -> Reason:
        for kind, reason in _REASONS:
            if isinstance(error, kind):
                return reason
        log.error("a call failed in a way that nobody thought of", source=self._name, exc_info=error)
        return "unavailable"


class Tasks:
    """Tasks of the service's own: neither the caller's deadline nor its log fields belong to them."""

    def __init__(self) -> None:
        self._over: dict[asyncio.Task[None], Callable[[], None]] = {}

    def __repr__(self) -> str:
        return f"<Tasks {len(self)}>"

    def __len__(self) -> int:
        return len(self._over)

    def start(self, work: Coroutine[Any, Any, None], over: Callable[[], None]) -> asyncio.Task[None]:
        """Run something in a task and a fresh context.

        over: called when it has ended, and also where it was cancelled before it began.
        """
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._over[task] = over
        task.add_done_callback(self._ended)
        return task

    async def aclose(self) -> None:
        """Cancel every task and wait until all have ended."""
        for task in self._over:
            task.cancel()
        await asyncio.gather(*self._over, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._over.pop(task)()


class _Single:
    """One call for one flight."""

    __slots__ = ("_call", "task")

    def __init__(self, call: Call) -> None:
        self._call = call
        self.task: asyncio.Task[None]

    @property
    def queued(self) -> bool:
        return self._call.queued

    def abandon(self, flight: Flight[Outcome]) -> None:
        self.task.cancel()


class Singly:
    """Each load is a call of its own."""

    def __init__(self, source: Source, guarded: Next, landings: Landings, time: Time) -> None:
        self._source = source
        self._guarded = guarded
        self._landings = landings
        self._time = time
        self._tasks = Tasks()

    def __repr__(self) -> str:
        return f"<Singly {self._tasks!r}>"

    def start(self, flight: Flight[Outcome], caller: Caller, deadline: float | None = None) -> None:
        """Start the load of a flight. deadline: for one that goes on from another call."""
        until = self._time.clock() + self._time.call_seconds if deadline is None else deadline
        call = Call(partial(self._source.fetch, flight.key, caller), until)
        flight.work = work = _Single(call)
        work.task = self._tasks.start(self._load(flight, call), partial(self._over, flight))

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        await self._tasks.aclose()

    async def _load(self, flight: Flight[Outcome], call: Call) -> None:
        try:
            body = await self._guarded(call)
        except Exception as exc:
            self._landings.failed(flight, exc)
        else:
            self._landings.brought(flight, body, call.began, self._landings.as_of(call.began))

    def _over(self, flight: Flight[Outcome]) -> None:
        if flight.outcome is None:  # it was cancelled
            self._landings.failed(flight, asyncio.CancelledError())


def iso(seconds: float) -> str:
    """Return a time of day as it is shown everywhere: UTC, three decimals."""
    milliseconds = int(seconds * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
