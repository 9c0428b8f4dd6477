"""What tests of durable work share: callers, and ways to ask for work and to follow what becomes of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from tests.contract.owners import Owners, Till
from tests.harness import Answer, Bff, bff, patient, request, until
from tests.upstreams import Script, Seen

SOURCES = ("info", "price", "stock")
CHANGES = "/api/v1/changes"
RESERVATIONS = "/api/v1/reservations"
GENEROUS_SECONDS = 20.0
"""For whatever a test waits for: a busy machine stalls, and a test must not."""

TOKENS = {
    "writer": {"token": "w-secret", "scopes": ["catalog:write"]},
    "editor": {"token": "e-secret", "scopes": ["catalog:write"]},
    "owner": {"token": "o-secret", "scopes": ["catalog:notify"]},
    "shop": {"token": "s-secret", "scopes": ["reservations"]},
    "rival": {"token": "r-secret", "scopes": ["reservations"]},
    "both": {"token": "b-secret", "scopes": ["catalog:write", "reservations"]},
}
LONG: dict[str, Any] = {f"{name}__fresh_seconds": "600" for name in SOURCES}
PATIENT: dict[str, Any] = {**patient(), **{f"{name}__write_timeout_seconds": GENEROUS_SECONDS for name in SOURCES}}
SELLING: dict[str, Any] = {"stock__deduct_url": "/deduct", "stock__release_url": "/release"}
CHANGE_ENDS = {"succeeded", "compensated", "failed", "cancelled", "timed_out"}
JSON = ("Content-Type", "application/json")
Header = tuple[str, str]


def bearer(caller: str) -> Header:
    """Return the header by which a caller is known."""
    return "Authorization", f"Bearer {TOKENS[caller]['token']}"


def keyed(key: str) -> Header:
    return "Idempotency-Key", key


@asynccontextmanager
async def selling(till: Till, **settings: Any) -> AsyncIterator[Bff]:
    """Run the service over a stock service that sells."""
    async with bff(stock=till, **{"auth__tokens": TOKENS, **SELLING, **LONG, **PATIENT, **settings}) as service:
        await has_its_database(service)
        yield service


@asynccontextmanager
async def changing(owners: Owners, **settings: Any) -> AsyncIterator[Bff]:
    """Run the service over owners that can be written to."""
    scripts = {"info": owners.info, "price": owners.price, "stock": owners.stock}
    async with bff(**scripts, **{"auth__tokens": TOKENS, **LONG, **PATIENT, **settings}) as service:
        await has_its_database(service)
        yield service


async def queued(service: Bff) -> int:
    """Return how many reservations wait, once they were counted."""

    async def counted() -> bool:
        return (await service.admin("/durable")).json["queued"] is not None

    await until(counted, GENEROUS_SECONDS)
    return int((await service.admin("/durable")).json["queued"])


async def has_its_database(service: Bff) -> None:
    """Wait until work can be accepted: the service serves pages before."""

    async def usable() -> bool:
        return bool((await service.admin("/durable")).json["database"] == "usable")

    await until(usable, GENEROUS_SECONDS)


async def send(
    service: Bff, method: str, target: str, *headers: Header, caller: str = "writer", body: Any = b""
) -> Answer:
    """Send a request as a caller; a body that is not bytes goes as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await request(service.run.public_url, method, target, (*headers, bearer(caller)), data)


async def ask(service: Bff, body: Any, key: str, *headers: Header, caller: str = "writer") -> Answer:
    """Ask for a change."""
    return await send(service, "POST", CHANGES, JSON, keyed(key), *headers, caller=caller, body=body)


async def reserve(service: Bff, quantity: Any, key: str, *, sku: str = "1001", caller: str = "shop") -> Answer:
    """Ask for a reservation."""
    target = f"/api/v1/products/{sku}/reservations"
    return await send(service, "POST", target, JSON, keyed(key), caller=caller, body={"quantity": quantity})


async def look(service: Bff, location: str, caller: str = "writer") -> Any:
    """Return what was accepted, as it is."""
    answer = await send(service, "GET", location, caller=caller)
    assert answer.status == 200, answer
    return answer.json


async def reaches(service: Bff, location: str, states: Iterable[str], caller: str = "writer") -> Any:
    """Wait until what was accepted is in one of these states, and return it."""
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.update(await look(service, location, caller))
        return found["state"] in wanted

    wanted = set(states)
    try:
        await until(there, GENEROUS_SECONDS)
    except TimeoutError as exc:
        raise AssertionError(f"is {found}, never {wanted}") from exc
    return found


async def ends(service: Bff, answer: Answer) -> Any:
    """Wait for the end of the change that was accepted, and return it."""
    assert answer.status == 202, answer
    return await reaches(service, answer.headers["location"], CHANGE_ENDS)


async def changed(service: Bff, body: Any, key: str = "k") -> Any:
    """Ask for a change, wait for its end, and return it."""
    return await ends(service, await ask(service, body, key))


async def holds(condition: Callable[[], object]) -> None:
    """Wait until something is so."""

    async def so() -> bool:
        return bool(condition())

    await until(so, GENEROUS_SECONDS)


def gated(gate: asyncio.Event, then: Script) -> Script:
    """Wait for a gate, then answer."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await then(seen, writer)

    return script
