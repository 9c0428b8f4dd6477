"""Readers and writers at random, and what their answers say of the promise."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from random import Random

from tests.consistency.client import Answer, Broken, Connection
from tests.consistency.fleet import TOKEN, Pod
from tests.consistency.history import History, Key, Promise, Shown, Verdict, judge
from tests.consistency.parts import SOURCES, shown, written

Clock = Callable[[], float]

PATH = "/api/v1/products/"
SKUS = tuple(f"sku-{number}" for number in range(30))
READ_TIMEOUT_SECONDS, WRITE_TIMEOUT_SECONDS = 10.0, 20.0
READ_PAUSE_SECONDS, WRITE_PAUSE_SECONDS = 0.01, 0.6  # on the average
IMPATIENT_SHARE, IMPATIENCE_MS = 0.05, (20, 150)  # sends what is there where its source has not answered by then
WRITING = f"Content-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\n"
KEPT = 50  # old values that are described


@dataclass(frozen=True, slots=True)
class Old:
    """An old value, and all that is known of it."""

    pod: str
    sku: str
    shown: Shown
    promise: Promise
    sent: float
    received: float
    answer: Answer


@dataclass
class Tally:
    """What a run has seen. Answers by their status, or by how there was none."""

    pages: int = 0
    hits: int = 0  # pages all of whose parts came from memory
    bound: int = 0  # parts that a promise bound
    excused: int = 0
    acknowledged: int = 0
    old: Counter[str] = field(default_factory=Counter)  # by how it was shown
    other_reads: Counter[str] = field(default_factory=Counter)
    other_writes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    described: dict[tuple[str, Key, int], Old] = field(default_factory=dict)  # the first of each pod, part and version


class Traffic:
    """Everybody who asks, and the history that they make."""

    def __init__(self, random: Random, clock: Clock) -> None:
        self.tally = Tally()
        self._history = History()
        self._random = random
        self._clock = clock
        self._versions = {(source, sku): count(2) for source in SOURCES for sku in SKUS}

    def __repr__(self) -> str:
        return f"<Traffic {self.tally.pages} pages, {self.tally.acknowledged} writes, {self.tally.old.total()} old>"

    async def read(self, pod: Pod) -> None:
        """Ask one pod for pages, one after the other."""
        with closing(Connection(pod.url, READ_TIMEOUT_SECONDS)) as connection:
            while True:
                await asyncio.sleep(self._random.expovariate(1 / READ_PAUSE_SECONDS))
                try:
                    await self._page(pod, connection, self._random.choice(SKUS))
                except Broken as exc:
                    self.tally.other_reads[str(exc)] += 1

    async def write(self, pod: Pod) -> None:
        """Write parts through one pod, one after the other; some of them race with others' for the same part."""
        with closing(Connection(pod.url, WRITE_TIMEOUT_SECONDS)) as connection:
            while True:
                await asyncio.sleep(self._random.expovariate(1 / WRITE_PAUSE_SECONDS))
                try:
                    await self._put(connection, (self._random.choice(SOURCES), self._random.choice(SKUS)))
                except Broken as exc:
                    self.tally.other_writes[str(exc)] += 1

    async def _page(self, pod: Pod, connection: Connection, sku: str) -> None:
        impatient = self._random.random() < IMPATIENT_SHARE
        headers = f"X-Request-Timeout-Ms: {self._random.randint(*IMPATIENCE_MS)}\r\n" if impatient else ""
        sent = self._clock()
        answer = await connection.request("GET", PATH + sku, headers)
        received = self._clock()
        if answer.status != 200:
            self.tally.other_reads[str(answer.status)] += 1
            return
        self.tally.pages += 1
        self.tally.hits += answer.head.count(b" hit;") == len(SOURCES)
        for part in shown(answer.body):
            promise = self._history.standing((part.source, sku), sent)
            if promise is not None:
                self._judge(Old(pod.name, sku, part, promise, sent, received, answer), pod)

    def _judge(self, seen: Old, pod: Pod) -> None:
        self.tally.bound += 1
        verdict = judge(seen.shown, seen.promise, cut_off=pod.outages.touch(seen.sent, seen.received))
        if verdict is Verdict.EXCUSED:
            self.tally.excused += 1
        elif verdict is Verdict.OLD:
            self.tally.old[seen.shown.how] += 1
            if len(self.tally.described) < KEPT:
                self.tally.described.setdefault((seen.pod, (seen.shown.source, seen.sku), seen.shown.version), seen)

    async def _put(self, connection: Connection, key: Key) -> None:
        source, sku = key
        version = next(self._versions[key])
        answer = await connection.request("PUT", f"{PATH}{sku}/{source}", WRITING, written(source, sku, version))
        received = self._clock()
        if answer.status == 200:
            assert json.loads(answer.body)["sku_id"] == sku, answer
            self.tally.acknowledged += 1
            self._history.acknowledged(key, version, received)
            return
        self.tally.other_writes[str(answer.status)] += 1
        if answer.status == 202:
            self._history.accepted(key, version, received)
