"""Draw results.svg from results.json: `.tools/bench/bin/python -m benchmarks.comparison.chart`.

The same results make the same file; its colours can be read on light and on dark pages.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.comparison.results import FOLDER, Bar, load

FILE = FOLDER / "results.svg"
TEXT, GRID = "#737c86", "#737c8640"
OURS, PEERS = "#2f81d8", "#9a8a6a"
WIDTH, BAR_INCHES, TITLE_INCHES = 8.5, 0.26, 0.62
STYLE = {
    "svg.hashsalt": "results",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), TEXT),
}


def main() -> None:
    """Draw the works that have bars."""
    bars = {name: result.bars for name, result in load().items() if result.bars}
    if bars:
        with mpl.rc_context(STYLE):
            _drawn(bars).savefig(FILE, format="svg", transparent=True, metadata={"Date": None})


def _drawn(bars: Mapping[str, Sequence[Bar]]) -> Figure:
    counts = [len(each) for each in bars.values()]
    figure = Figure(figsize=(WIDTH, TITLE_INCHES * len(bars) + BAR_INCHES * sum(counts)), layout="constrained")
    axes = figure.subplots(len(bars), 1, squeeze=False, height_ratios=counts)[:, 0]
    for panel, (name, each) in zip(axes, bars.items(), strict=True):
        _panel(panel, name, each)
    axes[-1].set_xlabel("pages/s on one core: median of the rounds, line from the least to the greatest")
    return figure


def _panel(panel: Any, name: str, bars: Sequence[Bar]) -> None:
    middles, labels = [bar.middle for bar in bars], [bar.label for bar in bars]
    errors = [[bar.middle - bar.low for bar in bars], [bar.high - bar.middle for bar in bars]]
    colours = [OURS if bar.label.startswith("bff") else PEERS for bar in bars]
    panel.barh(labels, middles, height=0.66, color=colours, xerr=errors, ecolor=TEXT, capsize=2)
    for row, bar in enumerate(bars):
        panel.annotate(f"{bar.middle:,.0f}", (bar.high, row), (5, 0), textcoords="offset points", va="center")
    panel.set_title(name, loc="left", color=TEXT, fontweight="bold", fontsize=10)
    panel.set_xlim(0, max(bar.high for bar in bars) * 1.12)
    panel.invert_yaxis()
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.xaxis.grid(visible=True, color=GRID)
    panel.set_axisbelow(True)
    panel.tick_params(length=0)
    panel.spines[["top", "right", "bottom"]].set_visible(False)


if __name__ == "__main__":
    main()
