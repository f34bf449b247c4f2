"""Tensors over memory that holds the bytes of a safetensors file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from aisio.errors import CheckpointError, ConfigError, NotSupportedError
from aisio.formats.safetensors import TensorInfo

__all__ = [
    "DTYPES",
    "byte_view",
    "bytes_of",
    "find_device",
    "new_memory",
    "tensor_of_bytes",
    "tensors_in_memory",
    "torch_shape",
]

_TORCH_NAMES = {
    "BOOL": "bool",
    "F4": "float4_e2m1fn_x2",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
DTYPES: Mapping[str, torch.dtype] = {
    key: getattr(torch, name) for key, name in _TORCH_NAMES.items() if hasattr(torch, name)
}
"""The dtypes of safetensors that this torch has. None has those of 6 bits."""


def find_device(device: str | int | torch.device) -> torch.device:
    """Return the device that an argument means; a number is that of a GPU.

    Raises:
        ConfigError: There is no such device.
    """
    if sys.byteorder != "little":
        raise NotSupportedError("safetensors files are little-endian, and this machine is not")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"device={device!r}: {error}".splitlines()[0]) from error
    return found


def torch_shape(info: TensorInfo, url: str) -> tuple[torch.dtype, tuple[int, ...]]:
    """Return dtype and shape as torch has them.

    Raises:
        CheckpointError: This torch has no such tensor.
    """
    dtype = DTYPES.get(info.dtype)
    if dtype is None:
        name = _TORCH_NAMES.get(info.dtype)
        hint = f"a newer one has it as torch.{name}" if name else "no version of torch has it"
        raise CheckpointError(
            f"{url}: tensor {info.name!r} is of dtype {info.dtype}, which torch "
            f"{torch.__version__} does not have; {hint}",
            url=url,
        )
    if info.dtype != "F4":
        return dtype, info.shape
    if not info.shape or info.shape[-1] % 2:
        raise CheckpointError(
            f"{url}: tensor {info.name!r} is F4 of shape {list(info.shape)}; torch has two "
            f"elements of it in a byte, so that the last dimension must be even",
            url=url,
        )
    return dtype, (*info.shape[:-1], info.shape[-1] // 2)


def new_memory(size_bytes: int, *, pinned: bool = False) -> torch.Tensor:
    """Return new memory as a tensor of bytes, which are not defined."""
    return torch.empty(size_bytes, dtype=torch.uint8, device="cpu", pin_memory=pinned)


def bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return the bytes of a contiguous tensor as a tensor, without a copy."""
    flat = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    start = tensor.storage_offset() * tensor.dtype.itemsize
    size = tensor.numel() * tensor.dtype.itemsize
    # Not by view(): the strides of a tensor of one element may be any.
    return flat.set_(tensor.untyped_storage(), start, (size,), (1,))


def byte_view(memory: torch.Tensor) -> memoryview:
    """Return a tensor of bytes in the processor's memory as a view."""
    view: Any = memory.numpy()
    return memoryview(view)


def tensor_of_bytes(memory: torch.Tensor, info: TensorInfo, url: str) -> torch.Tensor:
    """Return the tensor that is all of some memory, without a copy."""
    dtype, shape = torch_shape(info, url)
    tensor = torch.empty(0, dtype=dtype, device=memory.device)
    with torch.no_grad():
        return tensor.set_(memory.untyped_storage(), 0, shape, _strides(shape))


def tensors_in_memory(
    memory: torch.Tensor, infos: Iterable[TensorInfo], url: str
) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, without a copy.

    Each has a storage of its own, so that `torch.save` of one does not write all of them; it keeps
    all the memory alive. Those that are not aligned, as other writers may leave them, are copied.

    Args:
        memory: The bytes behind the header.
        infos: The tensors.
        url: The file, for errors.
    """
    storage, found = memory.untyped_storage(), {}
    for info in infos:
        dtype, shape = torch_shape(info, url)
        if not info.size_bytes:
            found[info.name] = torch.empty(shape, dtype=dtype, device="cpu")
            continue
        part = storage[info.start : info.stop]
        if info.start % dtype.itemsize:
            part = part.clone()
        tensor = torch.empty(0, dtype=dtype, device="cpu")
        found[info.name] = tensor.set_(part, 0, shape, _strides(shape))
    return found


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= max(1, size)
    return tuple(strides)
