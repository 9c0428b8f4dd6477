"""Sending a part until it is known whether its owner has it.

A send without an answer may be stored yet: it is repeated, under the same key, until its owner says how it ended. An
owner that answers each send with a failure, and holds something else, is believed. One that answers a repeat with a
conflict may be still at the first; once that can be under way no more, it is believed, too.
"""

from dataclasses import replace
from functools import partial

from bff.durable.doing import OnePart, Trouble, given, same
from bff.durable.steps import Begun, Part
from bff.product.writing import Declined, Failed, Outcome, Stored, Unwritten

CONFLICT = Declined(409)


class Sending(OnePart):
    """A part that is sent."""

    async def send(self, begun: Begun, part: Part, since: float | None = None) -> Trouble | None:
        """Write the part, under its key; return None once it is known to be stored, else why it is not.

        since: when it was first sent again, where it may have been sent before.
        """
        answered = part.failed
        if answered:  # on disk it is in doubt while it is sent
            part = await self._mark(part, failed=False)
        # By when it is asked, and not by when the answer is looked at: that is of then.
        outlasted = since is not None and self.needs.database.now() - since > self.needs.writing.seconds(self.source)
        outcome = await self.tell(begun, given(part.sent, part.shown), str(part.number), part.etag)
        if isinstance(outcome, Stored):
            await self._stored(outcome.part)
            return None
        if since is None:
            return await self._not_stored(part, outcome)
        return await self._still_not_stored(begun, part, outcome, answered=answered, outlasted=outlasted)

    async def _not_stored(self, part: Part, outcome: Outcome) -> Trouble:
        trouble = self.trouble(outcome)
        if not trouble.in_doubt:
            await self._unsent(unsure=False)
        elif _has_failed(outcome):
            await self._mark(part, failed=True)
        return trouble

    async def _still_not_stored(
        self, begun: Begun, part: Part, outcome: Outcome, *, answered: bool, outlasted: bool
    ) -> Trouble | None:
        """Look what is known after a repeat.

        answered: whether each send before it was, by a failure. outlasted: whether none before it can be under way.
        """
        trouble = self.trouble(outcome)
        if isinstance(outcome, Unwritten):
            await self._mark(part, failed=answered)
            return replace(trouble, in_doubt=True)
        if trouble.in_doubt and not (answered and _has_failed(outcome)):
            return trouble
        held = await self.held(begun)  # an owner that knows no keys may refuse, or fail at, what it has stored already
        if isinstance(held, Trouble):
            await self._mark(part, failed=answered and _has_failed(outcome))
            return replace(held, in_doubt=True)
        if held is not None and same(held.part.shown, part.shown):
            await self._stored(held.part.shown)
            return None
        if outcome == CONFLICT and not outlasted:
            return replace(trouble, final=False, in_doubt=True)
        # In its own words it may be ours all the same, where it is not what was there before.
        await self._unsent(unsure=held is not None and not same(held.part.shown, part.before_shown))
        return replace(trouble, in_doubt=False)

    async def _stored(self, shown: bytes) -> None:
        now = self.needs.database.now()
        await self.record(partial(self.steps.finish, source=self.source, shown=shown.decode(), now=now))

    async def _unsent(self, *, unsure: bool) -> None:
        await self.record(partial(self.steps.unsent, source=self.source, unsure=unsure))

    async def _mark(self, part: Part, *, failed: bool) -> Part:
        if failed != part.failed:
            await self.record(partial(self.steps.failed, source=self.source, each=failed))
        return replace(part, failed=failed)


def _has_failed(outcome: Outcome) -> bool:
    """Return whether an owner says that it has failed, and not that it will do it yet."""
    return isinstance(outcome, Failed) and outcome.open and not outcome.vague
