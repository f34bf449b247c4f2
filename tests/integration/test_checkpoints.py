"""Checkpoints, safetensors and models on the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from aisio import Bucket, Checkpoint, MemoryOptions, ModelDirectory
from aisio.checkpoint import StorageReader, StorageWriter, latest
from aisio.checkpoint.safetensors import load_file, safe_open, save_file


def state(offset: float = 0.0) -> dict[str, torch.Tensor]:
    """Return tensors of 4 MB and of 4 KB."""
    return {"large": torch.arange(1_000_000.0) + offset, "small": torch.arange(1000.0) + offset}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Compare all tensors."""
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_checkpoints_in_parts(bucket: Bucket) -> None:
    """A large one by a multipart upload, a small one by one request; the new replaces the old."""
    url, client = f"ais://{bucket.name}/a.pt", bucket.client
    for expected, part_bytes in ((state(), 1 << 20), (state(1.0), 1 << 24)):
        checkpoint = Checkpoint(client=client, part_bytes=part_bytes)
        with checkpoint.writer(url) as file:
            torch.save(expected, file)
        with checkpoint.reader(url) as file:
            assert_equal(torch.load(file), expected)


@pytest.mark.filterwarnings("ignore:torch.distributed is")
def test_distributed_checkpoints(bucket: Bucket) -> None:
    """Saved twice under one name; the files of the first are gone."""
    url, client = f"ais://{bucket.name}/run/step-1", bucket.client
    for offset in (0.0, 1.0):
        save(state(offset), storage_writer=StorageWriter(url, client=client), no_dist=True)
    found = state(7.0)
    load(found, storage_reader=StorageReader(url, client=client), no_dist=True)
    assert_equal(found, state(1.0))
    assert latest(f"ais://{bucket.name}/run/", client=client) == url
    assert sum(info.name.endswith(".distcp") for info in bucket.list("run/step-1/")) == 1


def test_safetensors(bucket: Bucket) -> None:
    """Whole, and one tensor."""
    url, client = f"ais://{bucket.name}/m.safetensors", bucket.client
    save_file(state(), url, client=client)
    assert_equal(load_file(url, client=client), state())
    with safe_open(url, client=client) as file:
        assert torch.equal(file.get_tensor("small"), state()["small"])


def test_model_folders(bucket: Bucket, tmp_path: Path) -> None:
    """The large file is in memory, the small one is real."""
    url, client = f"ais://{bucket.name}/model/", bucket.client
    bucket.object("model/config.json").put(b"{}")
    save_file(state(), f"{url}model.safetensors", client=client)
    (tmp_path / "memory").mkdir()
    memory = MemoryOptions(from_bytes=1_000_000, folder=tmp_path / "memory")
    with ModelDirectory(url, tmp_path / "model", client=client, memory=memory) as directory:
        assert (directory.path / "config.json").read_bytes() == b"{}"
        assert_equal(load_file(f"file://{directory.path}/model.safetensors"), state())
