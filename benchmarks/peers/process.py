"""A server in a process of its own, pinned to a core, and what it wrote where it fails."""

import os
import socket
import tempfile
from asyncio import create_subprocess_exec
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bff.demo.launch import stop

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 5.0
TOLD = 2000


class Failed(Exception):
    """A server did not start, or does not answer as it should."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that was started here."""

    process: Process
    output: IO[bytes]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.process.returncode is not None

    def failed(self, why: str) -> Failed:
        """Return the error to raise, with the end of what it wrote."""
        self.output.seek(0)
        told = self.output.read().decode(errors="replace").strip()[-TOLD:]
        return Failed(f"{why}\n{told}".strip())


@asynccontextmanager
async def started(command: Sequence[str], core: int, environment: Mapping[str, str]) -> AsyncIterator[Child]:
    """Run a program on one core; its environment is ours and these names."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")}
    # A file, since a pipe that nobody reads while it runs could fill and stop it.
    with tempfile.TemporaryFile() as output:
        with pinned(core):
            process = await create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=output, stderr=output, cwd=ROOT, env={**inherited, **environment}
            )
        try:
            yield Child(process, output)
        finally:
            await stop(process, STOP_SECONDS)


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Stay on one core while the body runs: what is started there inherits it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on."""
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]
