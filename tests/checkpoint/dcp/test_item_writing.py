"""Items of a file: divided, written, and found again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
import xxhash
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner

from aisio import Checkpoint
from aisio.checkpoint.dcp.item_writing import is_plain, split_items, write_item
from aisio.checkpoint.dcp.stored_metadata import BLOCK_BYTES
from tests.checkpoint.dcp.states import state


def planned(content: dict[str, Any]) -> tuple[DefaultSavePlanner, list[Any]]:
    """Return a planner of a state, and the items that it writes."""
    planner = DefaultSavePlanner()
    planner.set_up_planner(content, None, True)
    return planner, list(planner.create_local_plan().items)


def test_files_are_of_about_one_size() -> None:
    """And none is empty."""
    content: dict[str, Any] = {str(size): torch.zeros(size) for size in range(1, 40)}
    _, items = planned(content | {"text": "a"})
    groups = split_items(items, 4)
    assert sorted(item.index.fqn for group in groups for item in group) == sorted(
        [*content, "text"]
    )
    sizes = [sum(int(item.index.fqn) for item in group if item.tensor_data) for group in groups]
    assert max(sizes) - min(sizes) <= 4
    assert [len(group) for group in split_items(items[:2], 4)] == [1, 1]
    assert split_items([], 4) == []


def test_each_item_is_what_torch_saves(tmp_path: Path) -> None:
    """With its digest, and the place of its memory where that is of use."""
    content = state(3)
    planner, items = planned(content)
    with Checkpoint().writer(f"file://{tmp_path}/f") as file:
        written = [write_item(file, "f", item, planner) for item in items]
    data = (tmp_path / "f").read_bytes()
    position, direct = 0, set()
    for result in written:
        info = result.storage_data
        part = data[info.offset : info.offset + info.length]
        assert (info.relative_path, info.offset, info.length) == (
            "f",
            position,
            result.size_in_bytes,
        )
        assert info.aisio_xxh3_64 == xxhash.xxh3_64_hexdigest(part)
        position += info.length
        found = torch.load(io.BytesIO(part), weights_only=False)
        expected = content.get(result.index.fqn)
        if isinstance(expected, torch.Tensor):
            assert torch.equal(found, expected)
            assert info.length < expected.nbytes + 4096
            if (place := vars(info).get("aisio_data")) is not None:
                direct.add(result.index.fqn)
                memory = expected.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
                assert part[place[0] : place[0] + place[1]] == memory
    assert position == len(data)
    assert direct == {"large", "half"}


def test_which_memory_is_that_of_the_file() -> None:
    """Not that of views that are computed, nor of tensors that are laid out otherwise."""
    plain = torch.zeros(3, 4)
    assert is_plain(plain)
    assert is_plain(torch.nn.Parameter(plain))
    assert not is_plain(plain.t())
    assert not is_plain(plain.to_sparse())
    assert not is_plain(torch.zeros(3, dtype=torch.complex64).conj())


def test_a_large_item_has_a_digest_of_each_block(tmp_path: Path) -> None:
    """However torch divides what it writes."""
    planner, items = planned({"large": torch.arange(300_000)})
    with Checkpoint().writer(f"file://{tmp_path}/f") as file:
        (written,) = [write_item(file, "f", item, planner) for item in items]
    data = (tmp_path / "f").read_bytes()
    assert written.storage_data.aisio_blocks == b"".join(
        xxhash.xxh3_64_digest(data[start : start + BLOCK_BYTES])
        for start in range(0, len(data), BLOCK_BYTES)
    )
