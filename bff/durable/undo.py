"""Undoing a part of a change: only where its owner still holds what the change wrote."""

from functools import partial
from itertools import count

from bff.durable.doing import Trouble, given, same
from bff.durable.sending import Sending
from bff.durable.steps import Begun, Part
from bff.product.writing import Stored
from clients.source import Held

NOT_KNOWN = Trouble("what was there before is not known", refused=True)


class Undo(Sending):
    """The way back."""

    async def undo(self) -> str:
        """Undo the part; return "undone", "nothing" or "failed". Raises Away, Fenced or Usurped."""
        since = self.needs.database.now()
        until = since + self.needs.patience.undo_seconds
        for tried in count(1):
            now = self.needs.database.now()
            begun = await self.record(partial(self.steps.begin_undo, source=self.source, now=now))
            if isinstance(begun, str):
                return begun
            trouble = NOT_KNOWN if begun.part.unsure else await self._attempt(begun, since)
            if trouble is None:
                continue  # something is known that was not: what is left to do is on record
            if now > until or trouble.refused:
                now = self.needs.database.now()
                await self.record(partial(self.steps.fail_undo, source=self.source, cause=trouble.cause, now=now))
                return "failed"
            await self.pause(tried)
        raise AssertionError("the count has an end")

    async def _attempt(self, begun: Begun, since: float) -> Trouble | None:
        part = begun.part
        if part.in_doubt:  # nothing but another try tells whether there is anything to undo
            trouble = await self.send(begun, part, since)
            return trouble if trouble is not None and trouble.in_doubt else None
        held = await self.held(begun)
        if isinstance(held, Trouble):
            return held
        if (state := _settled(part, held)) is not None:
            await self._end(state)
            return None
        assert held is not None, "what is not there is settled"
        return await self._write_back(begun, held)

    async def _write_back(self, begun: Begun, held: Held) -> Trouble | None:
        part = begun.part
        if not (part.undo_in_doubt and part.undo_etag == held.etag):
            part = await self.record(partial(self.steps.send_undo, source=self.source, etag=held.etag))
        before = _before(part)
        outcome = await self.tell(begun, given(*before), f"undo-{part.undo_number}", held.etag)
        if isinstance(outcome, Stored):
            await self._end("compensated")
            return None
        return self.trouble(outcome)

    async def _end(self, state: str) -> None:
        now = self.needs.database.now()
        await self.record(partial(self.steps.undone, source=self.source, state=state, now=now))


def _settled(part: Part, held: Held | None) -> str | None:
    """Return the state of a part that needs no writing back."""
    if held is None:
        return "superseded"
    shown = held.part.shown
    as_written = same(shown, part.shown)
    if same(shown, part.before_shown) and (part.undo_in_doubt or as_written):
        return "compensated"  # by an earlier try, or there never was a difference
    return None if as_written else "superseded"


def _before(part: Part) -> tuple[str, str]:
    assert part.before_sent is not None and part.before_shown is not None, "written without a look at what was there"
    return part.before_sent, part.before_shown
