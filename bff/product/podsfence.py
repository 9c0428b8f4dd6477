"""The fence of several pods: each of them is told of a change, and acknowledges that it has nothing of what was before.

A pod that does not acknowledge cannot give it out any more once its lease has run out; see `bff.cache.redis.pods`. But
it may have been cut off, and its readers may join calls to the source that began before the owner's answer: then, and
while it is not known who there is, `lift` and `forget` wait a longest call more.
"""

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import structlog

from bff.cache.redis.keys import MARK, NOTICES, Keys
from bff.cache.redis.lane import Lane, Unanswered
from bff.cache.redis.notices import Notice, encode
from bff.cache.redis.pods import LEASE_SECONDS, Pods
from bff.cache.redis.scripts import FORGET, LIFT, PUT_MARK
from bff.product.fence import Mark, Untold
from bff.product.parts import SourceName
from bff.resilience.stack import Clock

TELL_SECONDS = 1.0
AGAIN_SECONDS = 0.5
FOR_SECONDS = 10.0
SKUS_A_NOTICE = 100

log = structlog.get_logger(__name__)


class Change(msgspec.Struct, frozen=True):
    """What is deleted once more when it is due. id: makes it another one than an equal change before."""

    id: str
    skus: tuple[str, ...]
    sources: tuple[SourceName, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """Who was told, by the server's clock in milliseconds. since: when the registry of pods began.

    standing: pods whose leases stand. gone_ms: the longest call of those whose leases ran out, 0 where there are none.
    """

    now: int
    since: int
    standing: frozenset[str]
    gone_ms: int

    @property
    def is_new(self) -> bool:
        """Whether there may be pods that are not in the registry yet."""
        return self.now - self.since < LEASE_SECONDS * 1000

    @classmethod
    def read(cls, answer: Sequence[Any]) -> "Told":
        """Read what a script returns."""
        now, since, *rest = answer
        leases = list(zip(rest[::3], rest[1::3], rest[2::3], strict=True))
        standing = frozenset(pod.decode("ascii", "replace") for pod, ends, _ in leases if ends > now)
        return cls(now, since, standing, max((longest for _, ends, longest in leases if ends <= now), default=0))


class PodsFence:
    """second_seconds: after which the second delete comes. new_token: makes what no other pod makes."""

    def __init__(
        self, pods: Pods, lane: Lane, clock: Clock, second_seconds: float, new_token: Callable[[], str]
    ) -> None:
        self._pods = pods
        self._lane = lane
        self._clock = clock
        self._second_ms = int(second_seconds * 1000)
        self._new_token = new_token
        self._tasks: set[asyncio.Task[None]] = set()
        pods.carry_out(self.second)

    def __repr__(self) -> str:
        return f"<PodsFence {self._pods!r}>"

    async def forget(self, skus: Sequence[str], sources: Sequence[SourceName]) -> None:
        """Forget parts that have changed; once it returns, nobody who asks is given what was there before."""
        for first in range(0, len(skus), SKUS_A_NOTICE):
            change = Change(self._new_token(), tuple(skus[first : first + SKUS_A_NOTICE]), tuple(sources))
            await self._forget(change, due=_encode(change))

    async def mark(self, source: SourceName, sku: str, seconds: float) -> Mark:
        """Forget a part, and keep it out of every cache until the mark is lifted, or for so long."""
        token, keys = MARK + self._new_token(), self._keys
        with self._telling((sku,), (source,)) as telling:
            answer = await self._call(
                PUT_MARK,
                (keys.pods, *keys.part(source, sku)),
                (token, int(seconds * 1000), NOTICES, telling.message),
            )
            await telling.acknowledged(Told.read(answer))
        return Mark(source, sku, token.encode())

    async def lift(self, mark: Mark) -> None:
        """Let a part be kept again, once its owner has answered; then nobody is given what was there before."""
        change = Change(self._new_token(), (mark.sku,), (mark.source,))
        try:
            await self._lift(mark, change)
        except Untold:
            self._keep_at_it(change)
            raise

    def second(self, member: bytes) -> None:
        """Carry out a second delete that is due; nobody waits for it."""
        try:
            change = _change(member)
        except msgspec.MsgspecError:
            log.warning("something that is no change was due")
            self._lane.ask(("ZREM", self._keys.due, member), _ignore)
            return
        self._start(self._forget(change, done=member, wait=False))

    async def aclose(self) -> None:
        """Stop keeping at what could not be told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _telling(self, skus: tuple[str, ...], sources: tuple[str, ...]) -> "Telling":
        return Telling(self._pods, self._new_token(), skus, sources)

    @property
    def _keys(self) -> Keys:
        return Keys(self._lane.run_id)

    async def _lift(self, mark: Mark, change: Change) -> None:
        keys = self._keys
        with self._telling(change.skus, change.sources) as telling:
            stood, who = await self._call(
                LIFT,
                (keys.pods, keys.due, *keys.part(mark.source, mark.sku)),
                (mark.token, change.id, NOTICES, telling.message, self._second_ms, _encode(change)),
            )
            told = Told.read(who)
            if not stood:
                await telling.acknowledged(told)
            await self._settle(told)

    async def _forget(self, change: Change, *, due: bytes = b"", done: bytes = b"", wait: bool = True) -> None:
        keys = self._keys
        parts = [key for sku in change.skus for source in change.sources for key in keys.part(source, sku)]
        with self._telling(change.skus, change.sources) as telling:
            answer = await self._call(
                FORGET,
                (keys.pods, keys.due, *parts),
                (self._new_token(), NOTICES, telling.message, self._second_ms, due, done),
            )
            if wait:
                told = Told.read(answer)
                await telling.acknowledged(told)
                await self._settle(told)

    async def _settle(self, told: Told) -> None:
        """Wait until the calls are over that readers of pods that are cut off may have joined."""
        seconds = told.gone_ms / 1000
        if told.is_new or told.since != self._pods.registry_since:  # there may be pods that nobody has entered
            seconds = max(seconds, self._pods.call_seconds)
        if seconds:
            await asyncio.sleep(seconds)

    async def _call(self, script: Any, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            return await self._lane.call(script, keys, arguments, TELL_SECONDS)
        except Unanswered as exc:
            raise Untold(str(exc)) from exc

    def _keep_at_it(self, change: Change) -> None:
        """Tell the pods of a change as soon as that can be done again."""
        self._start(self._tell_later(change))

    async def _tell_later(self, change: Change) -> None:
        until = self._clock() + FOR_SECONDS
        while self._clock() < until:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                await self._forget(change, due=_encode(change))
            except Untold:
                continue
            return
        log.error("pods could not be told of a change", skus=change.skus, sources=change.sources)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(_quietly(work), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Telling:
    """One notice, and who has acknowledged it."""

    def __init__(self, pods: Pods, token: str, skus: tuple[str, ...], sources: tuple[str, ...]) -> None:
        self._pods = pods
        self._token = token
        self._heard: set[str] = set()
        self._news = asyncio.Event()
        self.message = encode(Notice(token, pods.name, skus, sources))

    def __enter__(self) -> Self:
        self._pods.listen_for(self._token, self._hear)
        return self

    def __exit__(self, *exc: object) -> None:
        self._pods.listen_no_more(self._token)

    async def acknowledged(self, told: Told) -> None:
        """Wait until every pod whose lease stood has acknowledged, or none of those leases can stand any more.

        While the registry is younger than a lease there may be pods that are not in it.
        """
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                while told.is_new or not told.standing <= self._heard:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return

    def _hear(self, pod: str) -> None:
        self._heard.add(pod)
        self._news.set()


async def _quietly(work: Any) -> None:
    try:
        await work
    except Untold as exc:
        log.info("pods could not be told", error=str(exc))


def _ignore(answer: object) -> None:
    """Take an answer that changes nothing here."""


_encode = msgspec.json.Encoder().encode
_change = msgspec.json.Decoder(Change).decode
