"""sizes_of(): sizes of samples from where they are known, and an error where they are not."""

from __future__ import annotations

from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Subset, TensorDataset

from aisio import AISMapDataset, AISShardDataset
from aisio.errors import ConfigError
from aisio.training.sample_sizes import sizes_of
from tests.indexed import local
from tests.tars import pack

THREE = TensorDataset(torch.zeros(3))


@pytest.mark.parametrize(
    "sizes",
    [
        [5, 0, 7],
        (5, 0, 7),
        array("q", [5, 0, 7]),
        np.array([5, 0, 7], np.uint16),
        np.array([5, 1, 0, 1, 7])[::2],
        torch.tensor([5, 0, 7]),
        memoryview(array("I", [5, 0, 7])),
        lambda index: [5, 0, 7][index],
        lambda index: np.uint8([5, 0, 7][index]),
    ],
)
def test_sizes_may_be_of_many_kinds(sizes: Any) -> None:
    """All become the same array."""
    found = sizes_of(THREE, sizes)
    assert found.dtype == np.int64
    assert found.tolist() == [5, 0, 7]
    assert found.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([1, 2], r"a whole number for each of its 3 samples is needed.*\(2,\)"),
        ([1.0, 2.0, 3.0], "an array of float64"),
        ([[1], [2], [3]], r"\(3, 1\)"),
        ("abc", r"\(\)"),
        ([1, -2, 3], r"sizes\[1\] is -2: 0 or more"),
        (lambda index: 0.5, "a size is no whole number"),
        (lambda index: None, "a size is no whole number"),
        (None, "TensorDataset does not tell how large its samples are: pass sizes="),
    ],
)
def test_what_is_no_size_is_refused(sizes: Any, message: str) -> None:
    """With what is needed instead."""
    with pytest.raises(ConfigError, match=message):
        sizes_of(THREE, sizes)


def test_no_sample_has_no_size() -> None:
    """An empty list is an array of floats to numpy."""
    assert sizes_of(TensorDataset(torch.zeros(0)), []).tolist() == []


def test_objects_have_the_sizes_of_their_listing(tmp_path: Path) -> None:
    """No object is read; nor for a part of the dataset."""
    for number in range(4):
        (tmp_path / f"{number}").write_bytes(b"x" * number * 10)
    dataset = AISMapDataset(tmp_path)
    assert sizes_of(dataset).tolist() == [0, 10, 20, 30]
    assert sizes_of(Subset(Subset(dataset, [3, 1, 2]), [2, 0])).tolist() == [20, 30]
    assert dataset.stats()["bytes_read"] == 0


def test_a_listing_without_sizes_is_refused(tmp_path: Path) -> None:
    """It would take a request for each object."""
    (tmp_path / "a").write_bytes(b"x")
    dataset = AISMapDataset([[f"file://{tmp_path}/a"]])
    with pytest.raises(ConfigError, match="<AISMapDataset> the listing has no size of .*a"):
        sizes_of(dataset)


def test_samples_have_the_sizes_of_their_index(tmp_path: Path) -> None:
    """Headers and padding included, as they are read."""
    members = [("0.a", b"x"), ("1.a", b"x" * 513), ("1.b", b"x"), ("2.a", b"x")]
    index, _ = local(tmp_path, {"a.tar": pack(*members[:3]), "b.tar": pack(members[3])})
    dataset = AISShardDataset(tmp_path, index=index)
    assert sizes_of(dataset).tolist() == [1024, 2560, 1024]


def test_a_compressed_shard_has_no_sizes(tmp_path: Path) -> None:
    """Its samples have no place of their own."""
    import gzip

    index, _ = local(tmp_path, {"a.tar.gz": gzip.compress(pack(("0.a", b"x")))})
    with pytest.raises(ConfigError, match=r"<AISShardDataset> .*a\.tar\.gz, which cannot be read"):
        sizes_of(AISShardDataset(tmp_path, index=index))


def test_a_dataset_of_the_official_class_has_its_objects() -> None:
    """As its own sampler takes them."""

    class Official(TensorDataset):
        def get_obj_list(self) -> list[Any]:
            return [SimpleNamespace(props_cached=SimpleNamespace(size=size)) for size in (5, 6, 7)]

    assert sizes_of(Official(torch.zeros(3))).tolist() == [5, 6, 7]
