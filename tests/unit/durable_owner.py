"""The owner of a part, as a test plays it, and what may go wrong with a call of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bff.product.writing import Declined, Failed, Outcome, Stored, Unanswered, Unwritten, Write
from clients.errors import Unavailable
from clients.given import Given as Shown
from clients.source import Held

SKU = "7"


@dataclass(frozen=True)
class Entry:
    """A value that an owner took. author: the key it came with, None where it was somebody else's."""

    author: str | None
    value: bytes

    @property
    def is_ours(self) -> bool:
        return self.author is not None and "-undo-" not in self.author

    @property
    def is_undo(self) -> bool:
        return self.author is not None and "-undo-" in self.author


class Owner:
    """The owner of one part, by section 5 of the contract: a key gets its first answer again.

    tags: whether it gives entity tags. remembers: whether it knows keys. shouts: whether it stores in words of its own.
    """

    def __init__(self, source: str, *, tags: bool = True, remembers: bool = True, shouts: bool = False) -> None:
        self.source = source
        self.log = [Entry(None, self.value_of("before"))]
        self._tags = tags
        self._remembers = remembers
        self._shouts = shouts
        self._late: list[tuple[float, Write]] = []
        self._answers: dict[str, tuple[Write, Outcome]] = {}

    def value_of(self, text: str) -> bytes:
        """Make a part."""
        return f'{{"sku_id":"{SKU}","{self.source}":"{text}"}}'.encode()

    @property
    def value(self) -> bytes:
        """What it holds."""
        return self.log[-1].value

    @property
    def tag(self) -> str | None:
        """What its entity tag is by now."""
        return f'"{len(self.log)}"' if self._tags else None

    def held(self) -> Held:
        """Answer a read."""
        return Held(Shown(self.value, self.value), self.tag)

    def intrude(self) -> None:
        """Take somebody else's value."""
        self.log.append(Entry(None, self.value_of(f"somebody else's {len(self.log)}")))

    def delay(self, write: Write, until: float) -> None:
        """Take a write in, and be at it until a time."""
        self._late.append((until, write))

    def is_at(self, write: Write) -> bool:
        """Whether it has taken this write in, and is still at it."""
        return any(late.key == write.key for _, late in self._late)

    def advance(self, now: float) -> None:
        """Do what was taken in and is due."""
        due = [write for until, write in self._late if until <= now]
        self._late = [(until, write) for until, write in self._late if until > now]
        for write in due:
            self.take(write)

    def take(self, write: Write) -> Outcome:
        """Answer a write."""
        assert write.key is not None, "a change's writes have keys"
        if self.is_at(write):
            return Declined(409)  # as the draft of the Idempotency-Key header has it
        if self._remembers and write.key in self._answers:
            first, outcome = self._answers[write.key]
            assert (first.part.sent, first.if_match) == (write.part.sent, write.if_match), "one key, two writes"
            return outcome
        outcome = self._take(write)
        self._answers[write.key] = (write, outcome)
        return outcome

    def _take(self, write: Write) -> Outcome:
        if write.if_match is not None and write.if_match != self.tag:
            return Declined(412)
        sent = write.part.sent
        self.log.append(Entry(write.key, sent.replace(b"ours", b"OURS") if self._shouts else sent))
        return Stored(self.value)


WRITE_FAULTS: Mapping[str, tuple[bool, Outcome]] = {
    "request lost": (False, Unanswered()),
    "answer lost": (True, Unanswered()),
    "5xx": (False, Failed(open=True)),
    "5xx, and stored": (True, Failed(open=True)),
    "refused": (False, Failed(open=False)),
    "unreachable": (False, Unwritten("unreachable")),
    "409": (False, Declined(409)),
    "422": (False, Declined(422)),
}
"""By name: whether the owner takes it all the same, and what is seen of it."""

HELD_FAULTS: Mapping[str, Exception] = {"unreadable": Unavailable("broken off"), "slow": TimeoutError()}
