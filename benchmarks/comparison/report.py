"""RESULTS.md: the goals, the chart, a section for each work, and the notes that are written by hand."""

from collections.abc import Mapping

from benchmarks.comparison.figures import table
from benchmarks.comparison.results import FOLDER, Result

FILE = FOLDER / "RESULTS.md"
_BEGIN, _END = "<!-- notes:begin -->", "<!-- notes:end -->"
_HEAD = """# Our service and its peers

Made by `make bench` (benchmarks/comparison); nothing but the notes at the end is written by hand.

Every server runs on one core; the load and the sources that all of them ask, one nginx, have the other. Peers take
turns, in another order each round, after a warm-up. A figure is the median of the rounds, with the least and the
greatest of them; a ratio is taken round by round. A round counts if no request failed and every page that was looked at
before it, after it and meanwhile was whole and the right one. Load is wrk's, each connection asking again when it is
answered; `open-loop` has a driver of its own.

## Goals

{goals}

![Pages a second by work and peer](results.svg)

{sections}
## Notes

{begin}{notes}{end}
"""


def goals(results: Mapping[str, Result]) -> str:
    """Return the table of goals."""
    return table(
        ["work", "goal", "measured", ""],
        [[name, goal.goal, goal.measured, goal.verdict] for name, each in results.items() for goal in each.goals],
    )


def section(result: Result) -> str:
    """Return what is said of one work."""
    return "\n\n".join([result.about, table(result.header, result.rows), *result.notes, result.ran])


def write(results: Mapping[str, Result]) -> None:
    """Write the file anew, but for its notes."""
    sections = "\n".join(f"## {name}\n\n{section(result)}\n" for name, result in results.items())
    text = _HEAD.format(goals=goals(results), sections=sections, begin=_BEGIN, notes=_notes(), end=_END)
    FILE.write_text(text, encoding="utf-8")


def _notes() -> str:
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    _, begun, rest = text.partition(_BEGIN)
    notes, ended, _ = rest.rpartition(_END)
    return notes if begun and ended else "\n"
