"""What a run has counted and what of it should not be, and the table of all runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

SHOWN = 12
LINE = 1000  # characters of a note, or a fault
COUNTS = {
    "seconds": "seconds",
    "kills": "kills",
    "accepted": "accepted",
    "confirmed": "confirmed",
    "rejected": "rejected",
    "succeeded": "succeeded",
    "undone": "undone or failed",
    "oversold": "oversold",
    "twice": "effects twice",
    "stuck": "stuck",
}


@dataclass
class Result:
    """What a run has counted, by the names of `COUNTS`. faults: what should not be; notes: what is told besides."""

    run: str
    database: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_as_it_should_be(self) -> bool:
        """Whether there is nothing that should not be."""
        return not self.faults

    def expect(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - it reads as an assertion does
        """Note a fault where something does not hold."""
        if not holds:
            self.faults.append(otherwise)

    def expect_equal(self, what: str, found: object, expected: object) -> None:
        """Note a fault where something is not what it should be."""
        self.expect(found == expected, f"{what}: {found}, and not {expected}")

    def expect_none(self, what: str, found: Sequence[str]) -> None:
        """Note a fault for each thing that should not be there."""
        self.faults += [f"{what}: {each}" for each in found]


def table(results: Sequence[Result]) -> str:
    """Return a line for each run."""
    rows = [("run", "database", *COUNTS.values(), "verdict"), *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [" | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def details(result: Result) -> str:
    """Return what else a run has to tell."""
    lines = [f"{result.run}, {result.database}", *(f"  {note[:LINE]}" for note in result.notes)]
    lines += [f"  NOT AS IT SHOULD BE: {fault[:LINE]}" for fault in result.faults[:SHOWN]]
    if len(result.faults) > SHOWN:
        lines.append(f"  and {len(result.faults) - SHOWN:,} more")
    return "\n".join(lines)


def _row(result: Result) -> tuple[str, ...]:
    counts = (f"{result.counts[name]:,}" if name in result.counts else "" for name in COUNTS)
    return (result.run, result.database, *counts, "as it should be" if result.is_as_it_should_be else "NOT")
