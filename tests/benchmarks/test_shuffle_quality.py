"""shuffle_quality: its measures on orders whose quality is known, and each order is whole."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: F401
import webdataset  # noqa: F401


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the program as a module; its folder is no package."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module("shuffle_quality")


@pytest.fixture
def corpus(bench: Any) -> Any:
    """Return 200 samples."""
    return bench.Corpus(shards=10, shard_samples=20, sample_bytes=100_000, batch_size=10, workers=2)


def test_the_order_of_storage_is_the_worst(bench: Any, corpus: Any) -> None:
    """All neighbours stay together."""
    order = np.arange(corpus.samples)
    found = bench.quality(order, order, corpus)
    assert found.rank_correlation == pytest.approx(1)
    assert found.shards_in_batch == 1
    assert found.stored_together == found.stay_together == pytest.approx(0.9, abs=0.01)


def test_a_permutation_is_as_good_as_can_be(bench: Any, corpus: Any) -> None:
    """Nearly no neighbours stay together."""
    first, second = (np.random.default_rng(seed).permutation(200) for seed in range(2))
    found = bench.quality(first, second, corpus)
    assert found.rank_correlation < 0.2
    assert found.shards_in_batch > 5
    assert found.stored_together < 0.15
    assert found.stay_together < 0.15


def test_workers_take_turns(bench: Any, corpus: Any) -> None:
    """A batch of each; who has none left is passed over."""
    batch = np.arange(10)
    order = bench.interleaved([np.concatenate([batch, batch + 10, batch + 20]), batch + 30], corpus)
    assert order[::10].tolist() == [0, 30, 10, 20]


@pytest.mark.parametrize("kind", ["full", "aisio", "webdataset"])
def test_an_order_has_each_sample_once(bench: Any, corpus: Any, kind: str) -> None:
    """And another one in each epoch."""
    orders = [order for name, order in bench.ORDERS.items() if name.startswith(kind)]
    assert orders
    for order in orders:
        first, second = order(corpus, 0), order(corpus, 1)
        assert sorted(first) == sorted(second) == list(range(200))
        assert first.tolist() != second.tolist()


def test_a_peer_that_is_not_installed_is_left_out(bench: Any, corpus: Any) -> None:
    """With a line that says so."""

    def missing(corpus: Any, epoch: int) -> Any:
        raise ImportError("No module named 'peer'")

    orders = {"peer": missing, "stored": lambda corpus, epoch: np.arange(corpus.samples)}
    found = dict(bench.rows(corpus, orders))
    assert found["peer"] == "left out: No module named 'peer'"
    assert bench.table(list(found.items())).splitlines()[2:] == [
        "| stored | 1.000 | 1 | 90.45% | 90.45% |",
        "peer left out: No module named 'peer'",
    ]
