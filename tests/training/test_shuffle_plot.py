"""plot_shuffle."""

from __future__ import annotations

import pytest
import torch

import aisio
from aisio.errors import ConfigError
from tests.svg import texts

pytest.importorskip("matplotlib")


def test_the_picture_has_the_numbers_that_are_returned(tmp_path):
    """Of a Loader two epochs; of batches that come once, one."""
    loader = aisio.Loader(torch.arange(1000), batch_size=10, shuffle=True)
    found = aisio.plot_shuffle(loader, tmp_path / "a.svg", title="Order")
    assert found == aisio.shuffle_quality(loader)
    drawn = texts(tmp_path / "a.svg")
    for part, random in (
        (found.stored_together, found.random_stored_together),
        (found.stay_together, found.random_stay_together),
    ):
        assert f"{part:.2%} (random: {random:.2%})" in drawn
    assert any("1,000 of 1,000 samples in 100 batches" in text for text in drawn)
    aisio.plot_shuffle(iter([[0, 1], [2, 3]]), tmp_path / "b.svg")
    assert "of the last epoch's neighbours" not in texts(tmp_path / "b.svg")


def test_a_wrong_file_is_an_error_before_the_order_is_computed(tmp_path):
    """Nothing is iterated."""
    with pytest.raises(ConfigError, match="a picture is a"):
        aisio.plot_shuffle(iter(()), tmp_path / "a.gif")
