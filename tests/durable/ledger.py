"""The owners as the check sees them: what they hold, what was really done to them, what they do wrong on request."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from bff.demo.launch import environment, stop
from tests.consistency.client import Connection
from tests.rings import ROOT

SOURCES = ("info", "price", "stock")
STOP_SECONDS = 3.0
ANSWER_SECONDS = 30.0


class NotAnswered(Exception):
    """An owner answered something that it never should."""


class Effect(msgspec.Struct):
    """How often a write came with a key, and how often one was done."""

    key: str
    sku_id: str
    asked: int
    applied: int


class Write(msgspec.Struct):
    """A write that was done. before: the part that it replaced."""

    key: str | None
    sku_id: str
    before: msgspec.Raw
    part: msgspec.Raw


class Taken(msgspec.Struct):
    """What the stock service knows of a reservation. status: its first answer."""

    sku_id: str | None
    quantity: int | None
    status: str | None
    released: bool


class Account(msgspec.Struct):
    """A SKU's stock: now, and what of it is deducted and not given back."""

    quantity: int
    deducted: int


class Ledger(msgspec.Struct):
    """What was really done. forgotten: what of it is missing here."""

    keys: list[Effect]
    writes: list[Write]
    forgotten: int
    skus: dict[str, Account] = {}
    reservations: dict[str, Taken] = {}


@dataclass(frozen=True)
class Owners:
    """The three services, by their base URLs."""

    urls: Mapping[str, str]

    @property
    def settings(self) -> dict[str, str]:
        """What a service in front of them finds in its environment."""
        return environment(self.urls)

    async def misbehave(self, **faults: Any) -> None:
        """Have all of them do this wrong, and nothing else."""
        for source in SOURCES:
            await self._ask(source, "PUT", "/_faults", json.dumps(faults).encode())

    async def put(self, source: str, sku: str, **fields: Any) -> None:
        """Write a part, past the service."""
        await self._ask(source, "PUT", f"/{source}/{sku}", json.dumps({"sku_id": sku, **fields}).encode())

    async def part(self, source: str, sku: str) -> bytes:
        """Return a part as it is now."""
        return await self._ask(source, "GET", f"/{source}/{sku}")

    async def ledger(self, source: str) -> Ledger:
        """Return the ledger of one of them."""
        return msgspec.json.decode(await self._ask(source, "GET", f"/{source}/_ledger"), type=Ledger)

    async def _ask(self, source: str, method: str, path: str, body: bytes = b"") -> bytes:
        connection = Connection(self.urls[source], ANSWER_SECONDS)
        try:
            answer = await connection.request(method, path, body=body)
        finally:
            connection.close()
        if answer.status != 200:
            raise NotAnswered(f"{method} {path}: {answer.status} {answer.body!r}")
        return answer.body


@asynccontextmanager
async def owning() -> AsyncIterator[Owners]:
    """Run the owners while the body runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.durable.owners"), cwd=ROOT, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        yield Owners(await _listening(process))
    finally:
        await stop(process, STOP_SECONDS)


async def _listening(process: Process) -> dict[str, str]:
    assert process.stdout is not None, "it is a pipe"
    lines = [(await process.stdout.readline()).decode().split() for _ in SOURCES]
    if not all(lines):
        raise NotAnswered("the owners did not start")
    return dict(line for line in lines if len(line) == 2)
