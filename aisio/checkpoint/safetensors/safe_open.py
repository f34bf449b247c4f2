"""safe_open: single tensors of a safetensors file, and slices of them, read on demand."""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from aisio.checkpoint.safetensors.loading import read_tensors
from aisio.checkpoint.safetensors.opened_file import OpenedFile, Reach
from aisio.checkpoint.safetensors.tensors import (
    byte_view,
    bytes_of,
    find_device,
    torch_shape,
)
from aisio.client.client import Client
from aisio.errors import CheckpointError, NotSupportedError
from aisio.escapes import first_few
from aisio.formats.safetensors import TensorInfo
from aisio.records import ObjectInfo
from aisio.stores import DirectSettings
from aisio.transport.writer import CONCURRENCY
from aisio.urls import ObjectUrl

__all__ = ["TensorSlice", "safe_open"]

FRAMEWORKS = ("pt", "torch", "pytorch")
ROWS_BYTES = 64 * 1024 * 1024
"""So many bytes are read at a time where only some of a row's are wanted."""


class safe_open:
    """A safetensors file of any store, whose tensors are read one by one, as `safetensors` has it.

        with safe_open("ais://models/model.safetensors", framework="pt") as file:
            for name in file.keys():
                tensor = file.get_tensor(name)

    Threads may share it; they read one after the other.

    Args:
        url: The object, as in "ais://bucket/name", "s3://bucket/name" or "file:///folder/name".
        framework: "pt".
        device: Where the tensors are to be; a number is that of a GPU.
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        concurrency: How many requests are sent at once.

    Attributes:
        info: What the store says of the object.

    Raises:
        NotFoundError: No such object.
        CheckpointError: It is no sound safetensors file.
        ConfigError: There is no such device.
        NotSupportedError: Another framework than PyTorch.
    """

    def __init__(
        self,
        url: str,
        framework: str = "pt",
        device: str | int | torch.device = "cpu",
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        concurrency: int = CONCURRENCY,
    ) -> None:
        if framework not in FRAMEWORKS:
            raise NotSupportedError(
                f"framework={framework!r}: tensors are PyTorch's, framework='pt'; their numpy() "
                f"gives arrays of the same memory"
            )
        self._device = find_device(device)
        self._file = Reach(client, endpoint, direct, concurrency).open(ObjectUrl.parse(url))
        self.info: ObjectInfo = self._file.info

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file: no further tensor can be read."""
        self._file.close()

    def keys(self) -> list[str]:
        """Return the names of the tensors, sorted."""
        return sorted(self._open_file().header.tensors)

    def offset_keys(self) -> list[str]:
        """Return the names of the tensors in the order of the file."""
        return [*self._open_file().header.tensors]

    def metadata(self) -> dict[str, str] | None:
        """Return the file's own texts; None if it has none."""
        metadata = self._open_file().header.metadata
        return None if metadata is None else dict(metadata)

    def get_tensor(self, name: str) -> torch.Tensor:
        """Read a tensor.

        Raises:
            CheckpointError: The file has no such tensor, or torch has none of its dtype.
            IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
        """
        return read_tensors(self._open_file(), [self._info(name)], self._device)[name]

    def get_tensors(self) -> dict[str, torch.Tensor]:
        """Read all tensors, as `load_file` does."""
        file = self._open_file()
        return read_tensors(file, [*file.header.tensors.values()], self._device)

    def get_slice(self, name: str) -> TensorSlice:
        """Return what reads a part of a tensor: `file.get_slice("weight")[:10]`.

        Raises:
            CheckpointError: The file has no such tensor.
        """
        return TensorSlice(self._open_file(), self._info(name), self._device)

    def _info(self, name: str) -> TensorInfo:
        tensors = self._open_file().header.tensors
        if name not in tensors:
            raise CheckpointError(
                f"{self.info.url} has no tensor {name!r}; it has {first_few(sorted(tensors))}",
                url=self.info.url,
            )
        return tensors[name]

    def _open_file(self) -> OpenedFile:
        if self._file.is_closed:
            raise ValueError(f"{self.info.url}: read of a closed file")
        return self._file


class TensorSlice:
    """A tensor of a file, of which a part is read when it is indexed, as `safetensors` has it.

    Only the rows are read that an index touches: those of the first dimension of which it wants
    more than one. Where it is no number, slice or ellipsis, the whole tensor is read.

    Args:
        file: The file.
        info: The tensor.
        device: Where the part is to be.
    """

    def __init__(self, file: OpenedFile, info: TensorInfo, device: torch.device) -> None:
        self._file = file
        self._info = info
        self._device = device
        self._dtype, self._shape = torch_shape(info, file.info.url)

    def get_shape(self) -> list[int]:
        """Return the shape of the tensor."""
        return [*self._info.shape]

    def get_dtype(self) -> str:
        """Return its dtype as the file has it, for example "BF16"."""
        return self._info.dtype

    def __getitem__(self, index: Any) -> torch.Tensor:
        """Read a part of the tensor, with the index that the tensor would take.

        Raises:
            IndexError: The index lies outside the tensor.
            IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
        """
        indices = _expanded(index, len(self._shape))
        if indices is None:
            (tensor,) = read_tensors(self._file, [self._info], self._device).values()
            return tensor[index]
        meta = torch.empty(self._shape, dtype=self._dtype, device="meta")
        shape = meta[index].shape  # raises what torch raises for a wrong index
        if self._device.type == "meta":
            return meta[index]
        out = torch.empty(shape, dtype=self._dtype, device="cpu")
        if out.numel():
            self._read(indices, out)
        return out.to(self._device)

    def _read(self, indices: list[int | slice], out: torch.Tensor) -> None:
        """Read what an index touches into a tensor of the result's shape."""
        start, dim = 0, 0
        while dim < len(indices) and isinstance(number := indices[dim], int):
            start += number % self._shape[dim] * prod(self._shape[dim + 1 :])
            dim += 1
        itemsize = self._dtype.itemsize
        if dim == len(indices):
            self._fill(out, start * itemsize)
            return
        rows, inner = self._shape[dim], self._shape[dim + 1 :]
        wanted, rest = indices[dim], tuple(indices[dim + 1 :])
        assert isinstance(wanted, slice)
        numbers = range(rows)[wanted]
        row_bytes = prod(inner) * itemsize
        base = start * itemsize
        if numbers.step == 1 and all(one == slice(None) for one in rest):
            self._fill(out, base + numbers.start * row_bytes)
            return
        selected = (slice(None, None, numbers.step), *rest)
        step = max(1, ROWS_BYTES // (row_bytes * numbers.step))
        for at in range(0, len(numbers), step):
            part = numbers[at : at + step]
            block_shape = part[-1] - part[0] + 1, *inner
            block = torch.empty(block_shape, dtype=self._dtype, device="cpu")
            self._fill(block, base + part[0] * row_bytes)
            out[at : at + len(part)] = block[selected]

    def _fill(self, tensor: torch.Tensor, offset: int) -> None:
        """Read bytes of the tensor, from an offset in it on, into another one."""
        self._file.read_into(byte_view(bytes_of(tensor)), self._info.start + offset)


def _expanded(index: Any, dimensions: int) -> list[int | slice] | None:
    """Return an index with one entry for each dimension; None if it is of another kind."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if not all(type(part) in (int, slice) or part is Ellipsis for part in parts):
        return None
    dots = [at for at, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:  # torch takes some of these for tensors with data and not for "meta"
        return None
    at = dots[0] if dots else len(parts)
    parts = [part for part in parts if part is not Ellipsis]
    parts[at:at] = [slice(None)] * (dimensions - len(parts))
    return parts
