"""Reconciliation: work that was begun and that nobody does any more is found, and taken over.

A worker lives as long as its beats go on, and whoever watches goes by its own clock: no jump of any makes a worker
look gone. What is taken over is fenced off from whoever had it, should they live after all.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog

from bff.durable import batches, claims
from bff.durable.claims import Claim, Worker
from bff.durable.database import Database
from bff.durable.driver import Tx
from bff.durable.selling import Selling

GONE_SECONDS = 8.0
"""Without a beat for so long, a worker is gone."""

DEAF_SECONDS = 3.0
"""Between two looks: after so long nothing is known of what was in between."""

TOGETHER = 20

log = structlog.get_logger(__name__)


class Counting(Protocol):
    """What is counted of the work."""

    def change_ended(self, state: str) -> None:
        """A change came to its end."""

    def reconciled(self, kind: str, count: int) -> None:
        """Work was found that nobody did any more: `change` or `batch`."""


class Reconciler:
    """Finds what is left lying. overdue_seconds: after which work is taken over even from a worker that lives."""

    def __init__(
        self,
        database: Database,
        worker: Worker,
        selling: Selling | None,
        overdue_seconds: float,
        clock: Callable[[], float],
        counting: Counting,
    ) -> None:
        self._database = database
        self._worker = worker
        self._selling = selling
        self._overdue_seconds = overdue_seconds
        self._watch = Watch(clock)
        self._counting = counting

    def __repr__(self) -> str:
        return f"<Reconciler {self._watch!r}>"

    async def find(self, *, take: bool) -> list[Claim]:
        """Look who lives, and return the changes that are this worker's to do from now on; raises Away.

        take: whether there is anything to do them with. Batches are sent by themselves.
        """
        seen = await self._database.read(claims.seen)
        gone = [name for name in self._watch.gone(seen) if name != self._worker.id]
        if not take:
            return []
        taken, sent = await self._database.write(partial(self._take_over, gone=gone))
        for kind, count in (("change", len(taken)), ("batch", len(sent))):
            if count:
                log.warning("work that nobody did is taken over", kind=kind, count=count)
                self._counting.reconciled(kind, count)
        if self._selling is not None:
            self._selling.resume(sent)
        return taken

    def _take_over(self, tx: Tx, gone: Sequence[str]) -> tuple[list[Claim], list[str]]:
        now = self._database.now()
        listened = self._watch.listening_seconds > self._overdue_seconds
        before = now - self._overdue_seconds if listened else 0.0
        taken = claims.take_over(tx, self._worker, gone, before, TOGETHER, now)
        sent = batches.take_over(tx, self._worker, gone, before, now) if self._selling is not None else []
        claims.bury(tx, gone)
        return taken, sent


class Watch:
    """Who has not been heard of for too long, in times in which somebody listened. clock: monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[tuple[str, int], float]] = {}
        self._looked = clock()
        self.listening_seconds = 0.0

    def __repr__(self) -> str:
        return f"<Watch on {len(self._heard)}>"

    def gone(self, seen: Mapping[str, tuple[str, int]]) -> list[str]:
        """Return the workers whose beats have stood still for too long."""
        now = self._clock()
        passed, self._looked = now - self._looked, now
        if passed > DEAF_SECONDS:  # an outage, or a process that was halted: nobody could be heard
            passed = self.listening_seconds = 0.0
        self.listening_seconds += passed
        silent = {name: self._silence(name, beats, passed) for name, beats in seen.items()}
        self._heard = {name: (seen[name], seconds) for name, seconds in silent.items()}
        return [name for name, seconds in silent.items() if seconds > GONE_SECONDS]

    def _silence(self, name: str, beats: tuple[str, int], passed: float) -> float:
        last = self._heard.get(name)
        return last[1] + passed if last is not None and last[0] == beats else 0.0
