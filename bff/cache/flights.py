"""One load for each key, and the fence: who needs the same value meanwhile waits for the same load.

A load that was under way when its key was invalidated fills nothing, and later readers do not join it: a flight is its
own nonce, it stands while it is its key's present one, and an invalidation takes it out of the table. A load belongs to
the service: a reader's deadline ends only the reader's waiting, and it is abandoned when every client that waits for it
has left.
"""

from typing import Generic, Protocol, TypeVar

from bff.cache.entry import Entry

T = TypeVar("T")


class Reader(Protocol[T]):
    """Someone who waits for flights."""

    def landed(self, flight: "Flight[T]") -> None:
        """Take what a flight has brought; called once, in the turn in which it came."""


class Work(Protocol[T]):
    """What is being done for a flight."""

    @property
    def queued(self) -> bool:
        """Whether it still waits to be sent."""

    def abandon(self, flight: "Flight[T]") -> None:
        """Stop working for a flight that nobody waits for."""


class Standing(Protocol):
    """How a load stands with the other pods.

    fills: whether what it brings may be kept. epoch: in which it is kept then; see `bff.cache.trust`. alone: Redis does
    not answer.
    """

    fills: bool
    epoch: int
    alone: bool

    def admit(self) -> bool:
        """Return whether who comes now may wait for it; where that is so, he does."""

    def brought(self, entry: Entry) -> None:
        """Take what the source has answered."""

    def failed(self) -> None:
        """Note that the source has not."""


class Flight(Generic[T]):
    """A load under way.

    outcome: what it brought, None until it has. standing: how it stands with the other pods, None where there are none.
    """

    __slots__ = ("_flights", "_kept", "_readers", "key", "outcome", "standing", "work")

    def __init__(self, flights: "Flights[T]", key: str) -> None:
        self.key = key
        self.outcome: T | None = None
        self.work: Work[T] | None = None
        self.standing: Standing | None = None
        self._flights = flights
        self._readers: list[Reader[T]] = []
        self._kept = False  # the service wants its result, whoever leaves

    def __repr__(self) -> str:
        return f"<Flight {len(self._readers)} waiting{', kept' if self._kept else ''}>"

    @property
    def queued(self) -> bool:
        """Whether what it waits for is to be sent."""
        return self.work is not None and self.work.queued

    def join(self, reader: Reader[T]) -> None:
        """Begin to wait."""
        self._readers.append(reader)

    def leave(self, reader: Reader[T]) -> None:
        """Wait no longer: answered, or out of time. The load goes on."""
        self._readers.remove(reader)
        self._kept = True

    def disconnect(self, reader: Reader[T]) -> None:
        """Wait no longer: the client is gone. The load is abandoned where it was the last."""
        self._readers.remove(reader)
        if not self._readers and not self._kept:
            self._flights.take(self)  # first, so that nobody joins what is about to be abandoned
            if self.work is not None:
                self.work.abandon(self)
            if self.standing is not None:
                self.standing.failed()  # a batch goes on for others, and nothing would end it here

    @property
    def kept(self) -> bool:
        """Whether the service wants what it brings, whoever leaves."""
        return self._kept

    def keep(self) -> None:
        """Let it go on whoever leaves."""
        self._kept = True

    def land(self, outcome: T) -> None:
        """Tell every reader what the load has brought."""
        self.outcome = outcome
        self.work = None
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.landed(self)


class Flights(Generic[T]):
    """The loads of one source that are under way and stand."""

    def __init__(self) -> None:
        self._by_key: dict[str, Flight[T]] = {}

    def __repr__(self) -> str:
        return f"<Flights {len(self)}>"

    def __len__(self) -> int:
        return len(self._by_key)

    def board(self, key: str) -> tuple[Flight[T], bool]:
        """Return the key's present flight where it may be joined, else a new one instead; and whether it is new."""
        flight = self._by_key.get(key)
        if flight is not None and (flight.standing is None or flight.standing.admit()):
            return flight, False
        flight = self._by_key[key] = Flight(self, key)
        return flight, True

    def revoke(self, key: str) -> None:
        """Fence a key off: its flight fills nothing, and later readers do not join it."""
        self._by_key.pop(key, None)

    def stands(self, flight: Flight[T]) -> bool:
        """Return whether a flight is still its key's present one."""
        return self._by_key.get(flight.key) is flight

    def take(self, flight: Flight[T]) -> bool:
        """Let nobody join a flight any more, and return whether it stood until now."""
        if not self.stands(flight):
            return False
        del self._by_key[flight.key]
        return True
