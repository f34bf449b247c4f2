"""How well an order is shuffled, drawn."""

from __future__ import annotations

import pytest

from aisio.pictures.shuffle import draw_shuffle
from tests.svg import texts

pytest.importorskip("matplotlib")


def test_moves_and_neighbours_are_drawn_beside_a_random_order(tmp_path):
    """With axes and numbers."""
    together = [("stored", 0.9, 0.01), ("last epoch's", 0.5, 0.02)]
    draw_shuffle(tmp_path / "a.svg", [4, 3, 2, 1], together, title="x", notes=["a note"])
    found = set(texts(tmp_path / "a.svg"))
    assert {"90.00% (random: 1.00%)", "50.00% (random: 2.00%)", "x", "a note"} <= found
    assert {"this order", "random", "percent of the whole", "percent of the samples"} <= found


def test_no_neighbours_together(tmp_path):
    """All bars are empty."""
    draw_shuffle(tmp_path / "a.svg", [1], [("stored", 0.0, 0.0)])
    assert "0.00% (random: 0.00%)" in texts(tmp_path / "a.svg")
