"""What every step of a change needs: its record, its owner, and patience with both."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import TypeVar

from bff.durable.claims import Worker
from bff.durable.database import Database
from bff.durable.driver import Tx
from bff.durable.steps import Begun, Part, Steps
from bff.product.parts import SourceName
from bff.product.writing import Declined, Failed, Outcome, Stored, Unwritten, Write, Writing
from clients.errors import UpstreamError
from clients.given import Given
from clients.source import Caller, Held

CONFLICT, CHANGED = 409, 412
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

    final: whether another one would as well. refused: whether the owner knows no such product, or no such part, ever.
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

    async def send(self, begun: Begun, part: Part, since: float | None = None) -> Trouble | None:
        """Write the part, under its key; return None once it is known to be stored, else why it is not.

        since: when it was first sent again, where it may have been sent before.
        """
        again, answered = since is not None, part.failed
        if answered:  # on disk it is in doubt while it is sent
            part = replace(part, failed=False)
            await self.record(partial(self.steps.failed, source=self.source, each=False))
        outcome = await self.tell(begun, given(part.sent, part.shown), str(part.number), part.etag)
        if isinstance(outcome, Stored):
            await self._stored(outcome.part)
            return None
        trouble = self.trouble(outcome)
        failed = isinstance(outcome, Failed) and outcome.open and not outcome.vague
        if again and isinstance(outcome, Unwritten):
            await self._doubt(part, failed=answered)
            return replace(trouble, in_doubt=True)
        if trouble.in_doubt and not (failed and answered):
            await self._doubt(part, failed=failed and not again)
            return trouble
        if again:  # an owner that knows no keys may refuse, or fail at, what it has stored already
            held = await self.held(begun)
            if isinstance(held, Trouble):
                await self._doubt(part, failed=failed and answered)
                return replace(held, in_doubt=True)
            if held is not None and same(held.part.shown, part.shown):
                await self._stored(held.part.shown)
                return None
            if outcome == Declined(CONFLICT) and not self._outlasted(since):  # or be still at it
                return replace(trouble, final=False, in_doubt=True)
        await self.record(partial(self.steps.unsent, source=self.source))
        return replace(trouble, in_doubt=False)

    def _outlasted(self, since: float | None) -> bool:
        """Return whether what was sent before a time can be under way no more."""
        return since is not None and self.needs.database.now() - since > self.needs.writing.seconds(self.source)

    async def _doubt(self, part: Part, *, failed: bool) -> None:
        if failed != part.failed:
            await self.record(partial(self.steps.failed, source=self.source, each=failed))

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

    async def _stored(self, shown: bytes) -> None:
        now = self.needs.database.now()
        await self.record(partial(self.steps.finish, source=self.source, shown=shown.decode(), now=now))


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
