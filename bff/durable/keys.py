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


def keep(tx: Tx, uses: list[tuple[Key, str]]) -> None:
    """Keep what keys were used for."""
    tx.each(
        "insert into bff_keys (caller, name, fingerprint, subject) values (?, ?, ?, ?)",
        [(key.caller, key.name, key.fingerprint, subject) for key, subject in uses],
    )
