"""Load from wrk: as many connections as asked for, each asking again as soon as it was answered."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.numbers.client import PATH
from benchmarks.peers import wrk

SCRIPT = Path(__file__).with_name("paths.lua")
FIRST = 100_000_000
AGG = f"{PATH}agg/"
WALK_SECONDS = 2
TIMEOUT = "20s"  # the slowest peer has a queue of seconds

Mode = Literal["one", "turn", "uniform", "zipf"]


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk asks for: SKUs by number, `count` of them from `first` on. `turn`: in turn, beginning at `start`."""

    mode: Mode
    connections: int
    first: int = FIRST
    count: int = 1
    start: int = 0
    seed: int = 1


class Outcome(msgspec.Struct, frozen=True):
    """What wrk saw. failed: sockets; refused: statuses of 400 and more."""

    pages: int
    seconds: float
    failed: int
    refused: int
    p50_ms: float
    p99_ms: float

    @property
    def fault(self) -> str:
        """Say why this must not count, or nothing."""
        if self.failed or self.refused:
            return f"of {self.pages} pages {self.refused} had a bad status, and {self.failed} sockets failed"
        return "" if self.pages else "no answer at all"


def sku(number: int) -> str:
    """Return the SKU of a number."""
    return f"G{number}"


async def drive(base: str, prefix: str, load: Load, seconds: int) -> Outcome:
    """Load a server for so long, from the core that this process has."""
    sequence = (load.mode, prefix, str(load.first), str(load.count), str(load.start), str(load.seed))
    options = ("-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", TIMEOUT, "-s", str(SCRIPT), base)
    command = (*wrk().command, *options, "--", *sequence)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return msgspec.json.decode(output.rstrip().rpartition(b"\n")[2], type=Outcome)


async def walk(base: str, prefix: str, load: Load, times: int = 1) -> None:
    """Ask for each of the load's SKUs so many times; raise RuntimeError where more than a few fail."""
    asked = 0
    while asked < load.count * times:
        outcome = await drive(base, prefix, replace(load, mode="turn", start=asked % load.count), WALK_SECONDS)
        if outcome.failed + outcome.refused >= max(1, outcome.pages / 100):
            raise RuntimeError(f"while walking through {load.count} SKUs: {outcome.fault}")
        # What was under way when wrk stopped was not counted, and is among the last: it is asked for again.
        asked += max(1, outcome.pages - 4 * load.connections)
