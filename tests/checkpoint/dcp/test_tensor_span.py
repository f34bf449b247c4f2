"""Which elements of a stored tensor hold what is wanted."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadItemType, ReadItem

from aisio.checkpoint.dcp.stored_metadata import Item, storage_info
from aisio.checkpoint.dcp.tensor_span import find_span


def stored(sizes: tuple[int, ...], size_bytes: int | None = None) -> tuple[Item, Metadata]:
    """Return an item of a tensor at byte 50 of it, which is the second chunk, and its metadata."""
    chunks = [
        ChunkStorageMetadata(torch.Size([at] * len(sizes)), torch.Size(sizes)) for at in (0, 9)
    ]
    properties = TensorProperties(torch.int32)
    about = TensorStorageMetadata(properties, torch.Size([99] * len(sizes)), chunks)
    size_bytes = prod(sizes) * 4 if size_bytes is None else size_bytes
    item = Item(storage_info("f", 7, size_bytes + 90, "", (50, size_bytes)))
    return item, Metadata({"a": about})


def read_of(offsets: list[int], lengths: list[int], hint: int | None = None) -> ReadItem:
    """Return a request for a part of that chunk."""
    index = MetadataIndex("a", torch.Size([9] * len(offsets)), hint)
    part = torch.Size(offsets)
    return ReadItem(LoadItemType.TENSOR, index, part, index, part, torch.Size(lengths))


@given(st.data())
def test_the_span_holds_what_is_wanted(data: st.DataObject) -> None:
    """Of one request or several; where rows are wanted, nothing else."""
    sizes = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    requests, expected = [], []
    tensor = torch.arange(prod(sizes), dtype=torch.int32).view(sizes)
    for _ in range(data.draw(st.integers(1, 3))):
        offsets = [data.draw(st.integers(0, size - 1)) for size in sizes]
        lengths = [
            data.draw(st.integers(1, size - at)) for size, at in zip(sizes, offsets, strict=True)
        ]
        requests.append(read_of(offsets, lengths, data.draw(st.sampled_from([None, 0, 1, 5]))))
        both = zip(offsets, lengths, strict=True)
        expected.append(tensor[tuple(slice(at, at + length) for at, length in both)])
    item, metadata = stored(sizes)
    span = find_span(item, requests, metadata)
    assert span is not None
    assert (span.start, span.size_bytes) == (50 + 4 * span.first, 4 * span.numel)
    elements = tensor.view(-1)[span.first : span.first + span.numel].clone()
    for request, part in zip(requests, expected, strict=True):
        assert torch.equal(span.part_of(elements, request), part)
    assert {int(part.min()) for part in expected} >= {span.first}
    assert {int(part.max()) for part in expected} >= {span.first + span.numel - 1}


def test_what_is_not_known_has_no_span() -> None:
    """It is decoded whole: no place of the memory, another size, another chunk, beyond its end."""
    item, metadata = stored((4, 5))
    good = read_of([1, 0], [2, 5])
    assert find_span(item, [good], metadata) is not None
    assert find_span(item, [good], Metadata({})) is None
    assert find_span(Item(storage_info("f", 7, 99, "", None)), [good], metadata) is None
    assert find_span(stored((4, 5), 84)[0], [good], metadata) is None
    for wrong in (read_of([3, 0], [2, 5]), read_of([1, 0], [0, 5]), read_of([1], [2])):
        assert find_span(item, [good, wrong], metadata) is None
    elsewhere = replace(good, storage_index=MetadataIndex("a", torch.Size([1, 1])))
    assert find_span(item, [elsewhere], metadata) is None
