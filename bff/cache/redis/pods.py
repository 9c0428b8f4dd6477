"""One pod among the others: its lease, what it hears, and for how long its memory may be trusted.

Every TICK_SECONDS a pod renews a lease of LEASE_SECONDS in Redis and publishes a tick to itself in the same step. It
trusts its memory until TRUST_SECONDS after it *sent* the last tick that came back through its own subscription: what
was published before that tick has come before it. So a writer who has told all pods of a change may go on once each has
acknowledged it, or LEASE_SECONDS later: a pod that has not heard by then does not trust its memory any more.

A subscription that breaks begins a new epoch: what was kept before is demoted, for nobody knows what went unheard.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog
from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from bff.cache.redis.address import CONNECT_SECONDS, Address
from bff.cache.redis.keys import NOTICES, Keys, pod_channel
from bff.cache.redis.lane import PAGE_SECONDS, Lane, Unanswered
from bff.cache.redis.notices import Acknowledgement, Tick, read_notice, read_own
from bff.cache.redis.registry import Registry
from bff.cache.redis.scripts import LEAVE, TICK
from bff.cache.trust import NO_EPOCH, Trust

TICK_SECONDS = 0.1
LEASE_SECONDS = 1.0
TRUST_SECONDS = 0.95
GOOD_SECONDS = 0.3  # a tick that reaches Redis later renews nothing: it was held up, and its pod has moved on
MARGIN_SECONDS = 0.1
SILENCE_SECONDS = 3.0  # after which a subscription is taken for dead; ticks come all the time
CLAIM_SECONDS = 5.0  # how long what is due is left to the pod that was given it
KNOWN_SECONDS = 55.0  # how long a silent pod may take it that writers reckon with it; they do for 60 s
TICKS_REMEMBERED = 64

log = structlog.get_logger(__name__)
Clock = Callable[[], float]


class Pods:
    """A pod's place among the pods.

    name: no other pod's. call_seconds: the longest call to a source that readers may join. forget: has the pod forget
    parts of SKUs, and never raises.
    """

    def __init__(
        self,
        name: str,
        lane: Lane,
        address: Address,
        trust: Trust,
        clock: Clock,
        call_seconds: float,
        forget: Callable[[Iterable[str], Iterable[str]], None],
    ) -> None:
        self.name = name
        self.call_seconds = call_seconds
        self._lane = lane
        self._address = address
        self._trust = trust
        self._clock = clock
        self._forget = forget
        self._due: Callable[[bytes], None] = _ignore
        self._number = 0
        self._sent: dict[int, float] = {}
        self._last_sent = -1e9  # when a lease was last asked for, whether or not that was answered
        self._last_renewed: float | None = None
        self._registry = Registry(name)
        self._epochs = 0
        self._acknowledged: dict[str, Callable[[str], None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._started = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Pods {self.name} {self._trust!r}>"

    @property
    def known(self) -> int:
        """How many pods there are, this one included."""
        return len(self._registry) + 1

    @property
    def registry_since(self) -> int:
        """Since when there is the registry that this pod knows, by the server's clock; 0 where it knows none."""
        return self._registry.since

    async def start(self, seconds: float) -> None:
        """Take a place among the pods; wait for it for so long, so that the first pages find Redis."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tick_on()), loop.create_task(self._listen_on())]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._started.wait()

    async def aclose(self) -> None:
        """Trust nothing any more, and say goodbye, so that nobody waits for this pod."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._distrust()
        if self._lane.connected:
            with suppress(Unanswered):
                await self._lane.call(LEAVE, (Keys(self._lane.run_id).pods,), (self.name,), PAGE_SECONDS)
        await self._lane.aclose()
        await self._address.aclose()

    def cut_off_since(self, moment: float) -> bool:
        """Return whether this pod's lease has been over since a moment, and writers still reckon with the pod.

        They wait a longest call after their owner's answer then, so that readers here may join calls begun since.
        """
        return (
            not self._lane.usable
            and self._last_renewed is not None
            and moment >= self._last_sent + GOOD_SECONDS + LEASE_SECONDS + MARGIN_SECONDS
            and self._clock() < self._last_renewed + KNOWN_SECONDS
        )

    def carry_out(self, due: Callable[[bytes], None]) -> None:
        """Have what is to be deleted once more, and is due, taken by somebody."""
        self._due = due

    def listen_for(self, notice: str, acknowledged: Callable[[str], None]) -> None:
        """Have something told of each pod that acknowledges a notice, until `listen_no_more`."""
        self._acknowledged[notice] = acknowledged

    def listen_no_more(self, notice: str) -> None:
        """Look no more for acknowledgements of a notice."""
        del self._acknowledged[notice]

    async def _tick_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                if not self._lane.connected:
                    await self._lane.open()
                await self._tick()
            except Unanswered:
                self._lane.breaker.late()
            except Exception as exc:  # a lease that ends because of a bug is better told than kept
                log.error("a tick broke", exc_info=exc)
                self._lane.breaker.late()
            await asyncio.sleep(max(0.0, began + TICK_SECONDS - loop.time()))

    async def _tick(self) -> None:
        lane, now = self._lane, self._clock()
        self._number += 1
        self._sent[self._number] = self._last_sent = now
        self._sent.pop(self._number - TICKS_REMEMBERED, None)
        server_ms, at = lane.server_ms
        good_until = server_ms + int((now - at + GOOD_SECONDS) * 1000)
        keys = Keys(lane.run_id)
        answer = await lane.call(
            TICK,
            (keys.pods, keys.due),
            (
                self.name,
                int(LEASE_SECONDS * 1000),
                int(self.call_seconds * 1000),
                pod_channel(self.name),
                Tick(self._number).encode(),
                good_until,
                int(CLAIM_SECONDS * 1000),
                *self._registry.seeds(self._clock()),
            ),
            PAGE_SECONDS,
        )
        server_now, since, due, pods = answer
        lane.server_ms = (server_now, self._clock())
        if since:  # else it came too late to renew anything
            self._last_renewed = now
            self._registry.read((lane.run_id, since), pods, server_now, self._clock())
        lane.breaker.ticked()
        for member in due:
            self._due(member)

    async def _listen_on(self) -> None:
        while True:
            connection = self._address.connection()
            try:
                await self._listen(connection)
            except (RedisError, OSError, TimeoutError) as exc:
                log.debug("the subscription broke", error=type(exc).__name__)
            except Exception as exc:  # whatever it is, a pod that does not listen is of no use
                log.error("listening broke", exc_info=exc)
            finally:
                self._distrust()
                with suppress(Exception):
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(TICK_SECONDS)

    async def _listen(self, connection: Connection) -> None:
        own = pod_channel(self.name)
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("SUBSCRIBE", NOTICES, own)
            for _ in range(2):
                await connection.read_response()
        self._epochs += 1
        self._trust.epoch = self._epochs
        while (message := await connection.read_response(timeout=SILENCE_SECONDS)) is not None:
            kind, channel, data = message
            if kind != b"message":
                continue
            if channel == NOTICES.encode():
                self._take_notice(data)
            else:
                self._take_own(data)

    def _take_notice(self, data: bytes) -> None:
        notice = read_notice(data)
        if notice is None:
            log.warning("something that is no notice came over the channel of notices")
            return
        self._forget(notice.skus, notice.sources)
        if notice.pod == self.name:
            self._take_acknowledgement(Acknowledgement(notice.id, self.name))
        else:
            word = Acknowledgement(notice.id, self.name).encode()
            self._lane.ask(("PUBLISH", pod_channel(notice.pod), word), _ignore)

    def _take_own(self, data: bytes) -> None:
        word = read_own(data)
        if isinstance(word, Tick):
            sent = self._sent.get(word.number)
            if sent is not None:
                self._trust.until = max(self._trust.until, sent + TRUST_SECONDS)
                if self._lane.usable:
                    self._started.set()
        elif word is not None:
            self._take_acknowledgement(word)

    def _take_acknowledgement(self, word: Acknowledgement) -> None:
        told = self._acknowledged.get(word.notice)
        if told is not None:
            told(word.pod)

    def _distrust(self) -> None:
        self._trust.until = 0.0
        self._trust.epoch = NO_EPOCH


def _ignore(answer: object) -> None:
    """Take an answer that changes nothing here."""
