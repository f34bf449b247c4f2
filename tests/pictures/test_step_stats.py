"""What `stats()` says, as a picture."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.errors import ConfigError
from aisio.pictures.step_stats import plot_stats
from tests.svg import texts

pytest.importorskip("matplotlib")

LOADER = {
    "batches": 10,
    "wait_s": 3.0,
    "step_s": 5.0,
    "wait_for_workers_s": 1.0,
    "unpack_s": 0.5,
    "workers_read_s": 8.0,
    "workers_collate_s": 2.0,
    "pin_s": 0.0,
    "replay_step_s": 0.0,
}
STAGES = {"list_s": 0.0, "connect_s": 0.0, "wait_s": 1.0, "read_s": 0.5, "verify_s": 0.0}


def dataset(**changes: Any) -> dict[str, Any]:
    """Return the stats of a dataset."""
    own = {"items": 20, "skipped": 0, "seconds": 2.5, "bytes_read": 10**6, "retries": 3}
    workers = {0: own | {"seconds": 2.0}, 1: own | {"seconds": 0.5}}
    return own | STAGES | {"parse_s": 0.0, "decode_s": 0.5, "workers": workers} | changes


class WithStats:
    """A Loader or dataset."""

    def __init__(self, stats: dict[str, Any], dataset: Any = None) -> None:
        self._stats = stats
        self.dataset = dataset

    def stats(self) -> dict[str, Any]:
        """Return what was counted."""
        return self._stats


def test_the_time_of_a_loaders_steps(tmp_path):
    """The trainer's own, its waiting, and what the workers did."""
    assert plot_stats(WithStats(LOADER), tmp_path / "a.svg", title="Job") == LOADER
    found = set(texts(tmp_path / "a.svg"))
    assert {"Job", "The trainer, 10 batches", "All workers meanwhile, in sum", "seconds"} <= found
    assert {
        "5.00 s, 62%, 500.00 ms a batch",
        "1.00 s, 12%, 100.00 ms a batch",
        "500.00 ms, 6%, 50.00 ms a batch",
        "1.50 s, 19%, 150.00 ms a batch",
        "8.00 s, 80%, 800.00 ms a batch",
    } <= found


def test_a_loader_shows_its_dataset_as_well(tmp_path):
    """If it counts; the stages of its reads, and its workers."""
    plot_stats(WithStats(LOADER, WithStats(dataset())), tmp_path / "a.svg")
    found = set(texts(tmp_path / "a.svg"))
    assert {"The trainer, 10 batches", "Reading 20 items, all threads in sum"} <= found
    assert {"1.00 s, 40%, 50.00 ms an item", "none", "Time of each worker"} <= found
    assert "2.00 s, 20 items, 1 MB, 3 retries" in found
    assert "- - mean, 1.25 s" in found


def test_a_dataset_alone_by_its_numbers(tmp_path):
    """Where nothing else took time, there is no such bar, and one worker needs no panel."""
    plot_stats(dataset(seconds=1.0, workers={0: {}}), tmp_path / "a.svg")
    found = texts(tmp_path / "a.svg")
    assert "other: transforms, the caller, all else" not in found
    assert "Time of each worker" not in found


def test_a_loader_without_workers(tmp_path):
    """Its waiting is reading."""
    stats = LOADER | {"workers_read_s": 0.0, "workers_collate_s": 0.0}
    plot_stats(stats, tmp_path / "a.svg")
    found = texts(tmp_path / "a.svg")
    assert "wait: reading" in found
    assert "All workers meanwhile, in sum" not in found


@pytest.mark.parametrize(
    ("stats", "error"),
    [
        (LOADER | {"batches": 0}, "nothing was read yet"),
        (dataset(items=0), "nothing was read yet"),
        ({"a": 1}, "the stats of a Loader or dataset are needed"),
    ],
)
def test_nothing_to_draw_is_an_error(tmp_path, stats, error):
    """And leaves no file."""
    with pytest.raises(ConfigError, match=error):
        plot_stats(stats, tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []
