"""The numbers that are counts: what hostile traffic costs the circuits, the retries, the slots and the cache.

What is measured by a clock or in bytes is in benchmarks/numbers.
"""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.harness import SOURCES, Bff, bff, patient
from tests.upstreams import Seen, after, always, hang, parts

CLIENTS = 50
IMPATIENT = 10_000
LEAVING = 1_000  # 20,000 in benchmarks/numbers
NEVER = 1_000_000
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def everywhere(**settings: Any) -> dict[str, Any]:
    """The same settings for every source."""
    return {f"{name}__{setting}": value for name in SOURCES for setting, value in settings.items()}


PATIENCE = patient()


async def ask(url: str, skus: Iterable[str], header: str = "", clients: int = CLIENTS) -> Counter[int]:
    """Ask for pages, each client one after the other over a connection of its own, and count the statuses."""
    left, statuses = iter(skus), Counter[int]()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
        with closing(writer):
            for sku in left:
                writer.write(f"GET /api/v1/products/{sku} HTTP/1.1\r\nHost: b\r\n{header}\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                assert length is not None
                await reader.readexactly(int(length[1]))
                statuses[int(head.split(b" ", 2)[1])] += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    return statuses


def skus(count: int, prefix: str = "S") -> Iterator[str]:
    return (f"{prefix}{number}" for number in range(count))


def most_attempts(service: Bff, source: str) -> int:
    """How often a source was asked for the same SKU."""
    return max(Counter(seen.sku for seen in getattr(service, source).seen).values())


async def settled(condition: Callable[[], bool]) -> None:
    """Wait until it holds; what never does is a leak."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


# Callers without time


async def test_callers_without_time_open_no_circuit_and_spend_no_retry() -> None:
    slow: dict[str, Any] = {name: after(0.2, parts(name)) for name in SOURCES}
    async with bff(**slow, **PATIENCE, **everywhere(concurrency=16, queue=64)) as service:
        statuses = await ask(service.run.public_url, skus(IMPATIENT), "X-Request-Timeout-Ms: 1\r\n")
        assert statuses.total() == IMPATIENT
        assert set(statuses) <= {503, 504}  # out of time, or out of slots
        for name, state in (await service.admin("/sources")).json.items():
            assert state["circuit"] == "closed"
            assert state["retry_budget"]["left"] >= 10  # the floor, and a share of the questions
            assert most_attempts(service, name) == 1  # nothing was asked twice
            assert await service.metric("bff_upstream_attempts_total", source=name, outcome="timeout") == 0


async def test_control_sources_without_time_open_their_circuits_and_spend_retries() -> None:
    # None is required, so that each page waits for all three. And one client: of many the first ones that time out may
    # open the circuits before any of them has tried again.
    times = {**PATIENCE, **everywhere(attempt_timeout_seconds=0.1, required=False)}
    circuit = everywhere(circuit__window_seconds=NEVER, circuit__open_seconds=NEVER)
    silent: dict[str, Any] = dict.fromkeys(SOURCES, hang)
    async with bff(**silent, **times, **circuit) as service:
        await ask(service.run.public_url, skus(30), clients=1)
        for name, state in (await service.admin("/sources")).json.items():
            assert state["circuit"] == "open"
            assert most_attempts(service, name) == 2


# Clients that leave


async def leave(url: str, pages: Iterable[str], arrived: defaultdict[str, asyncio.Event]) -> None:
    """Ask for pages and leave without an answer: every other time once a source was asked, else at once."""
    left = enumerate(pages)

    async def client() -> None:
        for number, sku in left:
            _, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
            writer.write(f"GET /api/v1/products/{sku} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
            if number % 2:
                await arrived[sku].wait()
            writer.transport.abort()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


def held(arrived: defaultdict[str, asyncio.Event]) -> dict[str, Any]:
    """Sources that say who was asked for, and never answer."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        arrived[seen.sku].set()
        await hang(seen, writer)

    return dict.fromkeys(SOURCES, script)


def holds(service: Bff) -> dict[str, int]:
    """What the service holds for pages under way, and the connections that its sources see."""
    connections = sum(getattr(service, name).open_connections for name in SOURCES)
    return {
        "tasks": len(asyncio.all_tasks()),
        "flights": service.service.caching.tiers.loading,
        "connections": connections,
    }


@pytest.mark.parametrize(("slots", "queue"), [(64, 256), (2, 1000)])
async def test_clients_that_leave_take_everything_with_them(slots: int, queue: int) -> None:
    arrived: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
    narrow = everywhere(concurrency=slots, queue=queue)
    async with bff(**held(arrived), **PATIENCE, **narrow) as service:
        before = holds(service)
        await leave(service.run.public_url, skus(LEAVING), arrived)
        await settled(lambda: holds(service) == before)
        state = (await service.admin("/sources")).json
        assert {(source["in_flight"], source["waiting"]) for source in state.values()} == {(0, 0)}
        assert {source["circuit"] for source in state.values()} == {"closed"}
        for name in SOURCES:
            getattr(service, name).script = parts(name)
        assert await ask(service.run.public_url, skus(100)) == {200: 100}


async def test_control_clients_that_stay_hold_a_slot_a_task_and_a_connection_each() -> None:
    arrived: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
    async with bff(**held(arrived), **PATIENCE) as service:
        before = holds(service)
        staying = asyncio.ensure_future(ask(service.run.public_url, skus(CLIENTS)))
        await settled(lambda: holds(service)["connections"] == before["connections"] + 3 * CLIENTS)
        assert holds(service)["flights"] == before["flights"] + 3 * CLIENTS
        assert holds(service)["tasks"] > before["tasks"] + 3 * CLIENTS
        state = (await service.admin("/sources")).json
        assert {source["in_flight"] for source in state.values()} == {CLIENTS}
        staying.cancel()
        await asyncio.wait({staying})
        await settled(lambda: holds(service) == before)


async def test_clients_that_leave_are_no_errors() -> None:
    arrived: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
    async with bff(**held(arrived), **PATIENCE) as service:
        await leave(service.run.public_url, skus(100), arrived)
        while await service.metric("bff_request_seconds_count") != 100:
            await asyncio.sleep(0.01)
        assert await service.metric("bff_requests_total", status="500") == 0
        assert await service.metric("bff_requests_total", status="499") == 100


# A source that always fails


async def test_a_failing_source_is_asked_a_fifth_more_than_there_are_questions_and_a_floor() -> None:
    async with bff(stock=always("no", 500), stock__circuit__min_attempts=NEVER, **PATIENCE) as service:
        assert await ask(service.run.public_url, skus(500)) == {200: 500}
        assert 500 < len(service.stock.seen) <= 1.2 * 500 + 10


async def test_control_without_a_budget_it_is_asked_twice_as_often() -> None:
    async with bff(
        stock=always("no", 500), stock__circuit__min_attempts=NEVER, stock__retry_ratio=1, **PATIENCE
    ) as service:
        assert await ask(service.run.public_url, skus(500)) == {200: 500}
        assert len(service.stock.seen) == 2 * 500


async def test_a_failing_source_is_asked_no_more_once_its_circuit_is_open() -> None:
    async with bff(stock=always("no", 500), stock__circuit__open_seconds=NEVER, **PATIENCE) as service:
        assert await ask(service.run.public_url, skus(300), clients=1) == {200: 300}
        assert await service.circuit("stock") == "open"
        assert len(service.stock.seen) == 20  # the attempts that a circuit wants to see
        assert await service.metric("bff_parts_total", source="stock", reason="circuit_open") >= 280


async def test_an_open_circuit_lets_no_more_through_than_its_probes() -> None:
    answering = asyncio.Event()

    async def recovering(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answering.wait()
        await parts("stock")(seen, writer)

    async with bff(stock=always("no", 500), stock__circuit__open_seconds=2, **PATIENCE) as service:
        await ask(service.run.public_url, skus(40), clients=1)
        assert await service.circuit("stock") == "open"
        service.stock.script = recovering
        service.stock.seen.clear()
        await asyncio.sleep(2.1)  # the time that open lasts
        asking = asyncio.ensure_future(ask(service.run.public_url, skus(CLIENTS, "T")))
        await settled(lambda: len(service.info.seen) == 40 + CLIENTS and service.service.caching.tiers.loading == 3)
        assert len(service.stock.seen) == 3  # which is all that is still under way
        answering.set()
        assert await asking == {200: CLIENTS}
        assert len(service.stock.seen) == 3
        assert await service.circuit("stock") == "closed"
