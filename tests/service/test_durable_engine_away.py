"""The engine without its database, and processes that are killed: nobody waits for it, and what was begun goes on."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bff.durable.claims import Claim
from bff.durable.engine import Engine, NotLaunched
from tests.postgres_server import PostgresServer, fresh, postgres_server
from tests.service.durabledb import PATIENCE_SECONDS, engine_threads_end, soon
from tests.service.engines import CLAIM, WAY, Steps, place, running


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
from tests.service.engines import place

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


async def test_what_a_process_was_at_that_is_killed_is_asked_for_again_when_it_comes_back(engine_url: str) -> None:
    assert await _life(engine_url, "write price", "and begins it") == ["started", "write info", "write price"]
    assert sorted(await _life(engine_url, "end")) == sorted(["started", *WAY])
    assert sorted(await _life(engine_url, "nothing", until=lambda said: {"end", "started"} <= {*said})) == sorted(
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
