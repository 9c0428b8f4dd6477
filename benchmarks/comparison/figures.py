"""Several rounds' figures as one: the middle, and how far the others were from it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several figures, the least and the greatest."""

    middle: float
    low: float
    high: float

    def text(self, form: str) -> str:
        """Return all three, each in a form such as `,.0f`."""
        return f"{self.middle:{form}} ({self.low:{form}} to {self.high:{form}})"


def spread(figures: Iterable[float]) -> Spread | None:
    """Return the spread of figures, None where there are none."""
    every = list(figures)
    return Spread(median(every), min(every), max(every)) if every else None


def percentile(figures: Sequence[float], share: float) -> float:
    """Return the figure that such a share of all is not above."""
    return sorted(figures)[min(len(figures) - 1, int(share * len(figures)))]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table that can be read as it stands."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
