"""`aisio bench` as a picture."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.pictures.trials import draw_trials
from tests.svg import texts

pytest.importorskip("matplotlib")


def trial(work: str, **changes: Any) -> dict[str, Any]:
    """Return a trial as `aisio bench --json` writes it."""
    figures = {
        "work": work,
        "items": 10,
        "size_bytes": 0,
        "items_per_s": 2000.0,
        "mb_per_s": 0.0,
        "first_s": 0.001,
        "p50_s": None,
        "p90_s": None,
        "p99_s": None,
        "wall_s": 0.005,
        "cpu_s": 0.001,
        "limited_by": "store",
    }
    return figures | changes


def test_each_kind_of_work_has_its_rates_and_times(tmp_path):
    """In items, in bytes where there are some, in time, and latencies of objects."""
    latencies = {"p50_s": 0.002, "p90_s": 0.003, "p99_s": 0.004}
    objects = trial("objects", size_bytes=10**6, mb_per_s=200.0, **latencies)
    draw_trials(tmp_path / "a.svg", [trial("list"), objects], title="Reading x")
    found = set(texts(tmp_path / "a.svg"))
    assert {"Reading x", "2,000/s of 10", "200.0 MB/s", "100.0 µs", "400.0 µs"} <= found
    assert {"2.00 ms", "3.00 ms", "4.00 ms", "Latency of objects", "milliseconds"} <= found


def test_a_listing_alone_has_no_bytes(tmp_path):
    """No empty panel."""
    draw_trials(tmp_path / "a.svg", [trial("list", limited_by="cpu")])
    found = texts(tmp_path / "a.svg")
    assert "Throughput" not in found
    assert "limited by: entries of the listing by this CPU" in found
