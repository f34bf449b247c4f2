"""The targets of a cluster as a picture."""

from __future__ import annotations

import pytest

from aisio.pictures.balance import draw_balance
from tests.svg import texts

pytest.importorskip("matplotlib")


def test_each_target_has_its_objects_bytes_and_capacity(tmp_path):
    """With the mean; what is not known is said."""
    gib = 1 << 30
    targets = [
        {"target": "t1", "objects": 30, "size_bytes": 3 * gib, "used_bytes": gib},
        {"target": "t2", "objects": 10, "size_bytes": gib, "used_bytes": None},
    ]
    targets[0]["available_bytes"] = 3 * gib
    draw_balance(tmp_path / "a.svg", targets, title="x", notes=["a note"])
    found = texts(tmp_path / "a.svg")
    assert {"t1", "t2", "30", "10", "3.00 GiB", "1.00 GiB", "25 % of 4 GiB"} <= set(found)
    assert {"- - mean, 20", "- - mean, 2.00 GiB", "a note", "percent"} <= set(found)
    assert found.count("not known") == 1


def test_capacity_alone(tmp_path):
    """Of a whole cluster no objects are counted."""
    draw_balance(tmp_path / "a.svg", [{"target": "t", "used_bytes": 1, "available_bytes": 3}])
    found = texts(tmp_path / "a.svg")
    assert "25 % of 0 GiB" in found
    assert "Objects" not in found
