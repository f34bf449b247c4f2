"""Writes a batch into a slot of shared memory, and reads it there.

What is large, tensors and bytes, is written into the slot; a pickle of the rest says where. So a
batch may be anything that can be pickled. What a slot cannot carry is `Unsuited`, and travels as
torch's DataLoader sends it.
"""

from __future__ import annotations

import ctypes
import io
import mmap
import pickle
from collections.abc import Sequence
from math import prod
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

from aisio.extras import missing_extra
from aisio.training.workers.slab_file import SlabFile

try:
    import torch
    from torch.utils.data._utils.collate import (
        collate,
        collate_tensor_fn,
        default_collate_fn_map,
    )
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["Content", "SlotReader", "SlotWriter", "Unsuited"]

ALIGNMENT_BYTES = 64
"""Of each thing in a slot: a cache line, and the widest vector registers."""

MIN_BYTES = 1024
"""What is smaller stays in the pickle, but for tensors, which torch would send in a file each."""

_ANY_TENSOR = (torch.Tensor, torch.UntypedStorage, torch.TypedStorage)


class Unsuited(Exception):
    """A batch cannot travel in a slot: it is too large, or has what torch alone can send."""


class Content(NamedTuple):
    """A batch in a slot. Offsets and sizes are in bytes.

    Attributes:
        pickled: The batch but for what is large; that is numbered.
        places: What has each number: (offset, size) for bytes, and (offset, shape, stride, dtype)
            for a tensor, with the stride None if it is contiguous.
        buffers: (offset, size) of each buffer that the pickle asks for, in its order (PEP 574).
        used_bytes: How much of the slot was written.
    """

    pickled: bytes
    places: list[tuple[Any, ...]]
    buffers: list[tuple[int, int]]
    used_bytes: int


class SlotWriter:
    """Writes one batch into a slot.

    Args:
        file: The file.
        slot: Which of its slots.
    """

    def __init__(self, file: SlabFile, slot: int) -> None:
        self._slot = file.slot(slot)
        self._bytes = file.bytes_of(slot)
        self._address = ctypes.addressof(self._slot)
        self._used = 0
        self._buffers: list[tuple[int, int]] = []

    def collate(self, samples: Sequence[Any]) -> Any:
        """Return what torch's `default_collate` would, with the tensors in the slot."""
        functions = dict(default_collate_fn_map)
        if functions.get(torch.Tensor) is collate_tensor_fn:
            functions[torch.Tensor] = self._stack
        return collate(samples, collate_fn_map=functions)

    def write(self, batch: Any) -> Content:
        """Write a batch, but for those of its tensors that `collate` has made.

        Raises:
            Unsuited: It cannot travel in this slot.
        """
        pickled = io.BytesIO()
        pickler = _Pickler(pickled, self)
        pickler.dump(batch)
        return Content(pickled.getvalue(), pickler.places, self._buffers, self._used)

    def add_bytes(self, data: Any) -> tuple[int, int]:
        """Write bytes; return where they are, and how many."""
        size = len(data)
        offset = self._place(size)
        self._bytes[offset : offset + size] = data
        return offset, size

    def add_buffer(self, buffer: pickle.PickleBuffer) -> bool:
        """Write a buffer that is pickled, and return False; or True if it stays in the pickle."""
        with buffer.raw() as data:
            if data.nbytes < MIN_BYTES:
                return True
            self._buffers.append(self.add_bytes(data))
            return False

    def add_tensor(self, tensor: torch.Tensor) -> tuple[int, Any, Any, torch.dtype]:
        """Write a tensor unless it is in the slot; return its offset, shape, stride and dtype."""
        offset = tensor.data_ptr() - self._address
        if not 0 <= offset < self._used:
            stride = None if tensor.is_contiguous() else _dense_stride(tensor)
            offset, copy = self._new_tensor(tensor.shape, stride, tensor.dtype)
            tensor = copy.copy_(tensor)
        stride = None if tensor.is_contiguous() else tensor.stride()
        return offset, tuple(tensor.shape), stride, tensor.dtype

    def _place(self, size: int) -> int:
        """Return the offset of memory for some bytes."""
        offset = -(-self._used // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        if offset + size > len(self._bytes):
            raise Unsuited
        self._used = offset + size
        return offset

    def _new_tensor(self, shape: Sequence[int], stride: Any, dtype: Any) -> tuple[int, Any]:
        offset = self._place(prod(shape) * dtype.itemsize)
        return offset, tensor_at(self._slot, offset, shape, stride, dtype)

    def _stack(self, batch: Sequence[torch.Tensor], *, collate_fn_map: Any = None) -> torch.Tensor:
        first = batch[0]
        if is_plain(first):
            try:
                _, out = self._new_tensor((len(batch), *first.shape), None, first.dtype)
            except Unsuited:
                pass
            else:
                return torch.stack(tuple(batch), 0, out=out)
        stacked: torch.Tensor = collate_tensor_fn(batch, collate_fn_map=collate_fn_map)
        return stacked


class _Pickler(ForkingPickler):
    """Has tensors and bytes written into a slot, and pickles where they are."""

    def __init__(self, pickled: io.BytesIO, writer: SlotWriter) -> None:
        super().__init__(pickled, 5, True, writer.add_buffer)
        self._writer = writer
        self._numbers: dict[int, int] = {}
        self._written: list[Any] = []  # alive, so that no other object gets the id of one
        self.places: list[tuple[Any, ...]] = []

    def persistent_id(self, value: Any) -> int | None:
        """Write what is large into the slot, and return its number."""
        kind = type(value)
        if kind is bytes:
            if len(value) < MIN_BYTES:
                return None
        elif kind is not torch.Tensor or not is_plain(value):
            return None
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.places)
            add = self._writer.add_bytes if kind is bytes else self._writer.add_tensor
            self.places.append(add(value))
            self._written.append(value)
        return number

    def reducer_override(self, value: Any) -> Any:
        """Refuse all other tensors, wherever they are."""
        if isinstance(value, _ANY_TENSOR):
            raise Unsuited
        return NotImplemented


class SlotReader(pickle.Unpickler):
    """Reads one batch from a slot.

    Args:
        content: The batch.
        memory: All slots.
        start: Where the slot begins.
        slot: The slot, which views keep alive.
        copy: Have tensors and buffers in memory of their own, not as views of the slot.
    """

    def __init__(
        self, content: Content, memory: mmap.mmap, start: int, slot: Any, *, copy: bool
    ) -> None:
        self._places = content.places
        self._memory = memory
        self._start = start
        self._slot = slot
        self._copy = copy
        self._values: dict[int, Any] = {}
        buffers = [self._buffer(*place) for place in content.buffers]
        super().__init__(io.BytesIO(content.pickled), buffers=buffers)

    def persistent_load(self, number: int) -> Any:
        """Return what has a number in the pickle; the pickle asks for it."""
        if number not in self._values:
            self._values[number] = self._value(*self._places[number])
        return self._values[number]

    def _value(self, offset: int, *what: Any) -> Any:
        if len(what) == 1:
            start = self._start + offset
            return self._memory[start : start + what[0]]
        tensor = tensor_at(self._slot, offset, *what)
        return _copy_of(tensor) if self._copy else tensor

    def _buffer(self, offset: int, size: int) -> memoryview | bytearray:
        view = memoryview(self._slot).cast("B")[offset : offset + size]
        return bytearray(view) if self._copy else view


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is all in its elements: dense, on the CPU, and nothing beyond."""
    return (
        type(tensor) is torch.Tensor
        and tensor.layout is torch.strided
        and tensor.is_cpu
        and not tensor.requires_grad
        and not tensor.is_quantized
        and not tensor.is_nested
    )


def tensor_at(
    slot: Any, offset: int, shape: Sequence[int], stride: Sequence[int] | None, dtype: torch.dtype
) -> torch.Tensor:
    """Return a view of memory in a slot as a tensor; its elements lie side by side."""
    count = prod(shape)
    if not count:
        return torch.empty(shape, dtype=dtype, device="cpu")
    flat = torch.frombuffer(slot, dtype=dtype, count=count, offset=offset)
    return flat.view(shape) if stride is None else flat.as_strided(shape, stride)


def _copy_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of a tensor whose elements lie side by side.

    By one thread: those that torch would use for `clone` wait for each other on a busy machine.
    """
    copy = torch.empty_like(tensor)
    ctypes.memmove(copy.data_ptr(), tensor.data_ptr(), tensor.nbytes)
    return copy


def _dense_stride(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return the stride of a copy: the order of the dimensions stays, as in channels_last."""
    return torch.empty_like(tensor, device="meta", memory_format=torch.preserve_format).stride()
