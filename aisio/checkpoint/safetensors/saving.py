"""save_file: tensors to a safetensors file of any store, as it is streamed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

import torch

from aisio.checkpoint.safetensors.opened_file import Reach
from aisio.checkpoint.safetensors.tensors import DTYPES, byte_view, bytes_of
from aisio.client.client import Client
from aisio.errors import ConfigError, NotSupportedError
from aisio.escapes import first_few
from aisio.formats.safetensors import encode_header
from aisio.records import ObjectInfo
from aisio.stores import DirectSettings
from aisio.transport.writer import CONCURRENCY, PART_BYTES, WriteOptions
from aisio.urls import ObjectUrl

__all__ = ["save_file"]

COPIED_BYTES = 16 * 1024 * 1024
"""So many bytes of a tensor on another device are copied at a time."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def save_file(
    tensors: Mapping[str, torch.Tensor],
    url: str,
    metadata: Mapping[str, str] | None = None,
    *,
    client: Client | None = None,
    endpoint: str | None = None,
    direct: bool | DirectSettings = False,
    part_bytes: int = PART_BYTES,
    concurrency: int = CONCURRENCY,
) -> ObjectInfo:
    """Save tensors to a safetensors file, with the bytes that `safetensors.torch.save_file` writes.

    The file appears when it is complete; until then, and if anything fails, the old one stays.
    Parts go up while the next ones are collected: besides the tensors, at most `concurrency + 3`
    parts are in memory.

    Args:
        tensors: The tensors by name: contiguous, dense, each with memory of its own.
        url: The object, as in "ais://bucket/name", "s3://bucket/name" or "file:///folder/name".
        metadata: Texts to be kept in the file.
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        part_bytes: How many bytes a request carries; from 5 MiB on for clouds.
        concurrency: How many requests are sent at once.

    Returns:
        What the store says of the object.

    Raises:
        ConfigError: A tensor, a name or the metadata cannot be saved; the text says why.
        StorageError: The object could not be stored.
    """
    if sys.byteorder != "little":
        raise NotSupportedError("safetensors files are little-endian, and this machine is not")
    reach, parsed = Reach(client, endpoint, direct, concurrency), ObjectUrl.parse(url)
    check_tensors(tensors)
    specs = {name: _spec(name, tensor) for name, tensor in tensors.items()}
    head, header = encode_header(specs, metadata)
    options = WriteOptions(part_bytes, concurrency)
    with reach.store(parsed).writer(parsed.require_object(), options) as file:
        file.write(head)
        for name in header.tensors:
            for piece in _bytes_of(tensors[name]):
                file.write(piece)
    assert file.info is not None  # it is closed
    return file.info


def check_tensors(tensors: Mapping[str, torch.Tensor]) -> None:
    """Check that tensors can be saved without loss, and would be loaded as they are.

    Raises:
        ConfigError: They cannot; the text says which and what to do.
    """
    if not isinstance(tensors, Mapping):
        raise ConfigError(f"tensors={type(tensors).__name__}: expected a dict of tensors by name")
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise ConfigError(
                f"{name!r} is of type {type(tensor).__name__}, not a tensor: what is no tensor can "
                f"be kept in `metadata`, as a text"
            )
        if tensor.layout != torch.strided:
            raise ConfigError(
                f"tensor {name!r} is sparse ({tensor.layout}), and a safetensors file holds dense "
                f"ones: save its to_dense(), which may be much larger"
            )
        if tensor.dtype not in _NAMES:
            raise ConfigError(
                f"tensor {name!r} is of dtype {tensor.dtype}, which a safetensors file cannot hold"
            )
        if tensor.device.type == "meta" or (tensor.numel() and not _address(tensor)):
            raise ConfigError(
                f"tensor {name!r} has no memory of its own: it is on the meta device, or is one "
                f"that stands for others, as a DTensor does; save its full_tensor()"
            )
    _check_memory(tensors)


def _check_memory(tensors: Mapping[str, torch.Tensor]) -> None:
    for names in _sharing(tensors):
        raise ConfigError(
            f"tensors {first_few(names)} share memory: they would be saved twice and loaded apart. "
            f"Save one of them and tie them again after loading, or save a clone() of each"
        )
    for name, tensor in tensors.items():
        if not tensor.is_contiguous():
            raise ConfigError(
                f"tensor {name!r} is not contiguous: save its contiguous(); where it is a part of "
                f"a larger tensor, that one may be what you want to save"
            )


def _sharing(tensors: Mapping[str, torch.Tensor]) -> Iterator[Sequence[str]]:
    """Yield the names of each two tensors whose memory overlaps."""
    areas = sorted(
        (str(tensor.device), _address(tensor), _end(tensor), name)
        for name, tensor in tensors.items()
        if tensor.numel()
    )
    end, before = ("", 0), ""
    for device, start, stop, name in areas:
        if (device, start) < end and device == end[0]:
            yield [before, name]
        if (device, stop) > end or device != end[0]:
            end, before = (device, stop), name


def _address(tensor: torch.Tensor) -> int:
    try:
        return tensor.data_ptr()
    except RuntimeError:  # a tensor that stands for others
        return 0


def _end(tensor: torch.Tensor) -> int:
    """Return where the memory of a tensor ends, that of one that is not contiguous too."""
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return _address(tensor) + (last + 1) * tensor.dtype.itemsize


def _spec(name: str, tensor: torch.Tensor) -> tuple[str, tuple[int, ...]]:
    """Return dtype and shape as a file has them: F4 counts elements, two of which are in a byte."""
    dtype, shape = _NAMES[tensor.dtype], tuple(tensor.shape)
    if dtype != "F4":
        return dtype, shape
    if not shape:
        raise ConfigError(f"tensor {name!r} has no dimension, and two elements: reshape it to (1,)")
    return dtype, (*shape[:-1], 2 * shape[-1])


def _bytes_of(tensor: torch.Tensor) -> Iterator[memoryview]:
    if not tensor.numel():
        return
    flat = bytes_of(tensor.detach().resolve_conj().resolve_neg())
    if flat.device.type == "cpu":
        yield byte_view(flat)
        return
    for start in range(0, len(flat), COPIED_BYTES):
        yield byte_view(flat[start : start + COPIED_BYTES].cpu())
