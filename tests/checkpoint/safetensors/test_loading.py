"""load_file: all tensors of a file, in the processor's memory or on a device."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

from aisio.checkpoint.safetensors import load_file, save_file
from aisio.checkpoint.safetensors.loading import read_tensors, read_to_device
from aisio.errors import CheckpointError, ConfigError, MissingExtraError
from aisio.formats.safetensors import encode_header
from tests.checkpoint.safetensors.stored import URL, CountingStore, bytes_of, data_of, file_of, same

CPU, META = torch.device("cpu"), torch.device("meta")
SIZES = {"a": 700_000, "b": 0, "c": 1, "d": 2_000_003}


def test_tensors_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    """With what was saved; they can be written to, and saved again."""
    url = f"file://{tmp_path}/a"
    tensors = {"b": torch.arange(5), "a": torch.tensor(2.5), "e": torch.zeros(2, 0)}
    save_file(tensors, url)
    found = load_file(url)
    assert [*found] == ["b", "a", "e"]
    assert all(same(found[name], tensors[name]) for name in tensors)
    found["b"] += 1
    save_file(found, url)
    assert load_file(url)["b"].tolist() == [1, 2, 3, 4, 5]


def test_an_empty_file_has_no_tensors(tmp_path: Path) -> None:
    """Nor is anything read for it."""
    save_file({}, f"file://{tmp_path}/a", {"k": "v"})
    assert load_file(f"file://{tmp_path}/a") == {}
    assert load_file(f"file://{tmp_path}/a", "meta") == {}


@pytest.mark.parametrize("staging_bytes", [7_919, 1_000_000, 1 << 30])
def test_tensors_pass_to_a_device_in_windows(staging_bytes: int) -> None:
    """Of any size, smaller than a tensor or larger than all of them."""
    with CountingStore({URL.name: file_of(SIZES)}).open_file() as file:
        infos = [*file.header.tensors.values()]
        found = read_to_device(file, infos, CPU, staging_bytes)
    assert {name: bytes_of(tensor) for name, tensor in found.items()} == {
        name: data_of(name, size) for name, size in SIZES.items()
    }
    assert all(one.untyped_storage().nbytes() == SIZES[name] for name, one in found.items())


def test_the_meta_device_needs_no_bytes() -> None:
    """Shapes and dtypes are in the header."""
    store = CountingStore({URL.name: file_of(SIZES)})
    with store.open_file() as file:
        found = read_tensors(file, [*file.header.tensors.values()], META)
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        name: (size,) for name, size in SIZES.items()
    }
    assert len(store.ranges) == 1


def test_a_part_of_the_tensors_is_read_alone() -> None:
    """Those that lie one behind the other."""
    store = CountingStore({URL.name: file_of(SIZES)})
    with store.open_file() as file:
        found = read_tensors(file, [file.header.tensors[name] for name in ("b", "c")], CPU)
    assert {name: bytes_of(tensor) for name, tensor in found.items()} == {"b": b"", "c": b"c"}
    assert sum((one.stop or 0) - one.start for one in store.ranges if one) < 1_000_000


def test_a_dtype_that_torch_lacks_is_told_before_anything_is_read() -> None:
    """And names the file."""
    start, _ = encode_header({"a": ("F6_E2M3", (4_000_000,))}, None)
    data = start + bytes(3_000_000)
    store = CountingStore({URL.name: data})
    with store.open_file() as file, pytest.raises(CheckpointError, match=f"^{URL}: tensor 'a' is"):
        read_tensors(file, [*file.header.tensors.values()], CPU)
    assert len(store.ranges) == 1


def test_arguments_are_checked(tmp_path: Path) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError, match="device='nowhere'"):
        load_file(f"file://{tmp_path}/missing", "nowhere")
    with pytest.raises(ConfigError, match="concurrency=0"):
        load_file(f"file://{tmp_path}/missing", concurrency=0)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the package is imported."""
    for name in [*sys.modules]:
        if name.startswith("aisio.checkpoint.safetensors"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"torch.*pip install 'torch>="):
        importlib.import_module("aisio.checkpoint.safetensors")
