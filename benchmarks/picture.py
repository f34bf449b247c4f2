"""The figures as a picture: a panel for each kind of work, a bar for each reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws to a file, without a window
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cases import WORKS
from corpus import Corpus
from report import BY_HAND, OURS, Row

BLUE, GREY, PALE = "#1f6feb", "#8b949e", "#d0d7de"
LEFT = 4
"""Panels in the left column; the others are in the right one."""

TITLE_BARS, BAR_INCHES = 1.9, 0.235
"""Height of a panel's title, in bars; and of a bar."""


def draw(rows: Sequence[Row], corpus: Corpus, file: Path, *, title: str) -> None:
    """Draw the rates as a PNG file.

    Each panel has its own linear scale from zero: the length of a bar is its rate, relative to the
    fastest.

    Args:
        rows: The figures.
        corpus: What was read.
        file: The file to write, in an existing folder.
        title: Title of the picture.
    """
    panels = [[row for row in rows if row.work == work] for work in WORKS]
    columns = [[panel for panel in half if panel] for half in (panels[:LEFT], panels[LEFT:])]
    columns = [column for column in columns if column]
    tallest = max(sum(len(panel) + TITLE_BARS for panel in column) for column in columns)
    height = tallest * BAR_INCHES + 1.0
    figure = plt.figure(figsize=(6.6 * len(columns), height))
    for number, column in enumerate(columns):
        top = height - 0.85
        for panel in column:
            top -= len(panel) * BAR_INCHES
            box = (number + 0.34) / len(columns), top / height
            size = 0.60 / len(columns), len(panel) * BAR_INCHES / height
            _panel(figure.add_axes((*box, *size)), sorted(panel, key=_rate), corpus)
            top -= TITLE_BARS * BAR_INCHES
    figure.suptitle(title, fontsize=13, y=1 - 0.2 / height)
    _legend(figure)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def _panel(axis: Axes, panel: Sequence[Row], corpus: Corpus) -> None:
    work = WORKS[panel[0].work]
    bars = axis.barh(
        [row.reader for row in panel],
        [row.rate for row in panel],
        color=[_colour(row) for row in panel],
        height=0.76,
    )
    labels = [f"{row.rate:,.0f}" for row in panel]
    axis.bar_label(bars, labels=labels, padding=4, fontsize=8.5)
    axis.set_title(f"{work.title_for(corpus)}, {work.unit}/s", loc="left", fontsize=10)
    axis.set(xlim=(0, 1.12 * max(map(_rate, panel))), ylim=(-0.5, len(panel) - 0.5), xticks=[])
    axis.tick_params(axis="y", length=0, labelsize=8.5)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    for label, row in zip(axis.get_yticklabels(), panel, strict=True):
        label.set_fontweight("bold" if row.kind == OURS else "normal")


def _legend(figure: Figure) -> None:
    kinds = {"aisio": BLUE, "others": GREY, "by hand: nothing is verified or retried": PALE}
    figure.legend(
        handles=[Patch(color=colour, label=label) for label, colour in kinds.items()],
        loc="lower left",
        bbox_to_anchor=(0.01, 0.005),
        ncols=len(kinds),
        frameon=False,
        fontsize=8.5,
    )


def _rate(row: Row) -> float:
    return row.rate


def _colour(row: Row) -> str:
    return {OURS: BLUE, BY_HAND: PALE}.get(row.kind, GREY)
