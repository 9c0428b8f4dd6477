"""Run rings of tests, once the outside tools that they need are there.

`python -m tests.rings unit,servers -- -x`. A tool that is not on PATH is unpacked, without root, from its
Debian packages into .tools of the checkout. Knows nothing of what the tests do, and resolves no dependencies: a
package that a tool needs besides its own is listed with it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.launcher import launcher, write_launcher
from tests.runs import Pytest

ROOT = Path(__file__).resolve().parents[1]
USAGE = "usage: python -m tests.rings RING[,RING...] [-- PYTEST ARGUMENTS]"


@dataclass(frozen=True)
class Tool:
    """Say which Debian packages hold a program, and its path inside them.

    with_libraries: whether shared libraries are among them, which no loader would look for where they are unpacked.
    """

    packages: tuple[str, ...]
    path: str
    with_libraries: bool = False


@dataclass(frozen=True)
class Table:
    """Map each ring to the programs it needs, and each program to where it comes from."""

    rings: Mapping[str, tuple[str, ...]]
    tools: Mapping[str, Tool]


# Of Debian 12 and 13; the other libraries that it needs are those of apt and of openssl.
_REDIS = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1")

TABLE = Table(
    rings={
        "unit": (),
        "service": ("openssl", "redis-server"),
        "contract": ("openssl", "redis-server"),
        "servers": ("kubectl",),
    },
    tools={
        "kubectl": Tool(("kubernetes-client",), "usr/bin/kubectl"),
        "openssl": Tool(("openssl",), "usr/bin/openssl"),  # makes the certificates of the tests
        "redis-server": Tool(_REDIS, "usr/bin/redis-server", with_libraries=True),
    },
)


class Unfetched(Exception):
    """A tool's packages could not be had."""


Fetch = Callable[[Tool, Path], None]  # unpacks the tool's packages into the folder, or raises Unfetched


@dataclass(frozen=True)
class Apt:
    """Unpack Debian packages without root.

    The machine's own package lists serve where there are any; else lists are fetched into a private folder.
    """

    private: Path
    path: str
    timeout_seconds: float = 300.0

    def __call__(self, tool: Tool, into: Path) -> None:
        with tempfile.TemporaryDirectory() as name:
            debs = Path(name)
            self._download(tool, debs)
            for deb in sorted(debs.glob("*.deb")):
                self._run(["dpkg", "-x", str(deb), str(into)], debs)

    def _download(self, tool: Tool, debs: Path) -> None:
        download = ["download", *tool.packages]
        try:
            self._run(["apt-get", *download], debs)
        except Unfetched:
            apt = ["apt-get", *self._private_options()]
            self._update(apt, debs)
            self._run([*apt, *download], debs)

    def _update(self, apt: Sequence[str], debs: Path) -> None:
        # One dead source, or a hook that wants root, fails the whole update, yet the lists of the others are
        # there: the download that follows tells whether they are enough.
        with suppress(Unfetched):
            self._run([*apt, "update"], debs)

    def _private_options(self) -> list[str]:
        folders = {"Dir::State": self.private / "state", "Dir::Cache": self.private / "cache"}
        for folder, partial in zip(folders.values(), ("lists", "archives"), strict=True):
            (folder / partial / "partial").mkdir(parents=True, exist_ok=True)
        places = [part for name, folder in folders.items() for part in ("-o", f"{name}={folder}")]
        return [*places, "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"]

    def _run(self, command: Sequence[str], cwd: Path) -> None:
        # The output is kept back: it is the package manager's own, hosts and all.
        env = {**os.environ, "PATH": self.path}
        try:
            subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True, timeout=self.timeout_seconds)
        except (OSError, subprocess.SubprocessError) as exc:
            raise Unfetched(command[0]) from exc


@dataclass(frozen=True)
class Toolbox:
    """Find programs on PATH or among those unpacked before, and unpack the others."""

    tools: Mapping[str, Tool]
    folder: Path
    path: str
    fetch: Fetch

    def bin_dirs(self, names: Iterable[str]) -> list[str]:
        """Return the folders to put before PATH so that these programs are found."""
        unpacked = [self._unpacked(name) for name in names if not self._on_path(name)]
        return list(dict.fromkeys(str(program.parent) for program in unpacked))

    def program(self, name: str) -> str:
        """Return what to start; raise Unfetched where it neither is there nor can be fetched."""
        if self.missing([name]):
            raise Unfetched(name)
        return shutil.which(name, path=self.path) or str(self._unpacked(name))

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the programs that neither are there nor can be fetched."""
        return [name for name in names if not self._present(name) and not self._fetched(name)]

    def _on_path(self, name: str) -> bool:
        return shutil.which(name, path=self.path) is not None

    def _unpacked(self, name: str) -> Path:
        tool = self.tools[name]
        return self.folder / name / (launcher(tool.path) if tool.with_libraries else tool.path)

    def _present(self, name: str) -> bool:
        return self._on_path(name) or os.access(self._unpacked(name), os.X_OK)

    def _fetched(self, name: str) -> bool:
        tool = self.tools[name]
        print(f"fetching {name} (Debian: {', '.join(tool.packages)}) into {self.folder.name}", flush=True)
        try:
            self.folder.mkdir(exist_ok=True)
            # Unpacked aside and renamed, so that an interrupted run leaves no half of a program.
            with tempfile.TemporaryDirectory(dir=self.folder) as aside:
                unpacked = Path(aside) / name
                unpacked.mkdir()
                self.fetch(tool, unpacked)
                if tool.with_libraries:
                    write_launcher(unpacked, tool.path)
                self._place(unpacked)
        except (Unfetched, OSError):
            return False
        return self._present(name)

    def _place(self, unpacked: Path) -> None:
        target = self.folder / unpacked.name
        shutil.rmtree(target, ignore_errors=True)  # what is there lacks the program
        unpacked.rename(target)


@dataclass(frozen=True)
class Request:
    """Hold what the command line asks for."""

    rings: tuple[str, ...]
    pytest: tuple[str, ...]


def parse(arguments: Sequence[str], known: Iterable[str]) -> Request:
    """Read the command line; raise ValueError, saying what is wrong with it."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    asked = [ring.strip() for argument in arguments[:split] for ring in argument.split(",")]
    rings = tuple(dict.fromkeys(filter(None, asked)))
    if not rings:
        raise ValueError(USAGE)
    if unknown := [ring for ring in rings if ring not in known]:
        raise ValueError(f"no such ring: {', '.join(unknown)} (there are {', '.join(known)})")
    return Request(rings, tuple(arguments[split + 1 :]))


def needed(rings: Iterable[str], table: Table) -> list[str]:
    """Return the programs that these rings need, each once."""
    return list(dict.fromkeys(tool for ring in rings for tool in table.rings[ring]))


def refusal(rings: Sequence[str], missing: Sequence[str], table: Table) -> str:
    """Say which rings cannot run, for want of what, and how to run the others."""
    lacking = {ring: [tool for tool in table.rings[ring] if tool in missing] for ring in rings}
    lines = [f"ring {ring} cannot run: {_wanted(tools, table)}" for ring, tools in lacking.items() if tools]
    able = [ring for ring, tools in lacking.items() if not tools]
    hint = [f"the others can: make test RINGS={','.join(able)}"] if able else []
    return "\n".join([*lines, *hint])


def _wanted(tools: Iterable[str], table: Table) -> str:
    wanted = (f"{tool} is missing (Debian: {', '.join(table.tools[tool].packages)})" for tool in tools)
    return "; ".join(wanted)


def run(arguments: Sequence[str], table: Table, root: Path, path: str, fetch: Fetch) -> int:
    """Run the asked rings, or none of them; return pytest's exit code, 1 for a missing tool, 2 for misuse."""
    try:
        request = parse(arguments, table.rings)
    except ValueError as exc:
        print(exc, file=sys.stderr)
        return 2
    toolbox = Toolbox(table.tools, root / ".tools", path, fetch)
    tools = needed(request.rings, table)
    if missing := toolbox.missing(tools):
        print(refusal(request.rings, missing, table), file=sys.stderr)
        return 1
    env = {**os.environ, "PATH": os.pathsep.join([*toolbox.bin_dirs(tools), path])}
    return Pytest(tuple(f"tests/{ring}" for ring in request.rings), root, env).run(request.pytest)


def main() -> int:
    """Run the rings named on the command line, on this machine's PATH."""
    path = os.environ.get("PATH", os.defpath)
    try:
        return run(sys.argv[1:], TABLE, ROOT, path, Apt(ROOT / ".tools" / "apt", path))
    except KeyboardInterrupt:
        return 130  # what a shell reports for SIGINT; pytest has had it too, and has printed its summary


if __name__ == "__main__":
    sys.exit(main())
