"""Who does which change: claimed by one worker, fenced by an epoch, taken over where a worker is gone.

An epoch is a fencing token: each claim of a change has a higher one, and whoever holds a lower one begins nothing more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bff.durable import changes
from bff.durable.driver import Tx
from bff.durable.journal import Event

URGENT, ALL = 5, 10
"""Priorities below which changes are urgent, and are at all."""

LEFT = ""
"""Whose work is that a worker has left."""

_NEXT = """
    select id, seq, epoch from bff_changes a where state = 'pending'
    and not exists (select 1 from bff_changes r where r.sku_id = a.sku_id and r.state = 'running')
    and not exists (select 1 from bff_changes b where b.sku_id = a.sku_id and b.state = 'pending'
        and (b.priority, b.id) < (a.priority, a.id))
    and priority < ? order by priority, id limit ?"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A change that is this worker's to do. sources: of its parts, in the order in which they are written."""

    change_id: str
    epoch: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Worker:
    """Who does work. id: of the place, such as a pod's name. boot: of this very process."""

    id: str
    boot: str


def beat(tx: Tx, worker: Worker) -> bool:
    """Say that a worker lives; return whether its name is still its own."""
    return tx.run("update bff_workers set beats = beats + 1 where id = ? and boot = ?", worker.id, worker.boot) == 1


def seen(tx: Tx) -> dict[str, tuple[str, int]]:
    """Return the boot and the beats of every worker: who lives shows in their change, whatever any clock says."""
    return {name: (boot, beats) for name, boot, beats in tx.rows("select id, boot, beats from bff_workers")}


def take_name(tx: Tx, worker: Worker, last: tuple[str, int] | None) -> bool:
    """Take a worker's name, from the process that had it last; False where that one has been heard of since."""
    if last is None:
        sql = "insert into bff_workers (id, boot, beats) values (?, ?, 1) on conflict do nothing"
        return tx.run(sql, worker.id, worker.boot) == 1
    sql = "update bff_workers set boot = ?, beats = beats + 1 where id = ? and boot = ? and beats = ?"
    return tx.run(sql, worker.boot, worker.id, *last) == 1


def bury(tx: Tx, dead: Sequence[str]) -> None:
    """Forget workers that are gone and have nothing to do any more."""
    for name in dead:
        tx.run(
            """delete from bff_workers where id = ?
            and not exists (select 1 from bff_changes where state = 'running' and worker = bff_workers.id)
            and not exists (select 1 from bff_batches where worker = bff_workers.id)""",
            name,
        )


def leave(tx: Tx, worker: Worker) -> None:
    """Leave what a worker has begun to whoever looks first."""
    if tx.run("delete from bff_workers where id = ? and boot = ?", worker.id, worker.boot):
        for table in ("bff_changes", "bff_batches"):
            tx.run(f"update {table} set worker = ? where worker = ?", LEFT, worker.id)


def claim(tx: Tx, worker: Worker, room: int, now: float) -> list[Claim]:
    """Claim what is to be done next: by priority, then age, and one change at a time for a SKU.

    room: how many a worker has at once; of urgent ones as many again.
    """
    tx.rows(f"select 1 from bff_counts where name = 'claims'{tx.locking}")
    ((running,),) = tx.rows("select count(*) from bff_changes where state = 'running' and worker = ?", worker.id)
    claimed = tx.rows(_NEXT, ALL, room - running) if running < room else []
    if not claimed and running < 2 * room:  # an owner that hangs must not hold up what is urgent and of others
        claimed = tx.rows(_NEXT, URGENT, 2 * room - running)
    for change_id, seq, epoch in claimed:
        tx.run(
            "update bff_changes set worker = ?, epoch = ?, started_at = ? where id = ?",
            *(worker.id, epoch + 1, now, change_id),
        )
        changes.record(tx, change_id, seq, now, [Event(0, now, "started", state="running")])
    return _claims(tx, [(change_id, epoch + 1) for change_id, _, epoch in claimed])


def mine(tx: Tx, worker: Worker) -> list[Claim]:
    """Return what a worker of this name has claimed, in this process or an earlier one."""
    found = tx.rows("select id, epoch from bff_changes where state = 'running' and worker = ?", worker.id)
    return _claims(tx, found)


def take_up(tx: Tx, worker: Worker, now: float) -> int:
    """Put on record what an earlier process of this name had begun, and this one goes on with; return how much."""
    sql = f"select id, seq from bff_changes where state = 'running' and worker = ?{tx.locking}"
    found = tx.rows(sql, worker.id)
    for change_id, seq in found:
        event = Event(0, now, "started", state="running", cause="taken up again: its process is gone")
        changes.record(tx, change_id, seq, now, [event])
    return len(found)


def take_over(tx: Tx, worker: Worker, dead: Sequence[str], overdue: float, room: int, now: float) -> list[Claim]:
    """Claim what workers had begun that are gone, and of what nothing was heard since a time."""
    gone = " or ".join(["touched_at < ?", "worker = ?", *("worker = ?" for _ in dead)])
    found = tx.rows(
        f"""select id, seq, epoch, worker from bff_changes where state = 'running' and ({gone})
        order by priority, id limit ?{tx.skipping}""",
        *(overdue, LEFT, *dead, room),
    )
    for change_id, seq, epoch, former in found:
        why = f"{former or 'its worker'} is gone" if former in (*dead, LEFT) else "nothing was heard of it"
        tx.run("update bff_changes set worker = ?, epoch = ? where id = ?", worker.id, epoch + 1, change_id)
        event = Event(0, now, "started", state="running", cause=f"taken over: {why}")
        changes.record(tx, change_id, seq, now, [event])
    return _claims(tx, [(change_id, epoch + 1) for change_id, _, epoch, _ in found])


def _claims(tx: Tx, found: Sequence[Sequence[object]]) -> list[Claim]:
    claims = []
    for change_id, epoch in found:
        parts = {source for (source,) in tx.rows("select source from bff_parts where change_id = ?", change_id)}
        ordered = tuple(source for source in ("info", "price", "stock") if source in parts)
        claims.append(Claim(str(change_id), int(str(epoch)), ordered))
    return claims
