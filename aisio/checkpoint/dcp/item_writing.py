"""Items of a checkpoint, written one behind the other to a file, each with digests of its bytes.

An item is what torch.save writes for one tensor, as in torch's own files.
"""

from __future__ import annotations

import io
import sys
from typing import Any, cast

import xxhash

from aisio.checkpoint.dcp.stored_metadata import BLOCK_BYTES, storage_info
from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.transport.writer import ObjectWriter

try:
    import torch
    from torch.distributed.checkpoint.planner import SavePlanner, WriteItem, WriteItemType
    from torch.distributed.checkpoint.storage import WriteResult
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["is_plain", "split_items", "write_item"]

MIN_DATA_BYTES = 64 * 1024
"""Only the memory of larger tensors is read to its place: smaller ones are not worth a read of
their own. All else that torch.save writes for a tensor is shorter, so the size tells it apart."""


def is_plain(tensor: torch.Tensor) -> bool:
    """Tell whether the bytes of a tensor, in order, are its memory as torch.save stores it."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and tensor.is_contiguous()
        and not (tensor.is_conj() or tensor.is_neg() or tensor.is_quantized)
        and sys.byteorder == "little"
    )


def split_items(items: list[WriteItem], count: int) -> list[list[WriteItem]]:
    """Divide items among files so that these have about the same size; no list is empty.

    Args:
        items: What is to be written.
        count: The most files.
    """
    files: list[list[WriteItem]] = [[] for _ in range(min(count, len(items)))]
    sizes = [0] * len(files)
    for item in sorted(items, key=_size_bytes, reverse=True):
        smallest = sizes.index(min(sizes))
        files[smallest].append(item)
        sizes[smallest] += max(1, _size_bytes(item))
    return files


def write_item(file: ObjectWriter, path: str, item: WriteItem, planner: SavePlanner) -> WriteResult:
    """Append an item to a file.

    Args:
        file: The file.
        path: Its name below the checkpoint's URL.
        item: What to write.
        planner: Has the data.

    Returns:
        Where it is.
    """
    start = file.tell()
    data = planner.resolve_data(item)
    if item.type == WriteItemType.BYTE_IO:
        if not isinstance(data, io.BytesIO):
            raise ConfigError(f"{item.index.fqn}: the planner gave no bytes, but {type(data)}")
        stream = _ItemStream(file, None)
        stream.write(data.getvalue())
    else:
        if not isinstance(data, torch.Tensor):
            raise ConfigError(f"{item.index.fqn}: the planner gave no tensor, but {type(data)}")
        tensor = _in_memory(data)
        stream = _ItemStream(file, tensor.nbytes if is_plain(tensor) else None)
        torch.save(tensor, cast(Any, stream))
    length = file.tell() - start
    info = storage_info(path, start, length, stream.xxh3_64, stream.data, stream.blocks())
    return WriteResult(index=item.index, size_in_bytes=length, storage_data=info)


class _ItemStream:
    """What torch.save writes an item to: hashes the bytes and passes them on.

    Args:
        file: Where they go.
        data_bytes: The size of the tensor's memory, whose place is to be found; None if that is of
            no use.

    Attributes:
        data: Offset and size of the tensor's memory; None where it was not written as one piece.
    """

    def __init__(self, file: ObjectWriter, data_bytes: int | None) -> None:
        self.data: tuple[int, int] | None = None
        self._file = file
        self._start = file.tell()
        self._data_bytes = data_bytes
        self._hasher = xxhash.xxh3_64()
        self._block_hasher = xxhash.xxh3_64()
        self._blocks: list[bytes] = []  # the digests of those that are complete

    @property
    def xxh3_64(self) -> str:
        """XXH3-64 of all bytes so far, in hexadecimal digits."""
        return self._hasher.hexdigest()

    def blocks(self) -> bytes:
        """Return the digests of all blocks; none if there is only one."""
        if not self._blocks:
            return b""
        has_more = self._file.tell() - self._start > len(self._blocks) * BLOCK_BYTES
        return b"".join([*self._blocks, *([self._block_hasher.digest()] if has_more else [])])

    def write(self, data: Any) -> int:
        """Write all bytes; return their number."""
        size, position = len(data), self._file.tell() - self._start
        if size == self._data_bytes and size >= MIN_DATA_BYTES:
            self.data = (position, size)
        self._hash(position, memoryview(data))
        return self._file.write(data)

    def _hash(self, position: int, view: memoryview) -> None:
        while view:
            left = BLOCK_BYTES - position % BLOCK_BYTES
            piece, view = view[:left], view[left:]
            position += len(piece)
            self._hasher.update(piece)
            self._block_hasher.update(piece)
            if position % BLOCK_BYTES == 0:
                self._blocks.append(self._block_hasher.digest())
                self._block_hasher.reset()

    def flush(self) -> None:
        """Do nothing: the file is stored when it is closed."""


def _in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the processor's memory, of which nothing but its elements is saved."""
    tensor = tensor.detach().cpu()
    if tensor.layout is torch.strided and tensor.untyped_storage().size() != tensor.nbytes:
        return tensor.clone()
    return tensor


def _size_bytes(item: WriteItem) -> int:
    if item.tensor_data is None:
        return 0
    return item.tensor_data.size.numel() * item.tensor_data.properties.dtype.itemsize
