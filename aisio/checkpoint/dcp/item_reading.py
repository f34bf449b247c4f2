"""Where the bytes of a run go, and what becomes of an item once its bytes have come.

The memory of a tensor that is wanted as it was stored is read straight to its place. All else goes
to memory of its own, and torch.load makes a tensor of it.
"""

from __future__ import annotations

import io
from typing import NamedTuple

from aisio.checkpoint.dcp.item_writing import is_plain
from aisio.checkpoint.dcp.read_plan import Run
from aisio.checkpoint.dcp.stored_metadata import Item
from aisio.errors import IntegrityError
from aisio.extras import missing_extra

try:
    import torch
    from torch.distributed._shard._utils import narrow_tensor_by_index
    from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
    from torch.distributed.checkpoint.planner import LoadItemType, LoadPlanner, ReadItem
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["Wanted", "deliver", "resolve", "views_for"]


class Wanted:
    """An item and who wants it.

    Attributes:
        item: Where it is.
        requests: What of it goes where.
        target: The tensor whose memory takes the bytes; None if they are decoded.
    """

    def __init__(self, item: Item) -> None:
        self.item = item
        self.requests: list[ReadItem] = []
        self.target: torch.Tensor | None = None


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


def resolve(wanted: Wanted, planner: LoadPlanner, metadata: Metadata) -> None:
    """Find the tensor whose memory takes an item as it was stored, if there is one."""
    if wanted.item.data is None or len(wanted.requests) != 1:
        return
    (request,) = wanted.requests
    about = metadata.state_dict_metadata.get(request.storage_index.fqn)
    if request.type != LoadItemType.TENSOR or not isinstance(about, TensorStorageMetadata):
        return
    dtype, size = about.properties.dtype, wanted.item.data[1]
    if any(request.storage_offsets) or request.lengths.numel() * dtype.itemsize != size:
        return
    target = planner.resolve_tensor(request).detach()
    fits = target.size() == request.lengths and target.dtype == dtype
    if fits and target.is_cpu and is_plain(target):
        wanted.target = target


def views_for(run: Run, wanted: dict[tuple[str, int, int], Wanted]) -> list[memoryview]:
    """Return memory for the bytes of a run: that of tensors, and new one for what is between."""
    places = []
    for item in run.items:
        target = wanted[item.place].target
        if target is not None and item.data is not None:
            start = item.offset + item.data[0]
            places.append(_Place(start, start + item.data[1], _memory_of(target)))
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
    if wanted.target is not None:
        planner.commit_tensor(wanted.requests[0], wanted.target)
        return
    content = b"".join(data)
    tensor: torch.Tensor | None = None
    for request in wanted.requests:
        if request.type == LoadItemType.BYTE_IO:
            planner.load_bytes(request, io.BytesIO(content))
            continue
        if tensor is None:
            tensor = _decode(content, wanted.item, url)
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
