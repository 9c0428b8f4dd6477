"""Reservations as those know them who ask for them: accepted many at once, looked at, given back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bff.durable import journal, keys
from bff.durable.changes import Reused
from bff.durable.driver import Tx
from bff.durable.journal import Event, Reservation
from bff.durable.keys import Key

_COLUMNS = "id, sku_id, quantity, created_at, state, reason, updated_at"


@dataclass(frozen=True, slots=True)
class Wish:
    """A reservation that is asked for."""

    id: str
    sku_id: str
    quantity: int
    key: Key


@dataclass(frozen=True, slots=True)
class Reserved:
    """A reservation that was accepted, as it was then. replayed: whether that was before."""

    reservation: Reservation
    replayed: bool


@dataclass(frozen=True, slots=True)
class Full:
    """The queue is full."""


Answer = Reserved | Reused | Full


def accept(tx: Tx, wishes: Sequence[Wish], most: int, now: float) -> list[Answer]:
    """Accept reservations as far as there is room for them, and say of each what came of it.

    No two of them have the same key. most: that may be queued.
    """
    ((queued,),) = tx.rows(f"select count from bff_counts where name = 'queued'{tx.locking}")  # nobody else accepts now
    used = keys.used(tx, [wish.key for wish in wishes])
    new = [wish for wish in wishes if (wish.key.caller, wish.key.name) not in used][: max(0, most - queued)]
    used |= keys.take(tx, [(wish.key, wish.id) for wish in new], now)  # but for changes, which have keys, too
    _take(tx, [wish for wish in new if used[wish.key.caller, wish.key.name][1] == wish.id], now)
    return [_answer(tx, wish, used.get((wish.key.caller, wish.key.name)), now) for wish in wishes]


def find(tx: Tx, caller: str, reservation_id: str) -> Reservation | None:
    """Return a caller's reservation as it is; another one's is none."""
    found = tx.rows(
        f"select {_COLUMNS} from bff_reservations where id = ? and caller = ?",
        reservation_id,
        caller,
    )
    return Reservation(*found[0]) if found else None


def release(tx: Tx, caller: str, reservation_id: str, now: float) -> Reservation | Literal["rejected"] | None:
    """Have a reservation given back to its owner; one that is on its way back, or is, stays as it is."""
    found = tx.rows(
        f"select state, wanted, seq from bff_reservations where id = ? and caller = ?{tx.locking}",
        reservation_id,
        caller,
    )
    if not found:
        return None
    ((state, wanted, seq),) = found
    if state == "rejected":
        return "rejected"
    if state != "released" and wanted != "release":
        want(tx, [(reservation_id, seq)], "release", now)
    return find(tx, caller, reservation_id)


def want(tx: Tx, which: Sequence[tuple[str, int]], what: Literal["release", "expire"], now: float) -> None:
    """Put on record that reservations, given with the numbers of their last events, are to be given back."""
    tx.each(
        "update bff_reservations set wanted = ?, seq = ? where id = ?",
        [(what, seq + 1, reservation_id) for reservation_id, seq in which],
    )
    cause = "asked for" if what == "release" else "queued for too long"
    asked = [(reservation_id, Event(seq + 1, now, "release_requested", cause=cause)) for reservation_id, seq in which]
    journal.append_each(tx, asked)


def _answer(tx: Tx, wish: Wish, use: tuple[str, str] | None, now: float) -> Answer:
    if use is None:
        return Full()
    fingerprint, subject = use
    if fingerprint != wish.key.fingerprint:
        return Reused()
    if subject == wish.id:
        return Reserved(Reservation(wish.id, wish.sku_id, wish.quantity, now, updated_at=now), replayed=False)
    return Reserved(journal.fold_reservation(subject, journal.events(tx, subject)[:1]), replayed=True)


def _take(tx: Tx, wishes: Sequence[Wish], now: float) -> None:
    tx.each(
        """insert into bff_reservations (id, sku_id, caller, quantity, state, seq, created_at, updated_at)
        values (?, ?, ?, ?, 'queued', 1, ?, ?)""",
        [(wish.id, wish.sku_id, wish.key.caller, wish.quantity, now, now) for wish in wishes],
    )
    journal.append_each(
        tx,
        [
            (
                wish.id,
                Event(1, now, "accepted", state="queued", facts={"sku_id": wish.sku_id, "quantity": wish.quantity}),
            )
            for wish in wishes
        ],
    )
    tx.run("update bff_counts set count = count + ? where name = 'queued'", len(wishes))
