"""Loads: in tasks of the service's own, landed once however they end, their times told by both clocks."""

import asyncio
import contextvars
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from bff.cache.entry import Lifetimes
from bff.cache.flights import Flight
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Failed, Loaded, Outcome, Tiers
from bff.product.loader import Landings, Singly, Tasks, Time, iso
from bff.resilience.errors import AttemptTimeout, CircuitOpen, DeadlineExceeded, Overloaded
from clients.errors import Garbled, Postponed, Rejected, Throttled, Unavailable
from clients.source import Caller
from tests.unit.playing import HANGS, Knobs, Played, Script, Step, fails, now, play, script, start, turns
from tests.unit.shop import CALLER, EPOCH, PlayedSource, until

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


class Reader:
    """Someone who waits, and what it was told."""

    def __init__(self, flight: Flight[Outcome]) -> None:
        self.told: list[Outcome | None] = []
        flight.join(self)

    def landed(self, flight: Flight[Outcome]) -> None:
        self.told.append(flight.outcome)


class Asking(PlayedSource):
    """Notes who asks, in whose context."""

    def __init__(self, upstream: Script) -> None:
        super().__init__(upstream)
        self.asked: list[tuple[str, str]] = []

    async def fetch(self, sku: str, caller: Caller, seconds: float) -> bytes | None:
        self.asked.append((caller.request_id, WHO.get()))
        return await super().fetch(sku, caller, seconds)


class Desk:
    """One source's loads, its guard and its part of the cache."""

    def __init__(self, upstream: Script, knobs: Knobs | None = None) -> None:
        clock = asyncio.get_running_loop().time
        self.cache = Tiers(MemoryTier(["price"], 100, 10**6), ["price"]).of("price")
        self.time = Time(0.8, clock, lambda: EPOCH + clock(), lambda: 0.0)
        self.landings = Landings("price", self.cache, Lifetimes(60, 0, 0, 5), self.time)
        self.source = Asking(upstream)
        self.guard: Played = play(knobs)
        self.singly = Singly(self.source, self.guard.call, self.landings, self.time)

    def load(self, sku: str = "1", deadline: float | None = None) -> tuple[Flight[Outcome], Reader]:
        flight, is_new = self.cache.flights.board(sku)
        assert is_new
        self.singly.start(flight, CALLER, deadline)
        return flight, Reader(flight)


async def test_what_a_call_brings_is_kept_and_told_once() -> None:
    desk = Desk(script(Step(0.25)))
    flight, reader = desk.load()
    await until(0.3)
    entry = desk.cache.current("1")
    assert entry is not None
    assert reader.told == [Loaded(entry, stored=True)]
    assert (entry.body, entry.began, entry.as_of) == (b'{"sku_id":"1"}', 0.0, b"2026-01-01T00:00:00.000Z")
    assert (len(desk.cache.flights), repr(desk.singly)) == (0, "<Singly <Tasks 0>>")
    assert flight.outcome is reader.told[0]


async def test_an_unknown_sku_is_kept_as_such() -> None:
    desk = Desk(script(Step(says=None)))
    desk.load()
    await turns()
    entry = desk.cache.current("1")
    assert entry is not None
    assert (entry.body, entry.bound) == (None, 5.0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AttemptTimeout(), "timeout"),
        (DeadlineExceeded(), "timeout"),
        (Unavailable("x"), "unavailable"),
        (Throttled("x"), "overloaded"),
        (Postponed("x"), "rejected"),
        (Rejected("x"), "rejected"),
        (Garbled("x"), "garbled"),
        (CircuitOpen(), "circuit_open"),
        (Overloaded("x"), "overloaded"),
        (asyncio.CancelledError(), "unavailable"),
    ],
)
async def test_every_way_to_fail_has_its_reason(error: BaseException, reason: str) -> None:
    desk = Desk(script())
    flight, _ = desk.cache.flights.board("1")
    reader = Reader(flight)
    with capture_logs() as logs:
        desk.landings.failed(flight, error)
    assert (reader.told, logs) == ([Failed(reason)], [])


async def test_a_way_to_fail_that_nobody_thought_of_is_logged_and_told_as_unavailable() -> None:
    desk = Desk(script(fails(ValueError("a bug of ours"))))
    with capture_logs() as logs:
        _, reader = desk.load()
        await turns()
    assert reader.told == [Failed("unavailable")]
    assert [(line["source"], str(line["exc_info"])) for line in logs] == [("price", "a bug of ours")]


async def test_a_load_knows_nothing_of_its_first_callers_context() -> None:
    WHO.set("the first")
    desk = Desk(script())
    desk.load()
    await turns()
    assert desk.source.asked == [("a-request", "nobody")]


async def test_a_call_has_its_own_time_or_what_is_left_of_the_one_that_it_goes_on_from() -> None:
    desk = Desk(script())
    await until(1.0)
    desk.load("1")
    desk.load("2", deadline=1.25)
    await turns()
    assert desk.source.upstream.given == [pytest.approx(0.8), pytest.approx(0.25)]


async def test_a_flight_says_whether_its_call_waits_for_a_slot() -> None:
    desk = Desk(script(Step(0.5)), Knobs(concurrency=1))
    first, _ = desk.load("1")
    second, _ = desk.load("2")
    await turns()
    assert (first.queued, second.queued) == (False, True)
    await until(0.6)
    assert not second.queued
    await until(1.2)


@pytest.mark.parametrize("steps", [0, 1, 20], ids=["before its first step", "in its first step", "while it waits"])
async def test_an_abandoned_load_is_gone_whenever_that_was(steps: int) -> None:
    desk = Desk(script(HANGS))
    flight, reader = desk.load()
    await turns(steps)
    flight.disconnect(reader)
    assert desk.cache.flights.board("1")[1], "nobody joins what is being abandoned"
    await turns()
    assert (repr(desk.singly), desk.guard.bulkhead.in_flight) == ("<Singly <Tasks 0>>", 0)
    assert (reader.told, flight.outcome) == ([], Failed("unavailable"))
    assert desk.source.upstream.ended == len(desk.source.upstream.calls)


@pytest.mark.parametrize("steps", [0, 20], ids=["before their first step", "while they wait"])
async def test_at_the_end_all_loads_are_cancelled_and_those_who_wait_are_told(steps: int) -> None:
    desk = Desk(script(HANGS))
    readers = [desk.load(sku)[1] for sku in "abc"]
    await turns(steps)
    await desk.singly.aclose()
    assert [reader.told for reader in readers] == [[Failed("unavailable")]] * 3
    assert (len(desk.cache.flights), now(), repr(desk.singly)) == (0, 0.0, "<Singly <Tasks 0>>")
    await desk.singly.aclose()  # of nothing


@pytest.mark.parametrize("how", ["ends", "breaks", "is cancelled", "is cancelled before it begins"])
async def test_it_is_told_once_when_a_task_is_over_however_it_ended(how: str) -> None:
    tasks, over = Tasks(), []

    async def work() -> None:
        await asyncio.sleep(0.1)
        if how == "breaks":
            raise ValueError

    task = tasks.start(work(), lambda: over.append(now()))
    if how == "is cancelled before it begins":
        task.cancel()
    await until(0.05)
    if how == "is cancelled":
        task.cancel()
    await asyncio.wait({task})
    await turns()
    assert (len(over), len(tasks)) == (1, 0)
    assert task.cancelled() or (task.exception() is not None) == (how == "breaks")


async def test_when_a_part_is_of_is_told_by_the_wall_clock_of_now_and_the_time_since() -> None:
    wall: Callable[[], float] = lambda: EPOCH + 100.0  # noqa: E731 - was set meanwhile
    loop = asyncio.get_running_loop()
    landings = Landings("price", Desk(script()).cache, Lifetimes(1, 1, 1, 1), Time(1.0, loop.time, wall, lambda: 0.0))
    await start(asyncio.sleep(2.5))
    assert landings.as_of(1.0) == b"2026-01-01T00:01:38.500Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "2026-01-01T00:00:00.000Z"),
        (0.9994, "2026-01-01T00:00:00.999Z"),
        (59.125, "2026-01-01T00:00:59.125Z"),
        (86400.5, "2026-01-02T00:00:00.500Z"),
    ],
)
def test_a_moment_is_written_in_milliseconds_of_utc(seconds: float, text: str) -> None:
    assert iso(EPOCH + seconds) == text
