"""What every step of a change needs: its record, its owner, and patience with both."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from bff.durable.claims import Worker
from bff.durable.database import Database
from bff.durable.driver import Tx
from bff.durable.steps import Begun, Steps
from bff.product.parts import SourceName
from bff.product.writing import Declined, Failed, Outcome, Unwritten, Write, Writing
from clients.errors import UpstreamError
from clients.given import Given
from clients.source import Caller, Held

CHANGED = 412
_REFUSED = (404, 422)
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a part is tried to be written, and for how long to be undone."""

    attempts: int
    undo_seconds: float


@dataclass(frozen=True, slots=True)
class Needs:
    """What steps need. uniform: as random.uniform; sleep: as asyncio.sleep."""

    database: Database
    writing: Writing
    worker: Worker
    patience: Patience
    uniform: Callable[[float, float], float]
    sleep: Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an attempt came to nothing.

    final: whether another one would as well. refused: whether no attempt ever does: the owner knows no such product or
    part, or what it held is not known.
    in_doubt: whether something may be stored all the same.
    """

    cause: str
    final: bool = False
    refused: bool = False
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class OnePart:
    """A part of a claimed change."""

    needs: Needs
    steps: Steps
    source: SourceName

    async def record(self, what: Callable[[Tx], T]) -> T:
        """Put something on record; raises Away, Fenced or Usurped."""
        return await self.needs.database.write(what)

    async def held(self, begun: Begun) -> Held | Trouble | None:
        """Return what the owner holds."""
        try:
            return await self.needs.writing.held(self.source, begun.sku_id, _caller(begun))
        except (UpstreamError, TimeoutError) as exc:
            return Trouble(f"the {self.source} service could not be read: {type(exc).__name__.lower()}")

    async def tell(self, begun: Begun, given: Given, key: str, etag: str | None) -> Outcome:
        """Write to the owner. key: what follows the change's name in the idempotency key."""
        key = f"{self.steps.claim.change_id}-{self.source}-{key}"
        write = Write(self.source, begun.sku_id, given, _caller(begun), etag, key)
        return await self.needs.writing.write(write)

    async def pause(self, tried: int) -> None:
        """Wait before another attempt, longer after each."""
        most = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**tried)
        await self.needs.sleep(self.needs.uniform(most / 2, most))

    def trouble(self, outcome: Outcome) -> Trouble:
        """Say what an outcome means that is not Stored."""
        owner = f"the {self.source} service"
        if isinstance(outcome, Declined):
            final, refused = outcome.status != CHANGED, outcome.status in _REFUSED
            return Trouble(f"{owner} answered {outcome.status}", final, refused)
        if isinstance(outcome, Failed):
            final = not outcome.open and not outcome.passing
            return Trouble(f"{owner} failed", final=final, in_doubt=outcome.open)
        if isinstance(outcome, Unwritten):
            return Trouble(f"{owner} could not be written to: {outcome.why.replace('_', ' ')}")
        return Trouble(f"{owner} did not answer in time", in_doubt=True)


def same(shown: bytes | str, other: bytes | str | None) -> bool:
    """Return whether two parts are the same, however their amounts are written."""
    if other is None:
        return False
    one, two = (json.loads(text, parse_float=Decimal, parse_int=Decimal) for text in (shown, other))
    return bool(one == two)


def given(sent: str, shown: str) -> Given:
    """Return a part as it is written."""
    return Given(sent.encode(), shown.encode())


def _caller(begun: Begun) -> Caller:
    return Caller(begun.request_id, begun.trace_id)
