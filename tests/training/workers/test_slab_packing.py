"""Batches in a slot: whatever can be pickled comes out as it went in."""

from __future__ import annotations

import collections
import datetime
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from aisio.training.workers.slab_file import SlabFile
from aisio.training.workers.slab_packing import (
    ALIGNMENT_BYTES,
    MIN_BYTES,
    Content,
    SlotReader,
    SlotWriter,
    Unsuited,
)

SLOT_BYTES = 1 << 20
LARGE = b"x" * (MIN_BYTES + 1)


class Point(NamedTuple):
    """A named tuple."""

    x: Any
    y: Any


@dataclass
class Node:
    """A dataclass that holds others."""

    value: Any
    child: Node | None = None


class Odd:
    """A class of its own; equal by its attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


@pytest.fixture
def file() -> SlabFile:
    """Return two slots."""
    return SlabFile(2, SLOT_BYTES)


def write(file: SlabFile, batch: Any) -> Content:
    """Return what is written of a batch, into the second slot."""
    return SlotWriter(file, 1).write(batch)


def read(file: SlabFile, content: Content, *, copy: bool = False) -> Any:
    """Return the batch that is in the second slot."""
    return SlotReader(content, file.memory, SLOT_BYTES, file.slot(1), copy=copy).load()


def same(one: Any, other: Any) -> bool:
    """Return whether two batches are equal, to the types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return (one.dtype, one.shape) == (other.dtype, other.shape) and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if hasattr(one, "__dict__"):
        return same(vars(one), vars(other))
    return bool(one == other)


BATCHES = {
    "nothing": None,
    "text": ["a", "b" * 5000],
    "short bytes": [b"", b"x", b"x" * (MIN_BYTES - 1)],
    "bytes": [LARGE, bytes(MIN_BYTES), ("name", LARGE * 3)],
    "bytearray": bytearray(LARGE),
    "numbers": [1, 2.5, True, 1 << 80, 3j, datetime.date(2026, 1, 1)],
    "tensors": {"x": torch.arange(6).view(2, 3), "y": [torch.tensor(3.5), torch.tensor([True])]},
    "empty": [torch.empty(0), torch.empty(3, 0, 2, dtype=torch.int8), np.empty(0), (), {}],
    "named": Point(torch.ones(2), LARGE),
    "dataclass": Node(torch.ones(3), Node(LARGE, Node("leaf"))),
    "class": Odd(x=torch.zeros(2), y=Odd(z=LARGE)),
    "ordered": collections.OrderedDict(b=torch.ones(1), a=LARGE),
    "arrays": [np.arange(1000), np.arange(4000)[::3], np.ones((40, 50), order="F"), np.int64(3)],
    "records": np.zeros(200, dtype=[("a", "i4"), ("b", "f8")]),
    "objects": np.array([None, "x", LARGE], dtype=object),
    "set": {1, 2, "x"},
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("copy", [False, True])
def test_a_batch_comes_out_as_it_went_in(file: SlabFile, name: str, copy: bool) -> None:
    """Types, order, shapes and contents."""
    assert same(read(file, write(file, BATCHES[name]), copy=copy), BATCHES[name])


@pytest.mark.parametrize("dtype", [torch.bool, torch.bfloat16, torch.float16, torch.complex64])
def test_dtypes(file: SlabFile, dtype: torch.dtype) -> None:
    """Also those that numpy has not."""
    tensor = torch.tensor([[0, 1], [2, 3]]).to(dtype)
    assert same(read(file, write(file, tensor)), tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24).view(4, 6).t(),
        torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.arange(24).view(4, 6)[:, ::2],
        torch.arange(24)[5:9],
        torch.tensor(7).expand(3, 4),
        torch.tensor([1 + 2j, 3 - 1j]).conj(),
    ],
    ids=["transposed", "channels last", "strided", "part", "expanded", "conjugate"],
)
def test_tensors_that_are_not_contiguous(file: SlabFile, tensor: torch.Tensor) -> None:
    """The order of dimensions in memory stays; what is not in the tensor does not travel."""
    content = write(file, tensor)
    got = read(file, content)
    assert same(got, tensor)
    assert content.used_bytes == tensor.numel() * tensor.itemsize
    for memory_format in (torch.contiguous_format, torch.channels_last):
        if tensor.dim() == 4:
            assert got.is_contiguous(memory_format=memory_format) == tensor.is_contiguous(
                memory_format=memory_format
            )


def test_what_is_one_object_is_written_once_and_stays_one(file: SlabFile) -> None:
    """Views of one memory become tensors of their own."""
    tensor = torch.arange(4)
    content = write(file, [tensor, tensor, tensor[1:], LARGE, LARGE])
    one, other, part, *texts = read(file, content)
    assert one is other
    assert texts[0] is texts[1]
    one[1] = 7
    assert part.tolist() == [1, 2, 3]


def test_everything_is_aligned(file: SlabFile) -> None:
    """To a cache line."""
    content = write(file, [torch.ones(1), LARGE, torch.ones(3, dtype=torch.int8), np.arange(999)])
    offsets = [place[0] for place in content.places + content.buffers]
    assert len(offsets) == 4
    assert all(offset % ALIGNMENT_BYTES == 0 for offset in offsets)


def test_views_and_copies(file: SlabFile) -> None:
    """A view changes with the slot; bytes and copies never do."""
    batch = [torch.zeros(4), np.zeros(1000), LARGE]
    content = write(file, batch)
    views, copies = read(file, content), read(file, content, copy=True)
    file.bytes_of(1)[:] = b"\x01" * SLOT_BYTES
    assert views[0][0] != 0
    assert views[1][0] != 0
    assert views[2] == LARGE
    assert same(copies, batch)
    views[0][0] = views[1][0] = copies[0][0] = copies[1][0] = 5  # all can be written to


class Marked(torch.Tensor):
    """A subclass."""


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, device="meta"),
        torch.ones(2, requires_grad=True),
        torch.nn.Parameter(torch.ones(2)),
        torch.ones(2).as_subclass(Marked),
        torch.ones(2).untyped_storage(),
    ],
    ids=["sparse", "meta", "grad", "parameter", "subclass", "storage"],
)
def test_tensors_that_torch_must_send(file: SlabFile, tensor: Any) -> None:
    """Wherever they are in the batch."""
    with pytest.raises(Unsuited):
        write(file, {"x": [LARGE, Node(tensor)]})


@pytest.mark.parametrize(
    "batch", [bytes(SLOT_BYTES + 1), torch.ones(SLOT_BYTES // 4 + 1), np.ones(SLOT_BYTES // 8 + 1)]
)
def test_a_batch_that_is_larger_than_a_slot(file: SlabFile, batch: Any) -> None:
    """It does not reach into the next; one that just fits does."""
    with pytest.raises(Unsuited):
        write(file, [batch])
    assert same(read(file, write(file, [batch[1:]])), [batch[1:]])


SAMPLES: dict[str, list[Any]] = {
    "tensors": [torch.arange(3) + k for k in range(4)],
    "arrays": [np.arange(3) + k for k in range(4)],
    "tuples": [("name", LARGE, k, float(k), torch.ones(2) * k) for k in range(4)],
    "dicts": [{"x": Point(torch.ones(2, 2) * k, k), "y": [np.float32(k)]} for k in range(4)],
    "empty": [torch.empty(0, 3)] * 2,
    "transposed": [torch.arange(6).view(2, 3).t()] * 2,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_collated_as_torch_does(file: SlabFile, name: str) -> None:
    """Tensors in the slot from the beginning."""
    expected = default_collate(SAMPLES[name])
    writer = SlotWriter(file, 1)
    batch = writer.collate(SAMPLES[name])
    assert same(batch, expected)
    used = writer._used
    content = writer.write(batch)
    assert same(read(file, content), expected)
    if name in ("tensors", "arrays", "transposed"):
        assert content.used_bytes == used > 0


def test_stacking_what_does_not_fit(file: SlabFile) -> None:
    """It is collated elsewhere, and then unsuited."""
    writer = SlotWriter(file, 1)
    batch = writer.collate([torch.zeros(SLOT_BYTES // 4)] * 2)
    assert batch.shape == (2, SLOT_BYTES // 4)
    with pytest.raises(Unsuited):
        writer.write(batch)


def test_samples_of_different_shapes(file: SlabFile) -> None:
    """The error is torch's."""
    with pytest.raises(RuntimeError, match="equal size"):
        SlotWriter(file, 1).collate([torch.ones(2), torch.ones(3)])


def test_what_cannot_be_pickled(file: SlabFile) -> None:
    """An error where the batch is made; torch's DataLoader would wait for it forever."""
    with pytest.raises((AttributeError, TypeError, Exception), match="pickle"):
        write(file, lambda: None)
