"""What the kernel knows of processes and cores (proc(5))."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE, _IOWAIT = 3, 4


def spent(pids: Iterable[int]) -> float:
    """Return the seconds of CPU that processes have spent so far, all threads included: utime and stime."""
    lines = [Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split() for pid in pids]
    return sum(int(fields[11]) + int(fields[12]) for fields in lines) / _TICKS


@dataclass(frozen=True, slots=True)
class Core:
    """Seconds that a core has spent so far: on programs, busy with anything, and in all."""

    programs: float
    busy: float
    all: float

    def __sub__(self, before: "Core") -> "Core":
        return Core(self.programs - before.programs, self.busy - before.busy, self.all - before.all)


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the servers have, and which one the load and the sources."""

    server: int
    load: int


def core(number: int) -> Core:
    """Read a core's counters; guests' time is part of user time already."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith(f"cpu{number} ")]
    fields = [int(field) / _TICKS for field in line.split()[1:9]]
    idle = fields[_IDLE] + fields[_IOWAIT]
    return Core(sum(fields[:_IDLE]), sum(fields) - idle, sum(fields))


@dataclass(frozen=True, slots=True)
class Reading:
    """A server and both cores."""

    server: float
    server_core: Core
    load_core: Core

    def __sub__(self, before: "Reading") -> "Reading":
        own, ours, its = before.server, before.server_core, before.load_core
        return Reading(self.server - own, self.server_core - ours, self.load_core - its)

    @property
    def load_busy(self) -> float:
        """The share of the time that the load's core was busy."""
        return self.load_core.busy / self.load_core.all

    @property
    def others(self) -> float:
        """The share of the server's core that programs had which take no part."""
        return max(0.0, self.server_core.programs - self.server) / self.server_core.all


def read(pids: Iterable[int], cores: Cores) -> Reading:
    """Read all the counters."""
    return Reading(spent(pids), core(cores.server), core(cores.load))


def machine() -> str:
    """Say what it runs on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = info.partition("model name")[2].partition("\n")[0].strip("\t :") or platform.machine()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB, {platform.system()} {platform.release()}"
