"""Memory as tensors: dtypes, shapes, and what torch lacks."""

from __future__ import annotations

import pytest
import torch

from aisio.checkpoint.safetensors.tensors import (
    DTYPES,
    byte_view,
    bytes_of,
    find_device,
    new_memory,
    tensor_of_bytes,
    tensors_in_memory,
    torch_shape,
)
from aisio.errors import CheckpointError, ConfigError
from aisio.formats.safetensors import DTYPE_BITS, TensorInfo

CPU = torch.device("cpu")


def test_every_dtype_has_its_size() -> None:
    """As the format says; F4 has two elements in a byte, and torch has none of 6 bits."""
    assert DTYPE_BITS.keys() - DTYPES.keys() <= {"F6_E2M3", "F6_E3M2", "F4", "F8_E8M0"}
    for name, dtype in DTYPES.items():
        assert dtype.itemsize * 8 == DTYPE_BITS[name] * (2 if name == "F4" else 1)


def test_what_torch_lacks_is_told() -> None:
    """With the tensor and its dtype."""
    with pytest.raises(CheckpointError, match="u: tensor 'a' is of dtype F6_E2M3, which torch .* "):
        torch_shape(TensorInfo("a", "F6_E2M3", (4,), 0, 3), "u")


def test_f4_is_packed() -> None:
    """Its last dimension counts elements, torch's bytes."""
    if "F4" not in DTYPES:
        pytest.skip("this torch has no F4")
    assert torch_shape(TensorInfo("a", "F4", (3, 4), 0, 6), "u")[1] == (3, 2)
    with pytest.raises(CheckpointError, match="the last dimension must be even"):
        torch_shape(TensorInfo("a", "F4", (4, 3), 0, 6), "u")


def test_a_device_is_found_or_told() -> None:
    """Before anything is read."""
    assert find_device("cpu") == find_device(CPU) == CPU
    for wrong in ("nowhere", "cuda:4096", None):
        with pytest.raises(ConfigError, match=f"device={wrong!r}: "):
            find_device(wrong)  # type: ignore[arg-type]


def test_the_bytes_of_a_tensor_are_its_memory() -> None:
    """From where it begins in its storage, whatever the strides of a single element."""
    numbers = torch.arange(12, dtype=torch.int16).reshape(3, 4)
    assert bytes_of(numbers[1:2, 2:3]).tolist() == [6, 0]
    bytes_of(numbers)[1] = 1
    assert numbers[0, 0] == 256


def test_tensors_share_memory_but_no_storage() -> None:
    """So that torch.save of one does not write all of them; what is not aligned is copied."""
    memory = new_memory(16)
    byte_view(memory)[:] = bytes(range(16))
    infos = [
        TensorInfo("a", "U8", (3,), 0, 3),
        TensorInfo("e", "F32", (0, 2), 3, 3),
        TensorInfo("b", "I32", (1, 2), 3, 11),
        TensorInfo("c", "U8", (5,), 11, 16),
    ]
    found = tensors_in_memory(memory, infos, "u")
    assert found["a"].tolist() == [0, 1, 2]
    assert found["e"].shape == (0, 2)
    assert found["b"].tolist() == [[0x06050403, 0x0A090807]]
    assert found["c"].untyped_storage().nbytes() == 5
    assert found["c"].data_ptr() == memory.data_ptr() + 11
    assert found["b"].data_ptr() % 4 == 0
    memory[11] = 99
    assert found["c"].tolist() == [99, 12, 13, 14, 15]


def test_all_of_some_memory_is_a_tensor() -> None:
    """On its device, without a copy; a scalar too."""
    memory = torch.tensor([0, 0, 128, 63], dtype=torch.uint8)
    tensor = tensor_of_bytes(memory, TensorInfo("a", "F32", (), 0, 4), "u")
    assert (tensor.item(), tensor.shape) == (1.0, ())
    assert tensor.data_ptr() == memory.data_ptr()
