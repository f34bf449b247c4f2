"""load_file: all tensors of a safetensors file, into the processor's memory or onto a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from aisio.checkpoint.safetensors.opened_file import OpenedFile, Reach
from aisio.checkpoint.safetensors.tensors import (
    byte_view,
    find_device,
    new_memory,
    tensor_of_bytes,
    tensors_in_memory,
    torch_shape,
)
from aisio.client.client import Client
from aisio.formats.safetensors import TensorInfo
from aisio.stores import DirectSettings
from aisio.transport.writer import CONCURRENCY
from aisio.urls import ObjectUrl

__all__ = ["load_file", "read_tensors", "read_to_device"]

STAGING_BYTES = 64 * 1024 * 1024
"""Size of a buffer between the network and a device; there are two."""


def load_file(
    url: str,
    device: str | int | torch.device = "cpu",
    *,
    client: Client | None = None,
    endpoint: str | None = None,
    direct: bool | DirectSettings = False,
    concurrency: int = CONCURRENCY,
) -> dict[str, torch.Tensor]:
    """Load all tensors of a safetensors file, as `safetensors.torch.load_file` does.

    The bytes go straight from several connections into the memory of the tensors. For another
    device than the processor they pass through two buffers of 64 MiB, pinned where that is CUDA.

    Args:
        url: The object, as in "ais://bucket/name", "s3://bucket/name" or "file:///folder/name".
        device: Where the tensors are to be; a number is that of a GPU.
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        concurrency: How many requests are sent at once.

    Returns:
        The tensors by name, in the order of the file.

    Raises:
        NotFoundError: No such object.
        CheckpointError: It is no sound safetensors file, or this torch lacks one of its dtypes.
        IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
        ConfigError: There is no such device.
    """
    found, parsed = find_device(device), ObjectUrl.parse(url)
    with Reach(client, endpoint, direct, concurrency).open(parsed) as file:
        return read_tensors(file, [*file.header.tensors.values()], found)


def read_tensors(
    file: OpenedFile, infos: Sequence[TensorInfo], device: torch.device
) -> dict[str, torch.Tensor]:
    """Read tensors that lie one behind the other in a file.

    Args:
        file: The file.
        infos: The tensors, in the order of the file.
        device: Where they are to be.
    """
    url = file.info.url
    for info in infos:
        torch_shape(info, url)  # before any bytes are read
    if device.type != "cpu":
        return read_to_device(file, infos, device)
    start, stop = _span(infos)
    memory = new_memory(stop - start)
    file.read_into(byte_view(memory), start)
    moved = (info._replace(start=info.start - start, stop=info.stop - start) for info in infos)
    return tensors_in_memory(memory, moved, url)


def _span(infos: Sequence[TensorInfo]) -> tuple[int, int]:
    return (infos[0].start, infos[-1].stop) if infos else (0, 0)


def read_to_device(
    file: OpenedFile,
    infos: Sequence[TensorInfo],
    device: torch.device,
    staging_bytes: int = STAGING_BYTES,
) -> dict[str, torch.Tensor]:
    """Read tensors in windows, each of which is copied while the next one is read.

    Args:
        file: The file.
        infos: The tensors, one behind the other, in the order of the file.
        device: Where they are to be.
        staging_bytes: Size of each of the two buffers that they pass through.
    """
    targets = [torch.empty(info.size_bytes, dtype=torch.uint8, device=device) for info in infos]
    start, stop = _span(infos)
    size = min(staging_bytes, stop - start)
    is_cuda, is_meta = device.type == "cuda", device.type == "meta"
    buffers = [new_memory(size, pinned=is_cuda) for _ in range(0 if is_meta else 2)]
    copied = [_cuda_event() for _ in buffers] if is_cuda else []
    for number, first in enumerate(range(start, stop, size) if buffers and size else ()):
        at = number % 2
        if copied:
            copied[at].synchronize()
        last = min(first + size, stop)
        file.read_into(byte_view(buffers[at])[: last - first], first)
        for target, part, source in _pieces(infos, targets, first, last):
            target[part].copy_(buffers[at][source], non_blocking=is_cuda)
        if copied:
            copied[at].record(torch.cuda.current_stream(device))
    for event in copied:
        event.synchronize()
    url = file.info.url
    return {
        info.name: tensor_of_bytes(target, info, url)
        for info, target in zip(infos, targets, strict=True)
    }


def _cuda_event() -> Any:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]


def _pieces(
    infos: Sequence[TensorInfo], targets: Sequence[torch.Tensor], first: int, last: int
) -> Iterator[tuple[torch.Tensor, slice, slice]]:
    """Yield, for each tensor that has bytes in a window, it, its part and that of the window."""
    for info, target in zip(infos, targets, strict=True):
        start, stop = max(info.start, first), min(info.stop, last)
        if start < stop:
            yield (
                target,
                slice(start - info.start, stop - info.start),
                slice(start - first, stop - first),
            )
