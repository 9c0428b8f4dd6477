"""A semaphore for each source, with a bounded queue before it."""

import asyncio
from typing import Any

from bff.resilience.errors import Overloaded
from bff.resilience.stack import Call, Clock, Next


class Bulkhead:
    """Bounds the calls in flight and the calls that wait for a slot."""

    def __init__(self, concurrency: int, queue: int, clock: Clock) -> None:
        self.concurrency = concurrency
        self.in_flight = 0
        self.waiting = 0
        self._queue = queue
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)

    def __repr__(self) -> str:
        return f"<Bulkhead {self.in_flight}/{self.concurrency} +{self.waiting}>"

    async def __call__(self, call: Call, proceed: Next) -> Any:
        """Hold a slot while the attempt runs; raise Overloaded where none is to be had in time."""
        if self._slots.locked():
            await self._wait(call)
        else:
            await self._slots.acquire()
        self.in_flight += 1
        try:
            return await proceed(call)
        finally:
            self.in_flight -= 1
            self._slots.release()

    async def _wait(self, call: Call) -> None:
        if self.waiting >= self._queue:
            raise Overloaded("the queue is full")
        self.waiting += 1
        call.queued = True
        try:
            async with asyncio.timeout(max(0.0, call.deadline - self._clock())):
                await self._slots.acquire()
        except TimeoutError as exc:
            raise Overloaded("no slot in time") from exc
        finally:
            self.waiting -= 1
        call.queued = False  # left standing by a call that never got its slot, for those who ask what it waited for
