"""Where the bytes of a run go, and what becomes of an item once its bytes have come.

The memory of a tensor that is wanted as it was stored, or whole rows of it, is read straight to its
place. Other parts of a stored tensor are read to memory of their own and copied. All else goes to
torch.load, which makes a tensor of it.
"""

from __future__ import annotations

import io
from typing import NamedTuple

from aisio.checkpoint.dcp.item_writing import is_plain
from aisio.checkpoint.dcp.read_plan import Run
from aisio.checkpoint.dcp.stored_metadata import Item
from aisio.checkpoint.dcp.tensor_span import find_span
from aisio.errors import IntegrityError
from aisio.extras import missing_extra

try:
    import torch
    from torch.distributed._shard._utils import narrow_tensor_by_index
    from torch.distributed.checkpoint.metadata import Metadata
    from torch.distributed.checkpoint.planner import LoadItemType, LoadPlanner, ReadItem
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["Wanted", "deliver", "views_for"]


class Wanted:
    """An item and who wants it.

    Args:
        item: Where it is stored.
        requests: What of it goes where; at least one.
        metadata: What is in the checkpoint.

    Attributes:
        item: What is read: the item, or those blocks of it that are wanted.
        requests: As above.
        span: The elements of a tensor that are wanted; None if the bytes are decoded.
        memory: The tensor whose memory takes the span; None before `resolve`.
        is_filled_in_place: The memory is that of the tensor that is loaded.
    """

    def __init__(self, item: Item, requests: list[ReadItem], metadata: Metadata) -> None:
        self.item = item
        self.requests = requests
        self.span = find_span(item, requests, metadata)
        self.memory: torch.Tensor | None = None
        self.is_filled_in_place = False
        self._start = item.offset
        if self.span is not None:
            self.item = item.part(self.span.start, self.span.start + self.span.size_bytes)

    def resolve(self, planner: LoadPlanner) -> None:
        """Find the memory that takes the span: that of the tensor to be loaded, if it fits."""
        if self.span is None:
            return
        if len(self.requests) == 1:
            (request,) = self.requests
            target = planner.resolve_tensor(request).detach()
            fits = target.size() == request.lengths and target.numel() == self.span.numel
            is_alike = target.is_cpu and target.dtype == self.span.dtype and is_plain(target)
            if fits and is_alike:
                self.memory, self.is_filled_in_place = target, True
                return
        self.memory = torch.empty(self.span.numel, dtype=self.span.dtype, device="cpu")

    @property
    def in_place_bytes(self) -> int:
        """How many bytes go to the memory of the tensor that is loaded."""
        return self.span.size_bytes if self.span is not None and self.is_filled_in_place else 0

    def places(self) -> list[_Place]:
        """Return what takes bytes of the item, besides memory that is forgotten."""
        if self.span is None or self.memory is None:
            return []
        start = self._start + self.span.start
        return [_Place(start, start + self.span.size_bytes, _memory_of(self.memory))]


class _Place(NamedTuple):
    """Memory that takes bytes of a run.

    Attributes:
        start: The first of them in the file.
        stop: One past the last.
        view: The memory.
    """

    start: int
    stop: int
    view: memoryview


def views_for(run: Run, wanted: dict[tuple[str, int, int], Wanted]) -> list[memoryview]:
    """Return memory for the bytes of a run: that of tensors, and new one for what is between."""
    places = [place for item in run.items for place in wanted[item.place].places()]
    views, position = [], run.start
    for place in [*places, _Place(run.stop, run.stop, memoryview(b""))]:
        if place.start > position:
            views.append(memoryview(bytearray(place.start - position)))
        if place.view:
            views.append(place.view)
        position = place.stop
    return views


def deliver(wanted: Wanted, data: list[memoryview], planner: LoadPlanner, url: str) -> None:
    """Give an item whose bytes have come to those who want it.

    Raises:
        IntegrityError: The bytes are no tensor, or one of another size.
    """
    if wanted.is_filled_in_place and wanted.memory is not None:
        planner.commit_tensor(wanted.requests[0], wanted.memory)
        return
    content = b"" if wanted.span is not None else b"".join(data)
    tensor = wanted.memory
    for request in wanted.requests:
        if request.type == LoadItemType.BYTE_IO:
            planner.load_bytes(request, io.BytesIO(content))
            continue
        if tensor is None:
            tensor = _decode(content, wanted.item, url)
        if wanted.span is not None:
            part = wanted.span.part_of(tensor, request)
        else:
            part = narrow_tensor_by_index(tensor, request.storage_offsets, request.lengths)
        target = planner.resolve_tensor(request).detach()
        if target.size() != part.size():
            raise IntegrityError(
                f"{url}: {request.storage_index.fqn} is stored with the size {tuple(part.size())}, "
                f"and wanted with {tuple(target.size())}",
                url=url,
            )
        target.copy_(part)
        planner.commit_tensor(request, target)


def _decode(content: bytes, item: Item, url: str) -> torch.Tensor:
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise IntegrityError(
            f"{url}: no tensor at byte {item.offset:,}: {error}", url=url
        ) from error
    if not isinstance(found, torch.Tensor):
        raise IntegrityError(f"{url}: no tensor at byte {item.offset:,}", url=url)
    return found


def _memory_of(tensor: torch.Tensor) -> memoryview:
    return tensor.view(-1).view(torch.uint8).numpy().data
