"""How well an order is shuffled, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aisio.pictures.bars import Bar, Panel, draw_bars
from aisio.pictures.picture_file import picture, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_shuffle"]

_DARK, _LINE = "#1f5fb4", "#202428"


def draw_shuffle(
    path: Path | str,
    moves: Sequence[int],
    together: Sequence[tuple[str, float, float]],
    *,
    title: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Draw how far samples move, and which part of the neighbours stays together.

    Args:
        path: A file that ends in .png or .svg.
        moves: How many samples move by how much, in equal steps from 0 to the whole.
        together: Name, part, and part of a random permutation, of each kind of neighbours.
        title: Above the picture.
        notes: Lines below it.

    Raises:
        ConfigError: See `aisio.pictures.picture_file.check_picture`.
        MissingExtraError: See `aisio.pictures.picture_file.check_picture`.
    """
    with picture(path, height=5.4) as figure:
        grid = figure.add_gridspec(2, 1, height_ratios=[3, len(together)])
        _draw_moves(figure.add_subplot(grid[0]), moves)
        bars = [
            Bar(name, 100 * part, f"{part:.2%} (random: {random:.2%})", mark=100 * random)
            for name, part, random in together
        ]
        panel = Panel("Neighbours that are in one batch", "percent of the neighbours", bars)
        draw_bars(figure.add_subplot(grid[1]), panel)
        if title:
            figure.suptitle(plain(title), fontsize=12)
        if notes:
            figure.supxlabel(plain("\n".join(notes)), fontsize=8, x=0.01, ha="left")


def _draw_moves(axes: Axes, moves: Sequence[int]) -> None:
    count, total = len(moves), sum(moves)
    edges = [100 * step / count for step in range(count + 1)]
    parts = [100 * number / total for number in moves]
    axes.stairs(parts, edges, fill=True, color=_DARK, label="this order")
    # The distance of two random places x and y: density 2 (1 - |x - y|).
    random = [100 * (1 - (2 * step + 1) / (2 * count)) * 2 / count for step in range(count)]
    axes.stairs(random, edges, color=_LINE, linestyle="--", linewidth=1.5, label="random")
    axes.set_xlim(0, 100)
    axes.set_title("How far samples move between storage and epoch", loc="left", fontsize=10)
    axes.set_xlabel("percent of the whole", fontsize=8)
    axes.set_ylabel("percent of the samples", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
