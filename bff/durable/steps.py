"""The steps of a change as transactions: what is on disk before anything is sent, and once its end is known.

Each looks first whether the claim still stands, under the lock of the change's row, so that neither a cancel nor
another worker can come between. What is on record already is returned, and not done again.
"""

from dataclasses import dataclass

from bff.durable import changes, journal
from bff.durable.claims import Claim, Worker
from bff.durable.driver import Tx
from bff.durable.journal import Change, Event, Step

UNWRITTEN, IN_DOUBT, WRITTEN, FAILED = range(4)


class Fenced(Exception):
    """Another claim stands, of a higher epoch: this one begins nothing and records nothing any more."""


class Usurped(BaseException):
    """Another process works under this one's name.

    No Exception, so that nothing takes it for the end of a step: the step is that process' to end.
    """


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a change.

    sent, shown: as its owner takes it, and as a page has it. in_doubt: whether a write of it may be at its owner, its
    end unknown; failed: whether each of its sends had an answer all the same, that of a failure; number: of that write,
    which its key is made of. before_sent, before_shown, etag: what the owner held, None where it told nothing. The rest
    is the same of the write that undoes it. unsure: whether what the owner held may have been this change's own, in
    words of the owner's: then what was there before is not known.
    """

    sent: str
    shown: str
    before_sent: str | None
    before_shown: str | None
    etag: str | None
    undo_etag: str | None
    in_doubt: bool
    written: bool
    failed: bool
    number: int
    undo_in_doubt: bool
    undo_number: int
    unsure: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """A step that begins, or goes on."""

    sku_id: str
    request_id: str
    trace_id: str
    part: Part


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one claim. Every method raises Fenced or Usurped."""

    claim: Claim
    worker: Worker

    def begin(self, tx: Tx, source: str, now: float) -> Begun | str:
        """Begin an attempt to write a part; or return how the step has ended: "done", "failed" or "stopped"."""
        row, change = self._standing(tx)
        step = change.steps[source]
        if step.state in ("done", "failed"):
            return step.state
        if step.state in ("compensated", "superseded"):
            return "stopped"  # the way back has begun, in a process that is gone
        if change.cancelled or now > row.ends_at:
            if step.state == "running":
                why = "cancelled" if change.cancelled else "out of time"
                self._record(tx, change, now, Event(0, now, "step_failed", source, "failed", why, {"in": "stop"}))
            return "stopped"
        self._record(tx, change, now, Event(0, now, "step_started", source, "running"))
        return Begun(row.sku_id, row.request_id, row.trace_id, self._part(tx, source))

    def send(self, tx: Tx, source: str, before: tuple[str, str], etag: str | None) -> Part:
        """Put on record what the owner holds, and that it is about to be overwritten."""
        self._row(tx)
        what = f"before_sent = ?, before_shown = ?, etag = ?, standing = {IN_DOUBT}, number = number + 1"
        self._set(tx, source, what, *before, etag)
        return self._part(tx, source)

    def failed(self, tx: Tx, source: str, *, each: bool) -> None:
        """Put on record whether each send of a part that is in doubt was answered, if by a failure."""
        self._row(tx)
        self._set(tx, source, f"standing = {FAILED if each else IN_DOUBT}")

    def unsent(self, tx: Tx, source: str, *, unsure: bool) -> None:
        """Put on record that a part is not written. unsure: as a part has it, if it was not before."""
        self._row(tx)
        self._set(tx, source, f"standing = {UNWRITTEN}{', unsure = 1' if unsure else ''}")

    def finish(self, tx: Tx, source: str, shown: str, now: float) -> None:
        """Put on record that a part is written. shown: as its owner has it."""
        _, change = self._standing(tx)
        self._set(tx, source, f"standing = {WRITTEN}, shown = ?", shown)
        if change.steps[source].state != "failed":  # else it was repeated, to be undone
            self._record(tx, change, now, Event(0, now, "step_done", source, "done"))

    def fail(self, tx: Tx, source: str, cause: str, now: float) -> None:
        """Put on record that a part could not be written, as far as is known."""
        _, change = self._standing(tx)
        self._record(tx, change, now, Event(0, now, "step_failed", source, "failed", cause))

    def begin_undo(self, tx: Tx, source: str, now: float) -> Begun | str:
        """Begin to undo a part; or return how that has ended: "undone", "failed" or, where there is none, "nothing"."""
        row, change = self._standing(tx)
        step, part = change.steps[source], self._part(tx, source)
        if step.undo_failed:
            return "failed"
        if step.state in ("compensated", "superseded"):
            return "undone"
        if not part.in_doubt and not part.written and not part.unsure:
            return "nothing"
        tx.run("update bff_changes set touched_at = ? where id = ?", now, self.claim.change_id)
        return Begun(row.sku_id, row.request_id, row.trace_id, part)

    def send_undo(self, tx: Tx, source: str, etag: str | None) -> Part:
        """Put on record that what was there before is about to be written back. etag: of what is there now."""
        self._row(tx)
        self._set(tx, source, "undo_in_doubt = 1, undo_number = undo_number + 1, undo_etag = ?", etag)
        return self._part(tx, source)

    def undone(self, tx: Tx, source: str, state: str, now: float) -> None:
        """Put on record that a part is undone ("compensated"), or need not be any more ("superseded")."""
        _, change = self._standing(tx)
        self._set(tx, source, "undo_in_doubt = 0")
        self._record(tx, change, now, Event(0, now, "step_compensated", source, state, change.steps[source].error))

    def fail_undo(self, tx: Tx, source: str, cause: str, now: float) -> None:
        """Put on record that a part could not be undone."""
        _, change = self._standing(tx)
        why = f"not undone: {cause}"
        self._record(tx, change, now, Event(0, now, "step_failed", source, "failed", why, {"in": "undo"}))

    def end(self, tx: Tx, now: float) -> str:
        """End a change whose every part is written, or undone; return its state, "stopped" where it is to be undone."""
        try:
            _, change = self._standing(tx)
        except Fenced:
            found = tx.rows("select state from bff_changes where id = ?", self.claim.change_id)
            if found and found[0][0] in journal.CHANGE_ENDS:
                return str(found[0][0])
            raise
        if change.cancelled and any(step.state == "done" for step in change.steps.values()):
            return "stopped"  # whoever cancelled it was told that what is done will be undone
        state, cause = verdict(change)
        self._record(tx, change, now, Event(0, now, "ended", state=state, cause=cause))
        return state

    def _standing(self, tx: Tx) -> tuple["_Row", Change]:
        row = self._row(tx)
        return row, journal.fold_change(self.claim.change_id, journal.events(tx, self.claim.change_id))

    def _row(self, tx: Tx) -> "_Row":
        claim = self.claim
        found = tx.rows(
            f"""select epoch, state, worker, sku_id, request_id, trace_id, started_at + timeout_seconds
            from bff_changes where id = ?{tx.locking}""",
            claim.change_id,
        )
        if not found or found[0][:3] != (claim.epoch, "running", self.worker.id):
            raise Fenced
        if tx.rows("select boot from bff_workers where id = ?", self.worker.id) != [(self.worker.boot,)]:
            raise Usurped
        return _Row(*found[0][3:])

    def _part(self, tx: Tx, source: str) -> Part:
        ((sent, shown, *before, standing, number, undo_in_doubt, undo_number, unsure),) = tx.rows(
            """select sent, shown, before_sent, before_shown, etag, undo_etag, standing, number, undo_in_doubt,
            undo_number, unsure from bff_parts where change_id = ? and source = ?""",
            self.claim.change_id,
            source,
        )
        in_doubt, written, failed = standing in (IN_DOUBT, FAILED), standing == WRITTEN, standing == FAILED
        before_sent, before_shown, etag, undo_etag = before
        return Part(
            *(sent, shown, before_sent, before_shown, etag, undo_etag),
            *(in_doubt, written, failed, number, bool(undo_in_doubt), undo_number, bool(unsure)),
        )

    def _set(self, tx: Tx, source: str, what: str, *values: str | None) -> None:
        sql = f"update bff_parts set {what} where change_id = ? and source = ?"
        tx.run(sql, *values, self.claim.change_id, source)

    def _record(self, tx: Tx, change: Change, now: float, event: Event) -> None:
        changes.record(tx, self.claim.change_id, change.seq, now, [event])


@dataclass(frozen=True, slots=True)
class _Row:
    sku_id: str
    request_id: str
    trace_id: str
    ends_at: float


def verdict(change: Change) -> tuple[str, str | None]:
    """Return what a change ends as, once every step is at its end, and why."""
    steps = list(change.steps.values())
    if all(step.state == "done" for step in steps):
        return "succeeded", None
    if broken := [step for step in steps if step.undo_failed]:
        return "failed", _cause(broken[0])
    if failed := [step for step in steps if step.failed]:
        undone = any(step.state in ("compensated", "superseded") for step in steps)
        return "compensated" if undone else "failed", _cause(failed[0])
    return ("cancelled", "cancelled") if change.cancelled else ("timed_out", "out of time")


def _cause(step: Step) -> str:
    return f"{step.name}: {step.error}"
