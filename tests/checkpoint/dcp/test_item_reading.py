"""Where the bytes of a run go."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex
from torch.distributed.checkpoint.planner import LoadItemType, ReadItem

from aisio.checkpoint import StorageReader
from aisio.checkpoint.dcp.item_reading import Wanted, deliver, views_for
from aisio.checkpoint.dcp.read_plan import Run
from aisio.checkpoint.dcp.stored_metadata import Item, storage_info
from aisio.errors import IntegrityError
from tests.checkpoint.dcp.states import load, state, write


def reads_of(content: dict[str, Any]) -> tuple[DefaultLoadPlanner, Metadata, list[ReadItem]]:
    """Return a planner that loads whole tensors, the metadata of them, and what it wants."""
    saving = DefaultSavePlanner()
    saving.set_up_planner(content, None, True)
    _, metadata = saving.create_global_plan([saving.create_local_plan()])
    planner = DefaultLoadPlanner()
    planner.set_up_planner(content, metadata, True)
    return planner, metadata, list(planner.create_local_plan().items)


def test_tensors_and_what_is_between_take_the_bytes_of_a_run() -> None:
    """Each byte has one place."""
    places = {
        "first": storage_info("f", 100, 30, "", (10, 16)),
        "between": storage_info("f", 130, 10, "", None),
        "last": storage_info("f", 145, 20, "", (0, 8)),
    }
    content = {"first": torch.zeros(4), "between": torch.zeros(1), "last": torch.zeros(2)}
    planner, metadata, requests = reads_of(content)
    items = [Item(info) for info in places.values()]
    wanted = {
        item.place: Wanted(item, [request], metadata)
        for item, request in zip(items, requests, strict=True)
    }
    for one in wanted.values():
        one.resolve(planner)
    first, last = content["first"], content["last"]
    views = views_for(Run("f", 100, 165, items), wanted)
    assert [len(view) for view in views] == [10, 16, 4 + 10 + 5, 8, 12]
    views[1][:4] = views[3][:4] = b"\0\0\x80\x3f"
    assert (first[0].item(), last[0].item()) == (1, 1)


def memory_of(content: dict[str, Any]) -> list[int]:
    """Return where the tensors of a state are."""
    return [value.data_ptr() for value in content.values() if isinstance(value, torch.Tensor)]


def test_a_tensor_of_another_kind_takes_what_was_stored(tmp_path: Path) -> None:
    """Another type, layout or device takes a copy; the tensor stays the caller's."""
    write(tmp_path, 1)
    wanted = {
        "large": torch.zeros(400, 300).t(),
        "half": torch.zeros(70_000, dtype=torch.float64),
        "complex": torch.zeros(20_000, dtype=torch.complex64).conj(),
    }
    before = memory_of(wanted)
    found = load(wanted, StorageReader(tmp_path))
    assert torch.equal(found["large"], state(1)["large"])
    assert torch.equal(found["half"], state(1)["half"].double())
    assert torch.equal(found["complex"], state(1)["complex"])
    assert memory_of(found) == before


def test_it_reads_to_the_processors_memory_whatever_the_default_device_is(tmp_path: Path) -> None:
    """As with torch.set_default_device("cuda"): what is not read in place is copied from there."""
    write(tmp_path, 1)
    wanted = {"half": torch.zeros(70_000, dtype=torch.float64)}
    with torch.device("meta"):
        found = load(wanted, StorageReader(tmp_path))
    assert torch.equal(found["half"], state(1)["half"].double())


def test_a_tensor_that_is_no_memory_of_its_own_is_filled(tmp_path: Path) -> None:
    """A parameter, and a part of a larger tensor."""
    write(tmp_path, 1)
    around = torch.zeros(4, 300, 400)
    parameter = torch.nn.Parameter(torch.zeros(70_000, dtype=torch.bfloat16))
    load({"large": around[2], "half": parameter}, StorageReader(tmp_path))
    assert torch.equal(around[2], state(1)["large"])
    assert torch.equal(parameter.detach(), state(1)["half"])
    assert not around[[0, 1, 3]].any()


class Planner(DefaultLoadPlanner):
    """Wants a tensor of another size than it asks for."""

    def resolve_tensor(self, read_item: Any) -> torch.Tensor:
        """Return where an item goes."""
        return torch.zeros(3)


def test_another_size_or_no_tensor_is_an_error() -> None:
    """It names file and tensor."""
    index, zero = MetadataIndex("a"), torch.Size([0])
    request = ReadItem(LoadItemType.TENSOR, index, zero, index, zero, torch.Size([4]))
    wanted = Wanted(Item(storage_info("f", 7, 20, "", None)), [request], Metadata({}))
    stored = io.BytesIO()
    torch.save(torch.zeros(5), stored)
    with pytest.raises(IntegrityError, match=r"url: a is stored with the size \(4,\)"):
        deliver(wanted, [stored.getbuffer()], Planner(), "url")
    for wrong in (b"no tensor", b""):
        with pytest.raises(IntegrityError, match="url: no tensor at byte 7"):
            deliver(wanted, [memoryview(wrong)], Planner(), "url")
    stored = io.BytesIO()
    torch.save({"a": 1}, stored)
    with pytest.raises(IntegrityError, match="url: no tensor at byte 7"):
        deliver(wanted, [stored.getbuffer()], Planner(), "url")
