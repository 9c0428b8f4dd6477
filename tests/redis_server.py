"""A real redis-server of a test's own: on a free port of the loopback, in a temporary folder, gone with the test.

`with redis_server() as server:`. It keeps nothing: what was stored is lost when it restarts. Its calls block, for some
tens of milliseconds where it starts; a coroutine that shares its loop with others makes them in a thread.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.rings import ROOT, TABLE, Apt, Toolbox

LOOPBACK = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 5.0
ANSWER_SECONDS = 5.0
OUTPUT = "output"


class NotStarted(Exception):
    """The server ended, or did not answer, within its time; the text is what it wrote."""


class RedisServer:
    """One redis-server process. port: its own for as long as this object lives, also across restarts."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = _free_port()
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        state = "stopped" if self._process is None else f"process {self._process.pid}"
        return f"<RedisServer {self.url}, {state}>"

    @property
    def url(self) -> str:
        """Its address, as `BFF_REDIS_URL` wants it."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process id while it runs."""
        assert self._process is not None, self
        return self._process.pid

    def start(self) -> None:
        """Start it, and return once it answers; raise NotStarted."""
        assert self._process is None, self
        options = ("--bind", LOOPBACK, "--port", str(self.port), "--save", "", "--dir", str(self._folder))
        with (self._folder / OUTPUT).open("wb") as output:
            self._process = subprocess.Popen(
                [self._program, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C on the terminal is for the test, which stops the server
            )
        deadline = time.perf_counter() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() > deadline:
                raise NotStarted((self._folder / OUTPUT).read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.01)

    def stop(self) -> None:
        """Ask it to end, and kill it where it has not in time; it may be stopped already."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self._process is not None, self
        self._process.kill()
        self._process.wait()
        self._process = None

    def command(self, *words: str | int) -> Any:
        """Send a command over a connection of its own and return its answer, decoded; raise redis.RedisError."""
        with self.client() as client:
            return client.execute_command(*words)

    def client(self) -> redis.Redis:
        """Return a client that tries once and decodes what it gets."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis(LOOPBACK, self.port, socket_timeout=ANSWER_SECONDS, retry=once, decode_responses=True)

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING"))
        except redis.RedisError:  # it does not listen yet, or is loading
            return False


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run a server while the body runs; the body may stop, kill and start it."""
    with TemporaryDirectory() as folder:
        server = RedisServer(_program(), Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@cache
def _program() -> str:
    """Return redis-server: the machine's own, or one that is unpacked into .tools the first time."""
    path = os.environ.get("PATH", os.defpath)
    return Toolbox(TABLE.tools, ROOT / ".tools", path, Apt(ROOT / ".tools" / "apt", path)).program("redis-server")


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        return int(bound.getsockname()[1])
