"""Reservations on their way to the stock service: merged into batches, one at a time for a SKU, at a steady rate.

What a batch holds is on disk before it is sent. The stock service gives an item its first answer again, so that a batch
may be sent by anyone and any number of times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bff.durable import journal
from bff.durable.claims import LEFT, Worker
from bff.durable.driver import Row, Tx
from bff.durable.journal import Event

MOST_ITEMS = 500
PACED_SECONDS = 0.1
"""The most of a rate that is sent at once."""

_UNSENT = "state = 'queued' and batch is null and wanted is null"
_OUTCOMES = {
    "deducted": ("confirmed", None),
    "insufficient": ("rejected", "insufficient"),
    "unknown": ("rejected", "unknown_sku"),
    "released": ("released", None),
}

# A walk from SKU to SKU: what one of them has waiting is passed over and not counted through. No join, which would be
# planned to walk to the end.
_SKUS = f"""
    with recursive waiting (sku_id) as (
        select min(sku_id) from bff_reservations where {_UNSENT} and sku_id > ?
        union all
        select (select min(sku_id) from bff_reservations r where {_UNSENT} and r.sku_id > waiting.sku_id)
        from waiting where waiting.sku_id is not null)
    select sku_id from waiting
    where sku_id is not null and (select 1 from bff_batches b where b.sku_id = waiting.sku_id) is null limit ?"""


@dataclass(frozen=True, slots=True)
class Item:
    """A reservation in a batch."""

    reservation_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Reservations of one SKU that are sent together."""

    id: str
    sku_id: str
    items: tuple[Item, ...]


def waiting(tx: Tx, after: str, most: int) -> list[str]:
    """Return SKUs with something to send and no batch under way. after: the SKU that was served last."""
    found = [sku for (sku,) in tx.rows(_SKUS, after, most)]
    if after and len(found) < most:
        found += [sku for (sku,) in tx.rows(_SKUS, "", most - len(found)) if sku not in found]
    return found


def allowance(tx: Tx, rate: float, now: float) -> int:
    """Return how many items may be sent by now, at so many a second over all workers."""
    tx.run("insert into bff_pace values ('sent', 1, ?) on conflict do nothing", now)
    ((tokens, at),) = tx.rows(f"select tokens, at from bff_pace where name = 'sent'{tx.locking}")
    tokens = min(max(1.0, rate * PACED_SECONDS), tokens + max(0.0, now - at) * rate)
    tx.run("update bff_pace set tokens = ?, at = ? where name = 'sent'", tokens, max(now, at))
    return int(tokens)


def spend(tx: Tx, items: int) -> None:
    """Take sent items off the allowance."""
    tx.run("update bff_pace set tokens = tokens - ? where name = 'sent'", items)


def make(tx: Tx, worker: Worker, batch_id: str, sku: str, most: int, now: float) -> Batch | None:
    """Put the oldest of a SKU's waiting reservations into a batch; None where there is nothing, or one is under way."""
    sql = "insert into bff_batches (id, sku_id, worker, touched_at) values (?, ?, ?, ?) on conflict do nothing"
    if not tx.run(sql, batch_id, sku, worker.id, now):
        return None
    found = tx.rows(
        f"select id, quantity from bff_reservations where {_UNSENT} and sku_id = ? order by id limit ?{tx.skipping}",
        sku,
        min(most, MOST_ITEMS),
    )
    tx.each("update bff_reservations set batch = ? where id = ?", [(batch_id, item) for item, _ in found])
    if not found:
        tx.run("delete from bff_batches where id = ?", batch_id)
        return None
    return Batch(batch_id, sku, tuple(Item(*row) for row in found))


def again(tx: Tx, batch_id: str, now: float) -> Batch | None:
    """Return what of a batch is still to be sent, None where nothing is."""
    found = tx.rows("select sku_id from bff_batches where id = ?", batch_id)
    items = tx.rows(
        "select id, quantity from bff_reservations where batch = ? and wanted is null order by id", batch_id
    )
    if not found or not items:
        dissolve(tx, batch_id)
        return None
    tx.run("update bff_batches set touched_at = ? where id = ?", now, batch_id)
    return Batch(batch_id, found[0][0], tuple(Item(*row) for row in items))


def settle(tx: Tx, batch: Batch, results: Mapping[str, str], now: float) -> dict[tuple[str, str], int]:
    """Put on record what the stock service answered; where it did not answer everything, the batch stays.

    Return how many reservations ended in which state and for which reason.
    """
    open_rows = tx.rows(
        f"""select id, seq from bff_reservations where batch = ? and state = 'queued' and wanted is null
        order by id{tx.locking}""",
        batch.id,
    )
    ended = [
        (reservation_id, seq, *_OUTCOMES[results[reservation_id]])
        for reservation_id, seq in open_rows
        if results.get(reservation_id) in _OUTCOMES
    ]
    counted = end(tx, ended, now)
    if len(ended) == len(open_rows):
        dissolve(tx, batch.id)
    return counted


def dissolve(tx: Tx, batch_id: str) -> None:
    """Put what is left of a batch back into the queue."""
    tx.run("update bff_reservations set batch = null where batch = ?", batch_id)
    tx.run("delete from bff_batches where id = ?", batch_id)


def end(tx: Tx, ended: Sequence[tuple[str, int, str, str | None]], now: float) -> dict[tuple[str, str], int]:
    """End queued reservations, given with the numbers of their last events, their states and reasons."""
    _mark(tx, ended, now)
    tx.run("update bff_counts set count = count - ? where name = 'queued'", len(ended))
    counted: dict[tuple[str, str], int] = {}
    for _, _, state, reason in ended:
        counted[state, reason or ""] = counted.get((state, reason or ""), 0) + 1
    return counted


def wanted(tx: Tx, most: int) -> list[tuple[str, str]]:
    """Return reservations that are to be given back, with their SKUs."""
    sql = "select id, sku_id from bff_reservations where wanted is not null order by id limit ?"
    return [(reservation_id, sku) for reservation_id, sku in tx.rows(sql, most)]


def returned(tx: Tx, ids: Sequence[str], now: float) -> dict[tuple[str, str], int]:
    """Put on record that reservations were given back; return how many ended how."""
    marks = ", ".join("?" for _ in ids)
    found = tx.rows(
        f"""select id, seq, wanted, state from bff_reservations where id in ({marks}) and wanted is not null
        order by id{tx.locking}""",
        *ids,
    )
    ends = {"release": ("released", None), "expire": ("rejected", "expired")}
    queued = [(row[0], row[1], *ends[row[2]]) for row in found if row[3] == "queued"]
    sold = [(row[0], row[1], *ends["release"]) for row in found if row[3] != "queued"]
    _mark(tx, sold, now)
    counted = end(tx, queued, now)
    if sold:
        counted["released", ""] = counted.get(("released", ""), 0) + len(sold)
    return counted


def overdue(tx: Tx, before: float, most: int) -> list[tuple[str, int]]:
    """Return what has been queued since before a time, with the numbers of the last events."""
    found: list[Row] = tx.rows(
        f"""select id, seq from bff_reservations where state = 'queued' and created_at < ? and wanted is null
        order by created_at limit ?{tx.skipping}""",
        before,
        most,
    )
    return [(reservation_id, seq) for reservation_id, seq in found]


def mine(tx: Tx, worker: Worker) -> list[str]:
    """Return the batches that a worker of this name has sent, in this process or an earlier one."""
    return [batch_id for (batch_id,) in tx.rows("select id from bff_batches where worker = ?", worker.id)]


def take_over(tx: Tx, worker: Worker, dead: Sequence[str], before: float, now: float) -> list[str]:
    """Take over batches of workers that are gone, and those of which nothing was heard since a time."""
    gone = " or ".join(["touched_at < ?", "worker = ?", *("worker = ?" for _ in dead)])
    found = tx.rows(f"select id from bff_batches where {gone}{tx.skipping}", before, LEFT, *dead)
    for (batch_id,) in found:
        tx.run("update bff_batches set worker = ?, touched_at = ? where id = ?", worker.id, now, batch_id)
        sent_again(tx, batch_id, "its worker is gone, or was not heard of", now)
    return [batch_id for (batch_id,) in found]


def take_up(tx: Tx, worker: Worker, now: float) -> int:
    """Put on record what an earlier process of this name was sending, and this one sends again; return how much."""
    found = mine(tx, worker)
    for batch_id in found:
        sent_again(tx, batch_id, "its process is gone", now)
    return len(found)


def sent_again(tx: Tx, batch_id: str, cause: str, now: float) -> None:
    """Put on record that what a batch holds is sent once more by another process."""
    found = tx.rows(f"select id, seq from bff_reservations where batch = ? order by id{tx.locking}", batch_id)
    tx.each("update bff_reservations set seq = seq + 1 where id = ?", [(item,) for item, _ in found])
    journal.append_each(tx, [(item, Event(seq + 1, now, "sent_again", cause=cause)) for item, seq in found])


def _mark(tx: Tx, ended: Sequence[tuple[str, int, str, str | None]], now: float) -> None:
    tx.each(
        """update bff_reservations set state = ?, reason = ?, wanted = null, batch = null, seq = ?, updated_at = ?,
        ended_at = ? where id = ?""",
        [(state, reason, seq + 1, now, now, item) for item, seq, state, reason in ended],
    )
    journal.append_each(
        tx, [(item, Event(seq + 1, now, "ended", state=state, cause=reason)) for item, seq, state, reason in ended]
    )
