"""Pictures of bars: panels below one another, each with a scale and a unit of its own.

Each bar has its name on the left and its number on the right, so no colour has to be told from
another: the picture is read as well in grey.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aisio.pictures.picture_file import picture, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Bar", "Panel", "draw_bars", "draw_panels"]

_DARK, _PALE, _LINE = "#1f5fb4", "#b9c4d0", "#202428"
_BAR_INCHES = 0.27
_PANEL_INCHES = 1.05
"""Height of a panel's title, axis and unit."""

_LETTER_INCHES, _AXES_INCHES = 0.062, 5.2
"""Width of a letter of a number, and of a panel without the names."""

_TITLE_INCHES, _LINE_INCHES = 0.3, 0.16
_NAME_LENGTH, _NOTE_LENGTH, _TITLE_LENGTH = 36, 125, 80
_MAX_BARS = 60
"""A panel of more bars shows the longest and the shortest half of so many."""


@dataclass(frozen=True)
class Bar:
    """A bar.

    Attributes:
        name: On its left.
        value: Its length, in the unit of the panel.
        text: On its right: the number as readers want it.
        pale: Draw it paler, as a part that is no fault.
        mark: What it is compared with, marked on it; None for nothing.
    """

    name: str
    value: float
    text: str
    pale: bool = False
    mark: float | None = None


@dataclass(frozen=True)
class Panel:
    """Bars on one scale.

    Attributes:
        title: What they show.
        unit: Below the scale.
        bars: From the top down.
        line: A value that is marked across all bars, with its name; None for none.
        end: Where the scale ends, if not behind the longest bar.
    """

    title: str
    unit: str
    bars: Sequence[Bar]
    line: tuple[float, str] | None = None
    end: float | None = None

    def shortened(self) -> Panel:
        """Return the panel with no more bars than a picture can show, and a title that says so."""
        if len(self.bars) <= _MAX_BARS:
            return self
        half = _MAX_BARS // 2
        ordered = sorted(self.bars, key=lambda bar: bar.value, reverse=True)
        title = f"{self.title}: the {half} longest and the {half} shortest of {len(ordered):,}"
        return Panel(title, self.unit, ordered[:half] + ordered[-half:], self.line, self.end)


def draw_panels(
    path: Path | str, panels: Sequence[Panel], *, title: str = "", notes: Sequence[str] = ()
) -> None:
    """Draw panels of bars into a file.

    Args:
        path: A file that ends in .png or .svg.
        panels: At least one, each with a bar.
        title: Above all of them.
        notes: Lines below them.

    Raises:
        ConfigError: See `aisio.pictures.picture_file.check_picture`.
        MissingExtraError: See `aisio.pictures.picture_file.check_picture`.
    """
    panels = [panel.shortened() for panel in panels]
    titles = textwrap.wrap(title, _TITLE_LENGTH)
    lines = [line for note in notes for line in textwrap.wrap(note, _NOTE_LENGTH)]
    bars = [len(panel.bars) for panel in panels]
    height = len(panels) * _PANEL_INCHES + sum(bars) * _BAR_INCHES
    height += _TITLE_INCHES * len(titles) + _LINE_INCHES * len(lines)
    with picture(path, height=height) as figure:
        grid = figure.add_gridspec(len(panels), 1, height_ratios=bars)
        for number, panel in enumerate(panels):
            draw_bars(figure.add_subplot(grid[number]), panel)
        if titles:
            figure.suptitle(plain("\n".join(titles)), fontsize=12)
        if lines:
            figure.supxlabel(plain("\n".join(lines)), fontsize=8, x=0.01, ha="left")


def draw_bars(axes: Axes, panel: Panel) -> None:
    """Draw the bars of a panel, with names, numbers, scale and unit."""
    bars = panel.bars
    places = range(len(bars))
    drawn = axes.barh(
        places,
        [bar.value for bar in bars],
        color=[_PALE if bar.pale else _DARK for bar in bars],
        edgecolor=_LINE,
        linewidth=0.6,
        height=0.72,
    )
    labels = axes.bar_label(drawn, labels=[plain(bar.text) for bar in bars], padding=4, fontsize=8)
    for label in labels:  # on the marks
        label.set(zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    for place, bar in enumerate(bars):
        if bar.mark is not None:
            axes.vlines(bar.mark, place - 0.45, place + 0.45, color=_LINE, linestyle="--")
    axes.set_yticks(places, [plain(_short(bar.name)) for bar in bars], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    _scale(axes, panel)
    axes.set_xlabel(plain(panel.unit), fontsize=8)
    axes.set_title(plain(panel.title), loc="left", fontsize=10)
    if panel.line is not None:
        value, name = panel.line
        axes.axvline(value, color=_LINE, linestyle="--", linewidth=1)
        axes.set_title(plain(f"- - {name}"), loc="right", fontsize=8)


def _scale(axes: Axes, panel: Panel) -> None:
    """Draw the scale as far as the bars reach, and leave room for the numbers behind them."""
    longest = max(max(bar.value, bar.mark or 0.0) for bar in panel.bars)
    end = panel.end or longest or 1.0
    text_inches = _LETTER_INCHES * max(len(bar.text) for bar in panel.bars) + 0.2
    axes.set_xlim(0, end / (1 - min(text_inches / _AXES_INCHES, 0.6)))
    ticks = [tick for tick in axes.get_xticks() if tick <= 1.001 * end]
    axes.set_xticks(ticks, [f"{tick:,.6g}" for tick in ticks])
    axes.tick_params(axis="x", labelsize=8)
    axes.spines["bottom"].set_bounds(0, end)
    axes.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    """Return a name that leaves room for the bars: its beginning and its end."""
    if len(name) <= _NAME_LENGTH:
        return name
    half = (_NAME_LENGTH - 3) // 2
    return f"{name[:half]}...{name[-half:]}"
