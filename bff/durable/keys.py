"""Idempotency keys: what each was used for first, apart for each caller."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from bff.durable.driver import Tx

KEPT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key, and what it is used for. fingerprint: of method, path and body."""

    caller: str
    name: str
    fingerprint: str


def fingerprint(method: str, path: str, body: Any) -> str:
    """Return what tells two uses of a key apart. body: as it was parsed; how it was written does not matter."""
    text = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def used(tx: Tx, keys: list[Key]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return, of keys that were used before, the fingerprint and the subject of the first use, by caller and name."""
    if not keys:
        return {}
    marks = ", ".join("(?, ?)" for _ in keys)
    sql = f"select caller, name, fingerprint, subject from bff_keys where (caller, name) in (values {marks})"
    found = tx.rows(sql, *(part for key in keys for part in (key.caller, key.name)))
    return {(caller, name): (first, subject) for caller, name, first, subject in found}


def take(tx: Tx, uses: list[tuple[Key, str]], now: float) -> dict[tuple[str, str], tuple[str, str]]:
    """Take keys for subjects, and return what each is used for: what it is taken for, where another one came first.

    Without an error even where both come at once: the later one waits for the earlier one's transaction.
    """
    tx.each(
        """insert into bff_keys (caller, name, fingerprint, subject, created_at) values (?, ?, ?, ?, ?)
        on conflict do nothing""",
        [(key.caller, key.name, key.fingerprint, subject, now) for key, subject in uses],
    )
    return used(tx, [key for key, _ in uses])


def expire(tx: Tx, most: int, now: float) -> int:
    """Forget keys that are old enough and whose work has ended; return how many those were."""
    found = tx.rows(
        """select caller, name from bff_keys k where created_at < ?
        and not exists (select 1 from bff_changes c where c.id = k.subject and c.ended_at is null)
        and not exists (select 1 from bff_reservations r where r.id = k.subject and r.ended_at is null)
        order by created_at limit ?""",
        *(now - KEPT_SECONDS, most),
    )
    tx.each("delete from bff_keys where caller = ? and name = ?", found)
    return len(found)
