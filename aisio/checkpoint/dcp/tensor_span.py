"""TensorSpan: those elements of a stored tensor, next to one another, that hold what is wanted.

A rank of a job that has another number of ranks than the one that saved wants parts of the stored
tensors. Where these are rows, the elements from the first that is wanted to the last one are
exactly what is wanted; otherwise there are others between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from math import prod
from typing import NamedTuple

from aisio.checkpoint.dcp.stored_metadata import Item
from aisio.extras import missing_extra

try:
    import torch
    from torch.distributed.checkpoint.metadata import (
        ChunkStorageMetadata,
        Metadata,
        MetadataIndex,
        TensorStorageMetadata,
    )
    from torch.distributed.checkpoint.planner import LoadItemType, ReadItem
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["TensorSpan", "find_span"]


class TensorSpan(NamedTuple):
    """Consecutive elements of a contiguous tensor, in the order of its memory.

    Attributes:
        start: Where they begin in the item, in bytes.
        first: The index of the first of them.
        numel: How many they are.
        dtype: The type of the tensor.
        strides: Those of the tensor, in elements.
    """

    start: int
    first: int
    numel: int
    dtype: torch.dtype
    strides: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """The size of the elements."""
        return self.numel * self.dtype.itemsize

    def part_of(self, elements: torch.Tensor, request: ReadItem) -> torch.Tensor:
        """Return what a request wants, as a view of the elements.

        Args:
            elements: The elements of the span: a tensor of one dimension, with its own memory.
            request: One of those that the span was made for.
        """
        first = _index_of(request.storage_offsets, self.strides) - self.first
        return elements.as_strided(request.lengths, self.strides, first)


def find_span(item: Item, requests: Sequence[ReadItem], metadata: Metadata) -> TensorSpan | None:
    """Return the elements of a stored tensor that hold all that is wanted of it.

    Args:
        item: Where the tensor is stored.
        requests: What is wanted of it, at least one.
        metadata: Has its type and its shape.

    Returns:
        The elements; None if it is not known where the memory of the tensor is in the item.
    """
    index = requests[0].storage_index
    about = metadata.state_dict_metadata.get(index.fqn)
    if item.data is None or not isinstance(about, TensorStorageMetadata):
        return None
    sizes, dtype = _sizes_of(about, index), about.properties.dtype
    if sizes is None or prod(sizes) * dtype.itemsize != item.data[1]:
        return None
    if not all(_is_inside(request, sizes) for request in requests):
        return None
    strides = tuple(prod(sizes[dimension + 1 :]) for dimension in range(len(sizes)))
    first = min(_index_of(one.storage_offsets, strides) for one in requests)
    last = max(_index_of(_last_of(one), strides) for one in requests)
    start = item.data[0] + first * dtype.itemsize
    return TensorSpan(start, first, last + 1 - first, dtype, strides)


def _sizes_of(about: TensorStorageMetadata, index: MetadataIndex) -> torch.Size | None:
    """Return the shape of a stored part of a tensor."""
    chunks: Iterable[ChunkStorageMetadata] = about.chunks
    if index.index is not None:  # a hint: the chunk is there, or elsewhere
        chunks = chain(about.chunks[index.index :][:1], chunks)
    return next((chunk.sizes for chunk in chunks if chunk.offsets == index.offset), None)


def _is_inside(request: ReadItem, sizes: Sequence[int]) -> bool:
    """Tell whether a request wants elements of a tensor, and none beyond it."""
    return (
        request.type == LoadItemType.TENSOR
        and len(request.storage_offsets) == len(request.lengths) == len(sizes)
        and all(
            0 <= offset < offset + length <= size
            for offset, length, size in zip(
                request.storage_offsets, request.lengths, sizes, strict=True
            )
        )
    )


def _last_of(request: ReadItem) -> list[int]:
    """Return the indices of the last element that a request wants."""
    both = zip(request.storage_offsets, request.lengths, strict=True)
    return [offset + length - 1 for offset, length in both]


def _index_of(indices: Sequence[int], strides: Sequence[int]) -> int:
    return sum(index * stride for index, stride in zip(indices, strides, strict=True))
