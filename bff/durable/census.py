"""How much work there is, and how long it has been waiting."""

from dataclasses import dataclass

from bff.durable.driver import Tx


@dataclass(frozen=True, slots=True)
class Census:
    """What there is. The ages are of the oldest, in seconds, 0 where there is none."""

    pending: int = 0
    running: int = 0
    oldest_change_seconds: float = 0.0
    queued: int = 0
    oldest_reservation_seconds: float = 0.0
    returning: int = 0
    batches: int = 0
    workers: int = 0


def count(tx: Tx, now: float) -> Census:
    """Count it."""
    ((pending, first_pending),) = tx.rows("select count(*), min(id) from bff_changes where state = 'pending'")
    ((running, first_running),) = tx.rows("select count(*), min(id) from bff_changes where state = 'running'")
    first = min(filter(None, (first_pending, first_running)), default=None)
    oldest = tx.rows("select created_at from bff_changes where id = ?", first) if first else []
    ((queued,),) = tx.rows("select count from bff_counts where name = 'queued'")
    oldest_sql = "select min(created_at) from bff_reservations where state = 'queued' and wanted is null"
    ((since,),) = tx.rows(oldest_sql)
    ((returning,),) = tx.rows("select count(*) from bff_reservations where wanted is not null")
    ((batches,),) = tx.rows("select count(*) from bff_batches")
    ((workers,),) = tx.rows("select count(*) from bff_workers")
    change_seconds = max(0.0, now - oldest[0][0]) if oldest else 0.0
    reservation_seconds = max(0.0, now - since) if since is not None else 0.0
    return Census(pending, running, change_seconds, queued, reservation_seconds, returning, batches, workers)
