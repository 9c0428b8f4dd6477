"""Durable work: how fast reservations are accepted and sold, and what all of it costs the pages."""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count, repeat
from statistics import median, quantiles
from typing import Any

from benchmarks.comparison.wrk import Load, drive
from benchmarks.numbers.client import PATH, Reply, get, post
from benchmarks.numbers.process import ROOT, Serving, serving, working
from benchmarks.numbers.report import Row
from bff.demo.launch import environment, sample_sources
from tests.postgres_server import fresh, postgres_server

CLIENTS = 64
ACCEPTED = 8000
STEADY_SECONDS = 8
SOURCE_MS = 20
ROUNDS = 15
ROUND_SECONDS = 2
OWN, OTHERS = {0}, {1}
"""Cores: of the service, and of load, sources, database and worker."""

CHANGES_A_SECOND = 5
GOALS = {"SQLite": 1000, "Postgres": 500}
TOKEN = "a-token-of-the-benchmark"
AUTH = json.dumps({"benchmark": {"token": TOKEN, "scopes": ["catalog:write", "reservations"]}})
RESERVE = "/api/v1/products/G0/reservations"


@dataclass(frozen=True, slots=True)
class Shop:
    """A service that accepts, and its sources' settings."""

    api: Serving
    templates: dict[str, str]


async def measure() -> tuple[list[Row], str]:
    """Measure both databases."""
    os.sched_setaffinity(0, OTHERS)
    rows: list[Row] = []
    for database in GOALS:
        async with _shop(database, AUTH) as shop:
            rows += await _accepting(database, shop.api)
    rows += [
        await _cost("embedded, SQLite", "SQLite", 8),
        await _cost("embedded, SQLite, on both cores", "SQLite", 8, OWN | OTHERS),
        await _cost("elsewhere, Postgres", "Postgres", 3),
    ]
    rows.append(_start())
    notes = (
        f"The accepting process has one core, shared with its worker where that is embedded; {CLIENTS} clients;"
        f" the stock service answers after {SOURCE_MS} ms. Pages are hot ones, with {CHANGES_A_SECOND} changes a second"
        f" being done, by wrk from the other core, in {ROUNDS} rounds of {ROUND_SECONDS} s, each beside one without."
        " On both cores the service's threads contend for the interpreter across them: a reading of their context"
        " switches, and not proven here."
    )
    return rows, notes


@asynccontextmanager
async def _shop(database: str, auth: str, cores: set[int] = OWN) -> AsyncIterator[Shop]:
    """Run a service over one database, and a worker of its own where that is Postgres."""
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(sample_sources(delays_ms=(SOURCE_MS, SOURCE_MS, SOURCE_MS)))
        own = {name.removeprefix("BFF_").lower(): value for name, value in environment(urls).items()}
        own |= {"auth__tokens": auth} if auth else {}
        if database == "Postgres":
            own |= {"database_url": stack.enter_context(_postgres()), "executor_id": "api"}
        os.sched_setaffinity(0, cores)  # with it come all the threads that the service will have
        api = await stack.enter_async_context(serving({}, **own))
        os.sched_setaffinity(0, OTHERS)
        if database == "Postgres" and auth:
            await stack.enter_async_context(working({}, **{**own, "executor_id": "worker"}))
        if auth:
            await _usable(api)
        yield Shop(api, own)


@contextmanager
def _postgres() -> Iterator[str]:
    with postgres_server() as server:
        yield fresh(server)


async def _usable(api: Serving) -> None:
    await _until(api, lambda figures: figures["database"] == "usable")
    await asyncio.sleep(2)  # the engine takes its time


async def _until(api: Serving, holds: Callable[[dict[str, Any]], bool]) -> None:
    while not holds(await get(api.admin, "/durable")):  # noqa: ASYNC110 - it is in another process
        await asyncio.sleep(0.02)


async def _accepting(database: str, api: Serving) -> list[Row]:
    goal = GOALS[database]
    began = time.perf_counter()
    replies = await _reserve(api, ACCEPTED)
    accepted = time.perf_counter() - began
    await _until(api, lambda figures: not figures["queued"])
    drained = time.perf_counter() - began
    rate = goal / 2
    steady = await _reserve(api, int(rate * STEADY_SECONDS), rate)
    assert {reply.status for reply in (*replies, *steady)} == {202}, "a reservation was refused"
    p99 = quantiles((reply.seconds * 1000 for reply in steady), n=100)[98]
    return [
        Row(
            f"{database}: reservations accepted",
            f">= {goal}/s",
            f"{ACCEPTED / accepted:.0f}/s",
            ACCEPTED / accepted >= goal,
        ),
        Row(f"{database}: p99 of accepting at {rate:.0f}/s", "< 50 ms", f"{p99:.1f} ms", p99 < 50),
        Row(
            f"{database}: one SKU's drained meanwhile",
            ">= 1000/s",
            f"{ACCEPTED / drained:.0f}/s",
            ACCEPTED / drained >= 1000,
        ),
    ]


async def _reserve(api: Serving, number: int, rate: float = 0.0) -> list[Reply]:
    run = secrets.token_hex(4)
    targets = repeat(RESERVE, number)
    return await post(
        api.public, targets, b'{"quantity":1}', lambda n: _headers(f"{run}-{n}"), clients=CLIENTS, rate=rate
    )


def _headers(key: str) -> str:
    return f"Authorization: Bearer {TOKEN}\r\nIdempotency-Key: {key}\r\n"


async def _cost(what: str, database: str, goal: int, cores: set[int] = OWN) -> Row:
    """Compare the pages of a service whose changes are being done with those of one without durable work."""
    async with _shop("SQLite", "", cores) as without, _shop(database, AUTH, cores) as busy:
        changing = asyncio.ensure_future(_change(busy.api))
        try:
            pairs = [(await _pages(without.api), await _pages(busy.api)) for _ in range(ROUNDS)]
        finally:
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)
    less = (1 - median(after / before for before, after in pairs)) * 100
    alone, beside = (median(pair[n] for pair in pairs) for n in (0, 1))
    measured = f"{-less:+.1f} % ({beside:,.0f}/s, {alone:,.0f}/s without)"
    return Row(f"pages/s beside a worker that is {what}", f">= -{goal} %", measured, less <= goal)


async def _pages(api: Serving) -> float:
    """Return how many pages a second are answered from memory."""
    outcome = await drive(api.public, PATH, Load("one", CLIENTS, first=1), ROUND_SECONDS)
    assert not outcome.fault, outcome.fault
    return outcome.pages / outcome.seconds


async def _change(api: Serving) -> None:
    for number in count():
        body = json.dumps({"sku_id": f"G{number % 50 + 100}", "stock": {"quantity": number}}).encode()
        key = secrets.token_hex(8)
        await post(api.public, ["/api/v1/changes"], body, lambda _, key=key: _headers(key), clients=1)  # type: ignore[misc]
        await asyncio.sleep(1 / CHANGES_A_SECOND)


def _start() -> Row:
    """Say what importing durable work adds to a start where there is none of it (python -X importtime)."""
    command = [sys.executable, "-X", "importtime", "-c", "import bff.cli"]
    times = []
    for _ in range(ROUNDS):
        told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stderr
        own = re.findall(
            r"import time:\s+(\d+) \|\s+\d+ \|\s+(?:bff\.durable|bff\.wiring\.durable|clients\.deduct)", told
        )
        assert own, "durable work is not imported at all"
        times.append(sum(map(int, own)) / 1000)
    return Row("start-up where durable routes are off", "<= +300 ms", f"+{median(times):.0f} ms", median(times) <= 300)
