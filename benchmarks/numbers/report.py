"""What came out: a table, goal beside measured."""

import platform
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "NUMBERS.md"
_LIBRARIES = ("fastapi", "uvicorn", "uvloop", "httptools", "msgspec")
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Row:
    """One number. reached: None where it has no goal of its own."""

    what: str
    goal: str
    measured: str
    reached: bool | None

    @property
    def verdict(self) -> str:
        """Whether the goal was reached, in a word."""
        return "" if self.reached is None else "reached" if self.reached else "MISSED"


def table(rows: Iterable[Row]) -> str:
    """Return rows as a Markdown table that can be read as it stands."""
    cells = [("what", "goal", "measured", "")] + [(row.what, row.goal, row.measured, row.verdict) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def machine() -> str:
    """Say what it was measured on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"model name\s*: (.*)", info)
    cores = info.count("processor\t")
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    load = Path("/proc/loadavg").read_text(encoding="ascii").split()[0]
    cpu = model[1] if model else platform.machine()
    return f"{cores} cores ({cpu}), load {load}; Python {platform.python_version()}, {libraries}"


def write(name: str, rows: list[Row], notes: str, started_on: str) -> None:
    """Put a measurement's section into NUMBERS.md, in place of the one that is there."""
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    head = f"Run {day} by `.venv/bin/python -m benchmarks.numbers {' '.join(sys.argv[1:])}` on {started_on}."
    text = f"{head}\n\n{table(rows)}\n" + (f"\n{notes}\n" if notes else "")
    kept = _sections()
    kept[name] = text
    body = "\n".join(f"## {title}\n\n{kept[title].strip()}\n" for title in kept)
    FILE.write_text(f"# The numbers, measured\n\nMade by benchmarks/numbers; not edited.\n\n{body}", encoding="utf-8")


def _sections() -> dict[str, str]:
    if not FILE.exists():
        return {}
    pieces = _SECTION.split(FILE.read_text(encoding="utf-8"))[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))
