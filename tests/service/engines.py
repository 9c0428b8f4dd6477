"""Engines for tests, and the steps that they are to see through."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bff.durable import sqlite
from bff.durable.claims import Claim
from bff.durable.engine import Engine, Place
from tests.service.durabledb import until

CLAIM = Claim("change", 1, ("info", "price"))
WAY = ["write info", "write price", "end"]


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


@asynccontextmanager
async def running(url: str, steps: Steps, executor: str = "one") -> AsyncIterator[Engine]:
    engine = Engine(place(url, executor), steps.perform)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()
