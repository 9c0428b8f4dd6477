"""The engine on each kind of database: each step of a change in its order, and again from where it was left."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from bff.durable import sqlite
from bff.durable.claims import Claim
from bff.durable.engine import Engine, NotLaunched, Place
from bff.durable.steps import Usurped
from tests.postgres_server import PostgresServer, fresh, postgres_server
from tests.service.durabledb import PATIENCE_SECONDS, engine_threads_end, soon, until

CLAIM = Claim("change", 1, ("info", "price"))
WAY = ["write info", "write price", "end"]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database without tables, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dbos.sqlite'}"
    return str(request.getfixturevalue("emptied_url"))


def place(url: str, executor: str = "one") -> Place:
    if not url.startswith("sqlite"):
        return Place(url, executor, lambda: None)
    return Place(url, executor, lambda: sqlite.open_wal(Path(url.removeprefix("sqlite:///"))).close())


class Steps:
    """What a change's steps do, as the test plays it.

    halt: the step that waits to be let go, and with it all after it; ends: how a step ends, else as all goes well.
    """

    def __init__(self, halt: str = "", **ends: str | BaseException) -> None:
        self._halt = halt
        self._ends = ends
        self.done: list[tuple[str, int, str]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.cancelled = 0

    async def perform(self, claim: Claim, name: str) -> str:
        self.loops.add(asyncio.get_running_loop())
        self.done.append((claim.change_id, claim.epoch, name))
        if name == self._halt:
            self.go.clear()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        end = self._ends.get(name.replace(" ", "_"), "done" if name.startswith("write") else "succeeded")
        if isinstance(end, BaseException):
            raise end
        return end

    def names(self, change: str = CLAIM.change_id, epoch: int = 1) -> list[str]:
        return [name for done, at, name in self.done if (done, at) == (change, epoch)]

    async def until(self, name: str, change: str = CLAIM.change_id, epoch: int = 1) -> None:
        """Wait until a step has begun."""
        await until(lambda: (change, epoch, name) in self.done)


def pool() -> str:
    """Return the name of the pool of threads that this one is of."""
    return threading.current_thread().name.rpartition("_")[0]


@asynccontextmanager
async def running(url: str, steps: Steps, executor: str = "one") -> AsyncIterator[Engine]:
    engine = Engine(place(url, executor), steps.perform)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()


async def test_a_change_is_done_step_by_step_on_the_loop_of_the_service_which_keeps_its_threads(url: str) -> None:
    steps = Steps()
    pools = {await asyncio.to_thread(pool)}
    async with running(url, steps) as engine:
        await engine.run(CLAIM)
        await steps.until("end")
        assert (steps.names(), steps.loops) == (WAY, {asyncio.get_running_loop()})
        assert repr(engine) == "<Engine one running>"
        pools.add(await asyncio.to_thread(pool))
    pools.add(await asyncio.to_thread(pool))
    assert len(pools) == 1
    assert repr(engine) == "<Engine one>"


async def test_a_change_whose_part_is_not_written_goes_back_in_reverse(url: str) -> None:
    steps = Steps(write_price="failed", undo_price="nothing", undo_info="undone", end="compensated")
    async with running(url, steps) as engine:
        await engine.run(CLAIM)
        await steps.until("end")
        assert steps.names() == ["write info", "write price", "undo price", "undo info", "end"]


async def test_a_claim_that_is_given_twice_is_done_once_and_one_of_a_higher_epoch_anew(url: str) -> None:
    steps = Steps()
    steps.go.clear()
    async with running(url, steps) as engine:
        await engine.run(CLAIM)
        await steps.until("write info")
        await asyncio.gather(*(engine.run(CLAIM) for _ in range(3)))
        steps.go.set()
        await steps.until("end")
        await engine.run(CLAIM)
        await engine.run(Claim("change", 2, CLAIM.sources))
        await steps.until("end", epoch=2)
        assert (steps.names(), steps.names(epoch=2)) == (WAY, WAY)


async def test_many_changes_are_done_at_once(url: str) -> None:
    steps = Steps()
    async with running(url, steps) as engine:
        for number in range(20):
            await engine.run(Claim(f"{number}", 1, ("stock",)))
        for number in range(20):
            await steps.until("end", f"{number}")
        assert sorted(steps.done) == sorted((f"{n}", 1, name) for n in range(20) for name in ("write stock", "end"))


async def test_what_is_under_way_at_a_stop_is_asked_for_again_after_it_from_its_first_step(url: str) -> None:
    before = Steps("write price")
    async with running(url, before) as engine:
        await engine.run(CLAIM)
        await before.until("write price")
    await until(lambda: before.cancelled == 1)  # and nothing of it goes on here
    after = Steps()
    async with running(url, after):
        await after.until("end")
        assert after.names() == WAY


async def test_a_step_that_is_another_process_to_end_stays_for_it(url: str) -> None:
    before = Steps(write_price=Usurped())
    async with running(url, before) as engine:
        await engine.run(CLAIM)
        await before.until("write price")
        await engine.run(Claim("other", 1, ("info",)))
        await before.until("end", "other")
    after = Steps()
    async with running(url, after):
        await after.until("end")
        assert after.names() == WAY
        assert after.names("other") == []


async def test_a_step_that_breaks_harms_no_other_change(url: str) -> None:
    steps = Steps(write_price=ZeroDivisionError())
    async with running(url, steps) as engine:
        await engine.run(CLAIM)
        await steps.until("write price")
        await engine.run(Claim("other", 1, ("info",)))
        await steps.until("end", "other")
        assert engine.running
        assert steps.names() == WAY[:2]


async def test_who_has_another_name_does_not_go_on_with_it(url: str) -> None:
    before, other, after = Steps(), Steps(), Steps()
    before.go.clear()
    async with running(url, before) as engine:
        await engine.run(CLAIM)
        await before.until("write info")
    async with running(url, other, executor="two") as engine:
        await engine.run(Claim("its own", 1, ("info",)))
        await other.until("end", "its own")
        assert other.names() == []
    async with running(url, after):
        await after.until("end")


async def test_what_it_is_to_forget_is_gone(url: str) -> None:
    steps = Steps()
    async with running(url, steps) as engine:
        for epoch in (1, 2):
            await engine.run(Claim("change", epoch, ("info",)))
            await steps.until("end", epoch=epoch)
        await engine.purge([("change", 2), ("unheard of", 3)])
        await engine.purge([])
        for epoch in (1, 2):  # which it would not do again if it knew them
            await engine.run(Claim("change", epoch, ("info",)))
        await until(lambda: len(steps.done) == 8)


async def test_it_takes_nothing_before_it_is_started_nor_after_it_is_stopped(url: str) -> None:
    engine = Engine(place(url), Steps().perform)
    for _ in range(2):
        for ask in (partial(engine.run, CLAIM), partial(engine.purge, [("change", 1)])):
            with pytest.raises(NotLaunched):
                await ask()
        await engine.start()
        assert engine.running
        await engine.aclose()
        assert not engine.running
        await engine.aclose()


async def test_of_two_in_a_process_the_second_is_refused_until_the_first_is_stopped(url: str) -> None:
    second = Engine(place(url, "two"), Steps().perform)
    async with running(url, Steps()):
        with pytest.raises(NotLaunched):
            await second.start()
        assert not second.running
        await second.aclose()
    await second.start()
    await second.aclose()


async def test_a_stop_during_a_start_stops_it(url: str) -> None:
    engine, later = Engine(place(url), Steps().perform), Steps()
    start = asyncio.ensure_future(engine.start())
    await asyncio.sleep(0)
    async with soon():
        await engine.aclose()
        await asyncio.gather(start, return_exceptions=True)
    assert not engine.running
    async with running(url, later) as after:
        await after.run(CLAIM)
        await later.until("end")


async def test_a_file_that_cannot_be_used_is_not_launched_and_is_once_it_can(tmp_path: Path) -> None:
    (tmp_path / "dbos.sqlite").write_bytes(b"no database at all " * 100)
    steps = Steps()
    engine = Engine(place(f"sqlite:///{tmp_path / 'dbos.sqlite'}"), steps.perform)
    for _ in range(2):
        with pytest.raises(NotLaunched):
            await engine.start()
        assert await asyncio.to_thread(lambda: 1) == 1
    (tmp_path / "dbos.sqlite").unlink()
    await engine.start()
    await engine.run(CLAIM)
    await steps.until("end")
    await engine.aclose()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Run a Postgres that may be harmed."""
    with postgres_server() as server:
        yield server
        engine_threads_end()
        server.crash()


async def test_a_database_that_is_away_is_not_launched_on_and_is_once_it_is_there(server: PostgresServer) -> None:
    url, steps = fresh(server), Steps()
    engine = Engine(place(f"{url}?connect_timeout=2"), steps.perform)
    await asyncio.to_thread(server.stop)
    try:
        for _ in range(2):
            with pytest.raises(NotLaunched):
                await engine.start()
            assert await asyncio.to_thread(lambda: 1) == 1
    finally:
        await asyncio.to_thread(server.start)
    await engine.start()
    await engine.run(CLAIM)
    await steps.until("end")
    await engine.aclose()


async def test_a_database_that_goes_away_keeps_nobody_from_stopping_it_or_from_other_work(
    server: PostgresServer,
) -> None:
    url, before, after = fresh(server), Steps(), Steps()
    engine = Engine(place(f"{url}?connect_timeout=2"), before.perform)
    await engine.start()
    before.go.clear()
    await engine.run(CLAIM)
    await before.until("write info")
    await asyncio.to_thread(server.crash)
    asks = [asyncio.ensure_future(engine.run(Claim(f"{number}", 1, ("info",)))) for number in range(6)]
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert await asyncio.to_thread(lambda: 1) == 1
    try:
        async with soon():
            await engine.aclose()
            ends = await asyncio.gather(*asks, return_exceptions=True)
        assert [type(end) for end in ends] == [NotLaunched] * 6
    finally:
        await asyncio.to_thread(server.start)
    async with running(url, after):
        await after.until("end")
        assert after.names() == WAY


LIFE = """
import asyncio, sys
from pathlib import Path
from bff.durable.claims import Claim
from bff.durable.engine import Engine
from tests.service.test_durable_engine import place

async def perform(claim, name):
    print(name, flush=True)
    if name == sys.argv[2]:
        await asyncio.sleep(3600)
    return "done" if name.startswith("write") else "succeeded"

async def main():
    engine = Engine(place(sys.argv[1]), perform)
    await engine.start()
    print("started", flush=True)
    if len(sys.argv) > 3:
        await engine.run(Claim("change", 1, ("info", "price")))
    await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_what_a_process_was_at_that_is_killed_is_asked_for_again_when_it_comes_back(url: str) -> None:
    assert await _life(url, "write price", "and begins it") == ["started", "write info", "write price"]
    assert sorted(await _life(url, "end")) == sorted(["started", *WAY])
    assert sorted(await _life(url, "nothing", until=lambda said: {"end", "started"} <= {*said})) == sorted(
        ["started", *WAY]
    )


async def _life(url: str, stuck: str, *more: str, until: Callable[[list[str]], bool] | None = None) -> list[str]:
    """Live until a step is reached, and be killed there; return what was said."""
    command = (sys.executable, "-c", LIFE, url, stuck, *more)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    said: list[str] = []
    reached = until or (lambda said: stuck in said and "started" in said)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not reached(said):
                said.append((await process.stdout.readline()).decode().strip())
                assert said[-1] or process.returncode is None, "it ended by itself"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.communicate()
    return said
