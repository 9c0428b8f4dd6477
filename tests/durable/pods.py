"""Processes of the service that can be killed and started again, and the database that they have in common."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bff.demo.launch import stop
from tests.consistency.client import Broken, Connection
from tests.durable.ledger import Owners
from tests.rings import ROOT

TOKEN = "of-the-check"
SQLITE, POSTGRES = "sqlite", "postgres"
BFF = ("bff",)
START_SECONDS = 30.0
STOP_SECONDS = 5.0
ANSWER_SECONDS = 2.0
TOLD = 2000  # bytes of what a pod wrote, where it does not start
_ERRORS = ('"level": "error"', '"level": "critical"')


class NotStarted(Exception):
    """A pod did not start, or ended by itself; the text is what it wrote."""


class Pod:
    """A process that is started again and again with the same settings. url: of its public listener, if it has one."""

    def __init__(self, name: str, command: tuple[str, ...], settings: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.url = self.admin_url = ""
        self._command = command
        self._settings = settings
        self._log = log
        self._process: Process | None = None
        self._listens = False

    def __repr__(self) -> str:
        return f"<Pod {self.name}{'' if self.is_up else ', down'}>"

    @property
    def is_up(self) -> bool:
        """Whether it listens, as far as is known."""
        return self._listens and self._process is not None and self._process.returncode is None

    async def launch(self) -> None:
        """Start it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")}
        with self._log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *self._command),
                cwd=ROOT,
                env={**inherited, **self._settings},
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=errors,
                start_new_session=True,  # a Ctrl-C on the terminal is for the check, which stops its pods
            )

    async def listening(self) -> None:
        """Wait until it listens; raise NotStarted."""
        assert self._process is not None and self._process.stdout is not None, "it was launched"
        told: dict[str, str] = {}
        try:
            async with asyncio.timeout(START_SECONDS):
                while "admin" not in told:
                    name, url = (await self._process.stdout.readline()).decode().split()
                    told[name] = url
        except (TimeoutError, ValueError) as exc:
            raise NotStarted(f"{self.name} did not start\n{self._told_last}") from exc
        self.url, self.admin_url = told.get("public", ""), told["admin"]
        self._listens = True

    async def kill(self) -> None:
        """End it as it stands, and return once it is gone; raise NotStarted where it was gone before."""
        assert self._process is not None, "it was launched"
        self._listens = False
        with suppress(ProcessLookupError):
            self._process.kill()
        if (ended := await self._process.wait()) != -signal.SIGKILL:
            raise NotStarted(f"{self.name} ended by itself with {ended}\n{self._told_last}")

    async def stop(self) -> None:
        """Ask it to end, and kill it where it does not."""
        if self._process is not None:
            await stop(self._process, STOP_SECONDS)

    async def backlog(self) -> dict[str, Any] | None:
        """Return what it tells of durable work; None where it does not answer."""
        if not self.is_up:
            return None
        connection = Connection(self.admin_url, ANSWER_SECONDS)
        try:
            found: dict[str, Any] = json.loads((await connection.request("GET", "/durable")).body)
        except Broken:
            return None
        finally:
            connection.close()
        return found

    async def working(self) -> None:
        """Wait until it does durable work; raise NotStarted."""
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while not ((found := await self.backlog()) and found["worker"] and found["worker"]["working"]):
            if asyncio.get_running_loop().time() > deadline:
                raise NotStarted(f"{self.name} does not work\n{self._told_last}")
            await asyncio.sleep(0.05)

    def errors(self) -> list[str]:
        """Return the errors that it has logged, in all its lives, and whether the last one ended by itself."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines() if self._log.exists() else []
        found = [line for line in lines if any(mark in line for mark in _ERRORS) or not line.startswith("{")]
        if self._listens and not self.is_up:
            found.append("it has ended by itself")
        return [f"{self.name}: {line}" for line in found]

    @property
    def _told_last(self) -> str:
        return self._log.read_bytes()[-TOLD:].decode(errors="replace").strip()


@dataclass(frozen=True)
class Site:
    """Pods over one database. apis: who answers; workers: who does the work, with SQLite the same one."""

    database: str
    apis: tuple[Pod, ...]
    workers: tuple[Pod, ...]

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All of them."""
        return tuple(dict.fromkeys((*self.apis, *self.workers)))

    def errors(self) -> list[str]:
        """Return the errors of all of them."""
        return [line for pod in self.pods for line in pod.errors()]

    async def backlog(self) -> dict[str, Any] | None:
        """Return how much work there is, as one of them has counted it in the last second; None where none answers."""
        for pod in self.pods:
            if found := await pod.backlog():
                return found
        return None


@asynccontextmanager
async def site(owners: Owners, database_url: str | None, command: tuple[str, ...] = BFF) -> AsyncIterator[Site]:
    """Run pods while the body runs. database_url: None is SQLite, in one pod; command: what stands for `bff`."""
    with TemporaryDirectory() as folder:
        found = _site(owners, database_url, command, Path(folder))
        try:
            for each in found.pods:
                await each.launch()
            for each in found.pods:  # they start at once
                await each.listening()
            for each in found.workers:
                await each.working()
            yield found
        finally:
            await asyncio.gather(*(each.stop() for each in found.pods), return_exceptions=True)


def _site(owners: Owners, database_url: str | None, command: tuple[str, ...], folder: Path) -> Site:
    def pod(name: str, what: str) -> Pod:
        own = {"BFF_DATA_DIR": str(folder / f"{name} data"), "BFF_EXECUTOR_ID": name}
        if database_url is not None:
            own["BFF_DATABASE_URL"] = database_url
        return Pod(name, (*command, what), {**owners.settings, **_SETTINGS, **own}, folder / f"{name}.log")

    if database_url is None:
        alone = (pod("local", "serve"),)
        return Site(SQLITE, alone, alone)
    apis, workers = (
        (pod("api-1", "serve"), pod("api-2", "serve")),
        (pod("worker-1", "worker"), pod("worker-2", "worker")),
    )
    return Site(POSTGRES, apis, workers)


_SETTINGS = {
    "BFF_AUTH__TOKENS": json.dumps({"check": {"token": TOKEN, "scopes": ["catalog:write", "reservations"]}}),
    "BFF_PORT": "0",
    "BFF_ADMIN_PORT": "0",
    "BFF_LOG__LEVEL": "warning",
    "BFF_LOG__FORMAT": "json",
    "BFF_GRACE_SECONDS": "1",
}
