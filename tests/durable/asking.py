"""Clients of the service: a few hundred connections, and the patience to ask again until there is an answer."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.consistency.client import Answer, Broken, Connection
from tests.durable.pods import TOKEN, Pod

ANSWER_SECONDS = 8.0
COOLING_SECONDS = (0.1, 0.3)  # of a connection that found nobody: a process that starts needs the machine, too
PAUSE_SECONDS = (0.05, 0.3)
AUTHORIZED = f"Authorization: Bearer {TOKEN}\r\n"
JSON = "Content-Type: application/json\r\n"
AWAY, IN_USE = 503, 409


class Unexpected(Exception):
    """An answer that there should never be."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request. key: its idempotency key, "" for none; body: as JSON."""

    method: str
    path: str
    key: str = ""
    body: bytes = b""

    @property
    def headers(self) -> str:
        """Its headers, as whole lines."""
        key = f"Idempotency-Key: {self.key}\r\n" if self.key else ""
        return AUTHORIZED + (JSON if self.body else "") + key

    @property
    def passing(self) -> tuple[int, ...]:
        """The answers that another try may change."""
        return (AWAY, IN_USE) if self.key else (AWAY,)


def reserve(sku: str, key: str, quantity: int = 1) -> Request:
    """Ask for so many of a product."""
    return Request("POST", f"/api/v1/products/{sku}/reservations", key, b'{"quantity": %d}' % quantity)


def change(document: dict[str, Any], key: str) -> Request:
    """Ask for a change."""
    return Request("POST", "/api/v1/changes", key, json.dumps(document).encode())


def is_replayed(answer: Answer) -> bool:
    """Tell whether an answer was given before."""
    return b"\r\nidempotent-replayed: true" in answer.head.lower()


class Clients:
    """Connections to all pods that answer, each used by one at a time. outcomes: how often each came."""

    def __init__(self, pods: Sequence[Pod], count: int, random: Random) -> None:
        self.outcomes: Counter[str] = Counter()
        self._random = random
        self._lanes = [_Lane(pods[number % len(pods)]) for number in range(count)]
        self._free: asyncio.Queue[_Lane] = asyncio.Queue()
        for lane in self._lanes:
            self._free.put_nowait(lane)

    def __repr__(self) -> str:
        return f"<Clients {self._free.qsize()} of {len(self._lanes)} free, {dict(self.outcomes)}>"

    async def ask(self, request: Request) -> Answer:
        """Ask one of the pods; raise Broken where it gives no answer."""
        lane, pause = await self._free.get(), 0.0
        try:
            answer = await lane.ask(request)
        except Broken as exc:
            pause = self._random.uniform(*COOLING_SECONDS)
            self.outcomes[str(exc)] += 1
            raise
        finally:
            asyncio.get_running_loop().call_later(pause, self._free.put_nowait, lane)
        self.outcomes[str(answer.status)] += 1
        return answer

    async def insist(self, request: Request) -> Answer:
        """Ask until there is an answer that another try would not change."""
        while True:
            try:
                answer = await self.ask(request)
            except Broken:
                answer = None
            if answer is not None and answer.status not in request.passing:
                return answer
            await asyncio.sleep(self._random.uniform(*PAUSE_SECONDS))

    async def look(self, path: str) -> Any:
        """Return what a route shows, however long it takes; raise Unexpected where it is no 200."""
        answer = await self.insist(Request("GET", path))
        if answer.status != 200:
            raise Unexpected(f"GET {path}: {answer.status} {answer.body!r}")
        return json.loads(answer.body)

    def close(self) -> None:
        """Close every connection."""
        for lane in self._lanes:
            lane.close()


class _Lane:
    """A connection to a pod, wherever that is after a start."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._url = ""
        self._connection: Connection | None = None

    async def ask(self, request: Request) -> Answer:
        if self._connection is None or self._url != self._pod.url:
            self.close()
            self._url = self._pod.url
            self._connection = Connection(self._url, ANSWER_SECONDS)
        return await self._connection.request(request.method, request.path, request.headers, request.body)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
