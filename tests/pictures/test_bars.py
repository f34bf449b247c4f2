"""Panels of bars: each bar has its name and its number."""

from __future__ import annotations

import pytest

from aisio.pictures.bars import Bar, Panel, draw_panels
from tests.svg import texts

pytest.importorskip("matplotlib")


def test_names_numbers_units_and_notes_are_in_the_picture(tmp_path):
    """Of each panel; a name is text, and no mathematics."""
    panels = [
        Panel("Speed", "MB/s", [Bar("a_$x$", 2.0, "2 MB/s"), Bar("_b", 0.0, "none", pale=True)]),
        Panel("Size", "GiB", [Bar("c", 5.0, "5 GiB")], (2.5, "mean, 2.5")),
    ]
    draw_panels(tmp_path / "a.svg", panels, title="All", notes=["a note", "word " * 40])
    found = texts(tmp_path / "a.svg")
    assert {"All", "Speed", "Size", "MB/s", "GiB", "a_$x$", "2 MB/s", "none", "5 GiB"} <= set(found)
    assert "- - mean, 2.5" in found
    assert "a note" in found
    assert max(map(len, found)) <= 125


def test_a_panel_of_nothing_but_zeros_is_drawn(tmp_path):
    """A job that never waited."""
    draw_panels(tmp_path / "a.svg", [Panel("Waits", "s", [Bar("a", 0.0, "0 s")])])
    assert "0 s" in texts(tmp_path / "a.svg")


def test_of_many_bars_the_extremes_are_shown(tmp_path):
    """And the title says so; long names keep their ends."""
    bars = [Bar(f"{number:03}-" + "n" * 60 + "-end", number, f"{number} s") for number in range(99)]
    draw_panels(tmp_path / "a.svg", [Panel("Waits", "s", bars)])
    found = texts(tmp_path / "a.svg")
    assert "Waits: the 30 longest and the 30 shortest of 99" in found
    assert {"98 s", "69 s", "29 s", "0 s"} <= set(found)
    assert not {"68 s", "30 s"} & set(found)
    assert all(len(name) <= 36 for name in found if name.endswith("-end"))
