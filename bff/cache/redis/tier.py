"""The Redis tier: an aiocache backend over one lane, and what a fence needs besides.

aiocache's own Redis backend takes a connection and a round trip for each call, has no nonces, and cannot tell a stored
None from a miss; its BaseCache is the frame. Its keys are those of `bff.cache.tiers.key_of`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer

from bff.cache.redis.entries import Stored, decode, encode
from bff.cache.redis.keys import MARK, Keys
from bff.cache.redis.lane import Answer, Lane, Unanswered
from bff.cache.redis.scripts import FILL, LEASE, TAKE

NONCE_MS = 60_000  # how long a nonce outlives its last use
LEASE_MS = 250  # how long the others wait for who loads, once that pod is gone
CALL_SECONDS = 1.0

Clock = Callable[[], float]


class Asked(NamedTuple):
    """What is asked of a part: how old, in milliseconds, a value and a remembered 404 may be."""

    source: str
    value_ms: int
    unknown_ms: int


class Moment(NamedTuple):
    """A moment by both clocks: `now` by the server's, in milliseconds, between `sent` and `got` by the pod's."""

    now: int
    sent: float
    got: float

    def began(self, server_ms: int) -> float:
        """Return a time of the server's by the pod's clock; rather too early, so that nothing seems too young."""
        return self.sent - max(0, self.now - server_ms) / 1000

    def server_ms(self, began: float) -> int:
        """Return a time of the pod's by the server's clock; rather too early."""
        return self.now - int((self.got - began) * 1000) - 1


class Took(NamedTuple):
    """What there is of a part. nonce: None where the value is young enough, else what a load fills it under.

    lead: whether this pod is to load it.
    """

    stored: Stored | None
    nonce: bytes | None
    lead: bool
    moment: Moment

    @property
    def garbled(self) -> bool:
        """Whether there is something young that is no value."""
        return self.stored is None and self.nonce is None

    @property
    def marked(self) -> bool:
        """Whether the part is being written, so that it must not be kept."""
        return self.nonce is not None and self.nonce.startswith(MARK.encode())


Take = Callable[[Sequence[Took] | None], None]
"""Takes what there is of each part that was asked for, None where Redis did not say."""


class RedisTier(BaseCache):  # type: ignore[misc] # aiocache has no types
    """pod: this pod's name. new_nonce: makes 32 characters that nobody can guess, and no other pod makes."""

    NAME = "redis"

    def __init__(self, lane: Lane, pod: str, clock: Clock, new_nonce: Callable[[], str]) -> None:
        super().__init__(serializer=NullSerializer(), timeout=None)
        self.lane = lane
        self._pod = pod
        self._clock = clock
        self._new_nonce = new_nonce

    def __repr__(self) -> str:
        return f"<RedisTier {self.lane!r}>"

    @property
    def usable(self) -> bool:
        """Whether pages may ask it."""
        return self.lane.usable

    def take(self, sku: str, asked: Sequence[Asked], take: Take) -> None:
        """Look parts of a SKU up, and hear who is to load those that are not young enough; in one round trip."""
        keys = Keys(self.lane.run_id)
        sent = self._clock()

        def done(answer: Answer) -> None:
            if isinstance(answer, Exception):
                take(None)
                return
            moment = Moment(answer[0], sent, self._clock())
            parts = [_took(found, moment) for found in answer[1:]]
            for part, each in zip(asked, parts, strict=True):
                if each.garbled:
                    self.lane.ask(("DEL", keys.part(part.source, sku)[0]), _ignore)
            take(parts)

        self.lane.run(
            TAKE,
            [key for part in asked for key in keys.part(part.source, sku)],
            [
                "n" + self._new_nonce(),
                NONCE_MS,
                self._pod,
                LEASE_MS,
                *(limit for part in asked for limit in (part.value_ms, part.unknown_ms)),
            ],
            done,
            soon=True,
        )

    def fill(self, source: str, sku: str, nonce: bytes, stored: Stored, ttl_ms: int) -> None:
        """Keep a value, where the nonce that it was loaded under is still its key's, and nothing newer stands there."""
        keys = Keys(self.lane.run_id).part(source, sku)
        self.lane.run(FILL, keys, (nonce, encode(stored), ttl_ms, NONCE_MS), _ignore)

    def hold(self, source: str, sku: str, nonce: bytes, *, go_on: bool) -> None:
        """Keep the others waiting for this pod's load, or let them wait no longer."""
        _, _, lease = Keys(self.lane.run_id).part(source, sku)
        self.lane.run(LEASE, (lease,), (nonce, self._pod, LEASE_MS if go_on else 0), _ignore)

    # aiocache's backend interface; values are `Stored`

    async def _get(self, key: str, encoding: Any = None, _conn: Any = None) -> Stored | None:
        return (await self._multi_get([key]))[0]

    async def _multi_get(self, keys: list[str], encoding: Any = None, _conn: Any = None) -> list[Stored | None]:
        found = await self._ask("MGET", *(self._places(key)[0] for key in keys))
        return [None if data is None else decode(data) for data in found]

    async def _set(self, key: str, value: Stored, ttl: Any = None, _cas_token: Any = None, _conn: Any = None) -> bool:
        if _cas_token is None:  # a plain SET is what lets old values in
            raise ValueError("a value is kept under the nonce that it was loaded under: _cas_token")
        arguments = (_cas_token, encode(value), int(ttl * 1000), NONCE_MS)
        return bool(await self.lane.call(FILL, self._places(key), arguments, CALL_SECONDS))

    async def _delete(self, key: str, _conn: Any = None) -> int:
        value, nonce, lease = self._places(key)
        return int(await self._ask("DEL", value, nonce, lease) > 0)

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return bool(await self._ask("EXISTS", self._places(key)[0]))

    def _places(self, key: str) -> tuple[str, str, str]:
        source, sku, _variant = key.split(":")
        return Keys(self.lane.run_id).part(source, sku)

    async def _ask(self, *command: Any) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.lane.ask(command, lambda answer: None if future.done() else future.set_result(answer))
        async with asyncio.timeout(CALL_SECONDS):
            answer = await future
        if isinstance(answer, Exception):
            raise Unanswered(type(answer).__name__) from answer
        return answer


def _took(found: list[Any], moment: Moment) -> Took:
    stored = decode(found[0]) if found[0] else None
    if len(found) == 1:
        return Took(stored, None, lead=False, moment=moment)
    return Took(stored, found[1], bool(found[2]), moment)


def _ignore(answer: Answer) -> None:
    """Take an answer that changes nothing here; the lane has counted it where it is a failure."""
