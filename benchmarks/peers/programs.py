"""Programs of others: where they are on this machine, or in .tools, unpacked from their Debian packages."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.process import ROOT
from tests.rings import Apt, Tool, Toolbox

TOOLS = ROOT / ".tools"
SYSTEM = Path("/")
_PATH = os.environ.get("PATH", os.defpath)
_LUA = (
    "nginx",
    "libnginx-mod-http-ndk",
    "libnginx-mod-http-lua",
    "libluajit2-5.1-2",
    "lua-resty-core",
    "lua-resty-lrucache",
    "lua-cjson",
)
_TABLE = {
    "nginx-lua": Tool((*_LUA, "libpcre3"), "usr/sbin/nginx"),  # Debian 12
    "nginx-lua-pcre2": Tool(_LUA, "usr/sbin/nginx"),  # Debian 13 and later
    "wrk": Tool(("wrk", "libluajit-5.1-2"), "usr/bin/wrk"),
}


class Unavailable(Exception):
    """A program is neither here nor to be had."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and the folder under which its libraries are: `SYSTEM`, or where it was unpacked."""

    path: Path
    root: Path

    @property
    def command(self) -> tuple[str, ...]:
        """What to start; `env` becomes the program, so its process id is the program's."""
        if self.root == SYSTEM:
            return (str(self.path),)
        libraries = os.pathsep.join(self.found("usr/lib/*-linux-*", "lib/*-linux-*"))
        return "env", f"LD_LIBRARY_PATH={libraries}", str(self.path)

    def found(self, *patterns: str) -> list[str]:
        """Return what there is of these under its root."""
        return [str(path) for pattern in patterns for path in sorted(self.root.glob(pattern))]


def installed(name: str) -> Program | None:
    """Return a program of the system, None where it has none."""
    path = shutil.which(name, path=os.pathsep.join([_PATH, "/usr/sbin"]))
    return None if path is None else Program(Path(path), SYSTEM)


def unpacked(name: str) -> Program:
    """Return a program out of .tools, where it is unpacked the first time; raise Unavailable where it cannot be."""
    toolbox = Toolbox(_TABLE, TOOLS, "", Apt(TOOLS / "apt", _PATH))  # the system's was not wanted, or is not there
    if toolbox.missing([name]):
        raise Unavailable(f"{name} (Debian: {', '.join(_TABLE[name].packages)})")
    return Program(TOOLS / name / _TABLE[name].path, TOOLS / name)


def wrk() -> Program:
    """Return wrk, unpacked where the system has none."""
    return installed("wrk") or unpacked("wrk")
