"""What a check tells: a table of its runs, and each old value that should not be."""

from collections import Counter
from collections.abc import Sequence

from tests.consistency.traffic import Old
from tests.consistency.trial import Result

SHOWN = 5
LINE = 300  # characters of what a pod logged
COLUMNS = ("guard off", "seconds", "pages", "from memory", "parts bound", "writes acknowledged", "faults", "old values")


def table(results: Sequence[Result]) -> str:
    """Return a line for each run, and below it what else was answered."""
    rows = [COLUMNS, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [" | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def details(result: Result) -> str:
    """Return what else a run has counted."""
    tally = result.tally
    lines = [
        f"other answers to reads: {_counts(tally.other_reads)}",
        f"other answers to writes: {_counts(tally.other_writes)}",
        f"faults: {_counts(tally.faults)}",
        f"old values, as they were shown: {_counts(tally.old)}",
        f"old, but marked as such by a pod that was cut off: {tally.excused:,}",
        f"errors that pods logged: {len(result.logged):,}",
        *(line[:LINE] for line in result.logged[:SHOWN]),
    ]
    return "\n".join(f"  {line}" for line in lines)


def described(result: Result) -> str:
    """Return all that is known of some old values, and where there are none, that there should be some."""
    if not result.tally.described:
        return (
            "nothing was written and read" if not result.plan.is_control else "without the guard there should be some"
        )
    return "\n".join(_one(result, old) for old in list(result.tally.described.values())[:SHOWN])


def _row(result: Result) -> tuple[str, ...]:
    tally = result.tally
    numbers = (tally.pages, tally.hits, tally.bound, tally.acknowledged, tally.faults.total(), tally.old.total())
    return (
        "none" if not result.plan.is_control else result.plan.name,
        f"{result.seconds:.0f}",
        *(f"{number:,}" for number in numbers),
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counter.most_common()) or "none"


def _one(result: Result, old: Old) -> str:
    shown, promise = old.shown, old.promise
    asked = f"asked {old.sent - promise.at:.3f} s after that, answered {old.received - promise.at:.3f} s after it"
    status = next((line for line in old.answer.head.decode("latin-1").split("\r\n") if "ache-status" in line), "")
    lines = [
        f"{old.pod} {old.sku} {shown.source}: version {shown.version}, {shown.how}",
        f"  version {promise.version} held since its PUT was answered {promise.status}; {asked}",
        f"  {status}",
        *(f"  {_times(fault.began, fault.ended, promise.at)}: {fault.what}" for fault in result.around(old)),
    ]
    return "\n".join(lines)


def _times(began: float, ended: float, since: float) -> str:
    return f"{began - since:+.3f} to {ended - since:+.3f} s"
