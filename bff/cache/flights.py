"""One load for each key and nonce: whoever needs the same value meanwhile waits for the same load.

A load belongs to the service. It runs in its own task with a fresh context, a reader's deadline ends only the
reader's waiting, and it is cancelled when every client that waits for it has left.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from bff.cache.fence import Fence, Nonce

T = TypeVar("T")
Load = Callable[[Nonce], Coroutine[Any, Any, T]]


class Flight(Generic[T]):
    """A load under way.

    task: its task; its result is the load's.
    about: what the one who started it wanted to have at hand while it runs.
    """

    def __init__(self, flights: "Flights[T]", key: str, nonce: Nonce, about: Any) -> None:
        self.key = key
        self.nonce = nonce
        self.about = about
        self.task: asyncio.Task[T]
        self._flights = flights
        self._waiting = 0
        self._detached = False  # the service wants its result, whoever leaves

    def __repr__(self) -> str:
        return f"<Flight {self._waiting} waiting{', detached' if self._detached else ''}>"

    def join(self) -> None:
        """Begin to wait."""
        self._waiting += 1

    def leave(self) -> None:
        """Wait no longer: answered, or out of time. The load goes on."""
        self._waiting -= 1
        self._detached = True

    def disconnect(self) -> None:
        """Wait no longer: the client is gone. The load is cancelled where it was the last."""
        self._waiting -= 1
        if self._waiting == 0 and not self._detached and not self.task.done():
            self._flights.end(self)  # first, so that nobody joins what is about to be cancelled
            self.task.cancel()

    def detach(self) -> None:
        """Let it go on whoever leaves."""
        self._detached = True


class Flights(Generic[T]):
    """The loads under way, by key and nonce."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._by_key: dict[tuple[str, Nonce], Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()

    def __repr__(self) -> str:
        return f"<Flights {len(self._tasks)}>"

    def __len__(self) -> int:
        return len(self._tasks)

    def board(self, key: str, load: Load[T], about: Any) -> tuple[Flight[T], bool]:
        """Return the flight for the key's present nonce, and whether it had to be started."""
        nonce = self._fence.take(key)
        flight = self._by_key.get((key, nonce))
        if flight is not None:
            return flight, False
        flight = Flight(self, key, nonce, about)
        self._by_key[key, nonce] = flight
        # A fresh context: neither the caller's deadline nor its log fields belong to the load.
        flight.task = asyncio.get_running_loop().create_task(load(nonce), context=contextvars.Context())
        self._tasks.add(flight.task)
        flight.task.add_done_callback(lambda task: self._ended(flight, task))
        return flight, True

    def end(self, flight: Flight[T]) -> None:
        """Let nobody join it any more."""
        self._by_key.pop((flight.key, flight.nonce), None)
        self._fence.release(flight.key, flight.nonce)

    async def aclose(self) -> None:
        """Cancel every load and wait until all have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, flight: Flight[T], task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        if self._by_key.get((flight.key, flight.nonce)) is flight:
            self.end(flight)
