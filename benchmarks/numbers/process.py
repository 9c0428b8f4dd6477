"""The service in a process of its own, and what that process weighs."""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bff.demo.launch import stop

STOP_SECONDS = 10.0
MIB = 2**20
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Weight:
    """Resident bytes now, and the most there ever were."""

    now: int
    peak: int


def weight(pid: int | str = "self") -> Weight:
    """Weigh a process (proc_pid_status(5): VmRSS, VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    sizes = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return Weight(int(sizes["VmRSS"]) * 1024, int(sizes["VmHWM"]) * 1024)


def cpu_seconds(pid: int) -> float:
    """Return the seconds of CPU that a process has used (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Serving:
    """A service that runs, and where."""

    public: str
    admin: str
    pid: int

    @property
    def weight(self) -> Weight:
        """What it weighs now."""
        return weight(self.pid)

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - a folder that changes while it is read


@asynccontextmanager
async def working(urls: Mapping[str, str], **settings: Any) -> AsyncIterator[int]:
    """Run `bff worker` and yield its pid; as `serving`."""
    with tempfile.TemporaryDirectory() as folder:
        process = await _start(_environment(urls, {"data_dir": folder, "grace_seconds": 1, **settings}), "worker")
        try:
            assert process.stdout is not None  # it is a pipe
            await process.stdout.readline()
            yield process.pid
        finally:
            await stop(process, STOP_SECONDS)


@asynccontextmanager
async def serving(urls: Mapping[str, str], **settings: Any) -> AsyncIterator[Serving]:
    """Run `bff serve` over sources. urls: their templates by name; settings: as BFF_ names them, in lower case."""
    with tempfile.TemporaryDirectory() as folder:
        process = await _start(_environment(urls, {"data_dir": folder, "grace_seconds": 1, **settings}))
        try:
            assert process.stdout is not None  # it is a pipe
            public, admin = [(await process.stdout.readline()).decode().split()[1] for _ in range(2)]
            yield Serving(public, admin, process.pid)
        finally:
            await stop(process, STOP_SECONDS)


def _environment(urls: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")}
    own = {f"{name}__url": url for name, url in urls.items()} | {"port": 0, "admin_port": 0, **settings}
    return inherited | {f"BFF_{name.upper()}": str(value) for name, value in own.items()}


async def _start(environment: dict[str, str], what: str = "serve") -> Process:
    command = (sys.executable, "-m", "bff", what)
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL, env=environment, cwd=ROOT)


def everywhere(**settings: Any) -> dict[str, Any]:
    """Return the same settings for every source."""
    return {f"{name}__{key}": value for name in ("info", "price", "stock") for key, value in settings.items()}
