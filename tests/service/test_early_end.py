"""An event loop that ends early, as where a test fails while others of its gather run: it cancels all tasks at once.

Programs of their own, with a time limit: what stays open can keep uvloop from closing for ever.
"""

import subprocess
import sys
from pathlib import Path

from tests.redis_server import RedisServer
from tests.rings import ROOT

PATIENCE_SECONDS = 180
GATHER = """
import asyncio
import sys

import uvloop

from tests.harness import bff
from tests.upstreams import hang


async def serving(number, started):
    async with bff(price=hang, redis_url=sys.argv[1]) as service:
        await started.wait()
        assert number
        await service.page("1001")
        await asyncio.Event().wait()


async def main():
    started = asyncio.Barrier(4)
    await asyncio.gather(*(serving(number, started) for number in range(4)))


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    try:
        runner.run(main())
    except AssertionError:
        print("failed")
print("closed")
"""
LEFT_OPEN = """
import asyncio

async def left_open():
    await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)

async def test_that_passes():
    await left_open()

async def test_that_fails():
    await left_open()
    assert 1 == 2
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)


def test_services_that_are_cancelled_all_at_once_leave_nothing_open(server: RedisServer) -> None:
    ended = python("-W", "error", "-c", GATHER, server.url)
    said = [line for line in ended.stdout.splitlines() if line in ("failed", "closed")]
    assert (ended.returncode, said) == (0, ["failed", "closed"])
    assert "unclosed" not in ended.stderr


def test_a_test_that_leaves_something_open_ends_and_fails_by_that_or_by_what_is_worse(tmp_path: Path) -> None:
    (tmp_path / "test_left_open.py").write_text(LEFT_OPEN)
    as_here = ("-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider")
    ended = python("-m", "pytest", *as_here, str(tmp_path))
    failures = [line.partition(" - ")[2][:15] for line in ended.stdout.splitlines() if line.startswith("FAILED")]
    assert (ended.returncode, failures) == (1, ["ResourceWarning", "assert 1 == 2"])
