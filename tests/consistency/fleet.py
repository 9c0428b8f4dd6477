"""Pods: real `bff serve` processes over one owner, each with a way of its own to Redis."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bff.demo.launch import stop
from tests.consistency.history import Outages
from tests.consistency.parts import SOURCES
from tests.consistency.proxy import LOOPBACK, Proxy, proxying
from tests.redis_server import NotStarted
from tests.rings import ROOT

TOKEN = "of-the-check"
WRITE_SECONDS = 2.0
START_SECONDS = 30.0
STOP_SECONDS = 5.0
TOLD = 2000  # bytes of what a pod wrote, where it fails
# A pod that was stopped finds all its calls out of time: a circuit that opened by that would keep readers away from
# what is looked for.
ROBUST = {"CIRCUIT__MIN_ATTEMPTS": "1000000", "WRITE_TIMEOUT_SECONDS": str(WRITE_SECONDS)}


class Died(Exception):
    """A pod ended in the middle of the check; the text is what it wrote."""


@dataclass
class Pod:
    """A process, and what stands between it and Redis. url: once it listens."""

    name: str
    process: Process
    proxy: Proxy
    log: Path
    url: str = ""
    outages: Outages = field(default_factory=Outages)

    async def listening(self) -> None:
        """Wait until it listens; raise NotStarted."""
        assert self.process.stdout is not None  # it is a pipe
        line = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                line = await self.process.stdout.readline()
        if not line.startswith(b"public "):
            raise NotStarted(f"{self.name} did not start\n{self._told_last}")
        self.url = line.decode().removeprefix("public ").strip()

    @property
    def has_ended(self) -> bool:
        """Whether it has, of itself."""
        return self.process.returncode is not None

    def pause(self) -> None:
        """Stop it as it stands."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def check(self) -> None:
        """Raise Died where it has ended."""
        if self.has_ended:
            raise Died(f"{self.name} ended with {self.process.returncode}\n{self._told_last}")

    def told(self) -> list[str]:
        """Return the lines that it has logged: errors alone."""
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def _signal(self, number: signal.Signals) -> None:
        if not self.has_ended:  # else the id may be another's by now
            os.kill(self.process.pid, number)

    @property
    def _told_last(self) -> str:
        return self.log.read_bytes()[-TOLD:].decode(errors="replace").strip()


@asynccontextmanager
async def fleet(count: int, command: tuple[str, ...], owner: str, redis: int) -> AsyncIterator[list[Pod]]:
    """Run pods while the body runs. command: what runs one; owner: its URL; redis: its port."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        pods = []
        for number in range(count):
            proxy = await stack.enter_async_context(proxying(redis))
            name = f"pod {number + 1}"
            process = await _start(command, _settings(owner, proxy.port, folder / f"{name} data"), folder / name)
            stack.push_async_callback(_stop, process)
            pods.append(Pod(name, process, proxy, folder / name))
        for pod in pods:  # they start at once
            await pod.listening()
        yield pods


async def _start(command: tuple[str, ...], settings: Mapping[str, str], log: Path) -> Process:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")}
    with log.open("wb") as errors:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command),
            cwd=ROOT,
            env={**inherited, **settings},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=errors,
            start_new_session=True,  # a Ctrl-C on the terminal is for the check, which stops its pods
        )


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)
    await stop(process, STOP_SECONDS)


def _settings(owner: str, redis: int, data: Path) -> dict[str, str]:
    urls = {f"BFF_{source.upper()}__URL": f"{owner}/{source}/{{sku}}" for source in SOURCES}
    urls["BFF_STOCK__BULK_URL"] = f"{owner}/stock?skus={{skus}}"  # one source that is read jointly, two that are not
    robust = {f"BFF_{source.upper()}__{name}": value for source in SOURCES for name, value in ROBUST.items()}
    own = {
        "BFF_REDIS_URL": f"redis://{LOOPBACK}:{redis}/0",
        "BFF_AUTH__TOKENS": json.dumps({"check": {"token": TOKEN, "scopes": ["catalog:write"]}}),
        "BFF_PORT": "0",
        "BFF_ADMIN_PORT": "0",
        "BFF_DATA_DIR": str(data),
        "BFF_LOG__LEVEL": "error",
        "BFF_GRACE_SECONDS": "1",
    }
    return urls | robust | own
