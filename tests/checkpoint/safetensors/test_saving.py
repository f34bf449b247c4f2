"""save_file: what is written, and what is refused in words."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio.checkpoint.safetensors import load_file, save_file
from aisio.checkpoint.safetensors.saving import check_tensors
from aisio.errors import ConfigError, UrlError
from tests.checkpoint.safetensors.stored import same

SHARED = torch.zeros(10)
REFUSED = {
    "tensors=list: expected a dict": [SHARED],
    "'a' is of type int, not a tensor": {"a": 1},
    "tensor 'a' is sparse": {"a": torch.zeros(2).to_sparse()},
    "tensor 'a' is of dtype torch.complex128": {"a": torch.zeros(2, dtype=torch.complex128)},
    "tensor 'a' has no memory of its own": {"a": torch.zeros(2, device="meta")},
    "tensor 'a' is not contiguous": {"a": torch.zeros(2, 3).t()},
    "tensors a, b share memory": {"a": SHARED, "b": SHARED},
    "tensors b, c share memory": {"a": SHARED[:3], "b": SHARED[3:6], "c": SHARED[5:]},
    "tensors a, c share memory": {"a": SHARED, "b": SHARED[:0], "c": SHARED[2:3]},
    "tensors a, t share memory": {"a": SHARED, "t": SHARED.reshape(2, 5).t()},
}


@pytest.mark.parametrize(("problem", "tensors"), REFUSED.items(), ids=[*REFUSED])
def test_what_cannot_be_saved_is_told(tmp_path: Path, problem: str, tensors: Any) -> None:
    """And nothing is written."""
    with pytest.raises(ConfigError, match=problem):
        save_file(tensors, f"file://{tmp_path}/a")
    assert [*tmp_path.iterdir()] == []


def test_parts_of_one_storage_that_do_not_overlap_are_saved() -> None:
    """As what load_file returns is; tensors without elements share nothing."""
    check_tensors({"a": SHARED[:5], "b": SHARED[5:], "c": SHARED[:0], "d": SHARED[:0]})


def test_the_old_file_stays_where_a_new_one_is_refused(tmp_path: Path) -> None:
    """Also where its name is none."""
    url = f"file://{tmp_path}/a"
    info = save_file({"a": torch.ones(2)}, url)
    assert info.size_bytes == (tmp_path / "a").stat().st_size
    with pytest.raises(ConfigError, match="keys and values are texts"):
        save_file({"a": torch.zeros(2)}, url, {"step": 1})  # type: ignore[dict-item]
    assert load_file(url)["a"].tolist() == [1, 1]
    with pytest.raises(UrlError):
        save_file({}, f"file://{tmp_path}/")


def test_views_that_are_computed_when_they_are_read(tmp_path: Path) -> None:
    """Are saved with their own values; the strides of one element may be any."""
    numbers = torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64)
    one = torch.zeros(4, 6)[:1, :1]
    tensors = {"conj": numbers.conj(), "grad": torch.ones(2, requires_grad=True), "one": one}
    save_file(tensors, f"file://{tmp_path}/a")
    found = load_file(f"file://{tmp_path}/a")
    assert found["conj"].tolist() == [1 - 2j, 3 + 4j]
    assert same(found["grad"], torch.ones(2))
    assert same(found["one"], torch.zeros(1, 1))


def test_the_tensors_are_not_copied(tmp_path: Path) -> None:
    """Memory is that of the parts, whatever the size of the tensors."""
    tensors = {f"{number}": torch.zeros(4_000_000) for number in range(3)}
    tracemalloc.start()
    try:
        save_file(tensors, f"file://{tmp_path}/a", part_bytes=1_000_000, concurrency=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000
    assert (tmp_path / "a").stat().st_size > 48_000_000
