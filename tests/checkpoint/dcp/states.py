"""States that are saved, in one process, and what takes them back."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

from aisio.checkpoint import StorageReader, StorageWriter

# Its names are not declared as exported.
dcp: Any = import_module("torch.distributed.checkpoint")


def state(number: int) -> dict[str, Any]:
    """Return tensors of many kinds, and other values; all are of the number."""
    generator = torch.Generator().manual_seed(number)
    large = torch.randn(300, 400, generator=generator)
    return {
        "large": large,
        "half": torch.randn(70_000, generator=generator).to(torch.bfloat16),
        "transposed": large.t(),
        "complex": torch.randn(20_000, generator=generator).to(torch.complex64).conj(),
        "part": large[3:5],
        "scalar": torch.tensor(float(number)),
        "small": torch.arange(number, number + 5),
        "empty": torch.empty(0, 3),
        "bool": torch.tensor([True, False]),
        "values": {"step": number, "names": ["a", "b"]},
    }


def zeros(like: dict[str, Any]) -> dict[str, Any]:
    """Return a state of the same sizes, without its content."""
    return {
        name: torch.zeros_like(value.resolve_conj()) if isinstance(value, torch.Tensor) else {}
        for name, value in like.items()
    } | {"values": {"step": -1, "names": ["", ""]}}


def save(content: dict[str, Any], writer: Any, **options: Any) -> None:
    """Save in this process alone; torch warns that it is alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(content, storage_writer=writer, **options)


def load(content: dict[str, Any], reader: Any, **options: Any) -> dict[str, Any]:
    """Load into a state in this process alone, and return it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.load(content, storage_reader=reader, **options)
    return content


def equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Tell whether two states are equal."""
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name])
        if isinstance(value, torch.Tensor)
        else value == second[name]
        for name, value in first.items()
    )


def check(url: Any, number: int, **options: Any) -> None:
    """Check that a state is at a URL."""
    found = load(zeros(state(number)), StorageReader(url, **options))
    assert equal(found, state(number))


def write(url: Any, number: int, **options: Any) -> None:
    """Write a state to a URL."""
    save(state(number), StorageWriter(url, **options))


class Parts(DefaultLoadPlanner):
    """Wants a part of each stored tensor: that of the tensor to be loaded, from an offset on.

    Args:
        offsets: Of the part, by the names of the tensors.
    """

    def __init__(self, offsets: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self._offsets = offsets

    def create_local_plan(self) -> LoadPlan:
        """See DefaultLoadPlanner."""
        items = []
        for name, target in self.state_dict.items():
            assert self.metadata is not None
            about: Any = self.metadata.state_dict_metadata[name]
            part = ChunkStorageMetadata(torch.Size(self._offsets[name]), target.size())
            items += create_read_items_for_chunk_list(name, about, [part])
        return LoadPlan(items)

    def lookup_tensor(self, index: Any) -> torch.Tensor:
        """See DefaultLoadPlanner."""
        found: torch.Tensor = self.state_dict[index.fqn]
        return found
