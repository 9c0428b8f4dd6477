"""Writing a part of a change: with a key and with what the owner must still hold, both on disk before they are sent."""

from functools import partial
from itertools import count

from bff.durable.doing import Trouble
from bff.durable.sending import Sending
from bff.durable.steps import Begun


class Forward(Sending):
    """The way there."""

    async def write(self) -> str:
        """Write the part; return "done", "failed" or "stopped". Raises Away, Fenced or Usurped."""
        since = self.needs.database.now()
        for tried in count(1):
            begun = await self.record(partial(self.steps.begin, source=self.source, now=self.needs.database.now()))
            if isinstance(begun, str):
                return begun
            trouble = await self._attempt(begun, since)
            if trouble is None:
                return "done"
            if trouble.final or tried >= self.needs.patience.attempts:
                now = self.needs.database.now()
                await self.record(partial(self.steps.fail, source=self.source, cause=trouble.cause, now=now))
                return "failed"
            await self.pause(tried)
        raise AssertionError("the count has an end")

    async def _attempt(self, begun: Begun, since: float) -> Trouble | None:
        if begun.part.in_doubt:  # by an earlier attempt, perhaps of a process that is gone
            return await self.send(begun, begun.part, since)
        held = await self.held(begun)
        if isinstance(held, Trouble):
            return held
        if held is None:
            return Trouble(f"the {self.source} service knows no such product", final=True)
        before = (held.part.sent.decode(), held.part.shown.decode())
        part = await self.record(partial(self.steps.send, source=self.source, before=before, etag=held.etag))
        return await self.send(begun, part)
