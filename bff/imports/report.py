"""What an import says in the end: how many rows ended how, and a file that names each that failed."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bff.imports.ledger import BROKEN, SUCCEEDED, Ledger

MOST_REASONS = 1000
SHOWN_REASONS = 10
_FIELDS = ("line", "sku_id", "state", "error", "id")


@dataclass(slots=True)
class Summary:
    """What came of the rows. reasons: of those that failed, by state and error; further ones count under no error."""

    total: int
    running: int
    replayed: int
    succeeded: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """How many failed."""
        return self.reasons.total()

    @property
    def well(self) -> bool:
        """Whether every row succeeded."""
        return self.succeeded == self.total

    def count(self, told: dict[str, Any]) -> None:
        """Count a row."""
        if told["state"] == SUCCEEDED:
            self.succeeded += 1
            return
        reason = (told["state"], str(told.get("error") or ""))
        known = reason in self.reasons or len(self.reasons) < MOST_REASONS
        self.reasons[reason if known else (told["state"], "")] += 1

    def lines(self) -> Iterator[str]:
        """Say it, a line for each reason that is not rare."""
        rest = self.total - self.succeeded - self.failed - self.running
        yield (
            f"{self.total:,} rows: {self.succeeded:,} succeeded, {self.failed:,} failed, {self.running:,} still running"
            + (f", {rest:,} not sent" if rest else "")
        )
        common = self.reasons.most_common(SHOWN_REASONS)
        for (state, error), count in common:
            yield f"{count:>9,}  {state:<11}  {_shown(error)}".rstrip()
        if others := self.failed - sum(count for _, count in common):
            yield f"{others:>9,}  for other reasons"
        if broken := sum(count for (state, _), count in self.reasons.items() if state == BROKEN):
            yield f"{broken:,} left to the next run of the same command, since the service broke on them"
        if self.replayed:
            yield f"{self.replayed:,} had been accepted by an earlier run, and were not written again"


def write(ledger: Ledger, path: Path, running: int, replayed: int) -> Summary:
    """Write the file of what failed, a line of JSON each, and return the summary; raises OSError."""
    summary = Summary(ledger.total, running, replayed)
    aside = path.with_name(path.name + ".new")
    with aside.open("w", encoding="utf-8") as file:
        for told in ledger.told():
            summary.count(told)
            if told["state"] != SUCCEEDED:
                file.write(json.dumps({name: told.get(name) for name in _FIELDS}) + "\n")
    aside.replace(path)  # whole or not at all
    return summary


def _shown(error: str) -> str:
    plain = "".join(each if each.isprintable() else "?" for each in error)
    return plain if len(plain) <= 100 else plain[:99] + "…"
