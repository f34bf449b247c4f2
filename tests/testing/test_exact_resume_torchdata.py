"""assert_exact_resume on torchdata's StatefulDataLoader: exact with the same workers alone."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import pytest
import torch
from torch.utils.data import DistributedSampler

from aisio.testing import assert_exact_resume

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    stateful_dataloader = pytest.importorskip(
        "torchdata.stateful_dataloader", reason="only those who use it install it"
    )

# torchdata calls it.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
COUNT = 24


def make_loader(rank: int, ranks: int, num_workers: int = 0) -> Any:
    """Return a loader that shuffles by its sampler."""
    torch.manual_seed(3)
    data: Any = list(range(COUNT))
    sampler: Any = DistributedSampler(data, ranks, rank)
    return stateful_dataloader.StatefulDataLoader(data, 4, sampler=sampler, num_workers=num_workers)


def check(*topologies: Any) -> None:
    """Check the loader, each rank with its own state."""
    assert_exact_resume(
        make_loader,
        range(COUNT),
        lambda batch: batch.tolist(),
        topologies=topologies,
        max_stops=2,
        max_state_bytes=20_000,
        max_state_growth_bytes=200,
        own_states=True,
        dumps=pickle.dumps,
        loads=pickle.loads,
    )


@pytest.mark.parametrize("topology", [1, 2, {"num_workers": 1}])
def test_the_same_topology_is_exact(topology: Any) -> None:
    """Whatever was prefetched."""
    check(topology)


def test_other_workers_are_refused() -> None:
    """Its state is that of its workers."""
    with pytest.raises(AssertionError, match="with num_workers=1, then 1 rank: .*single process"):
        check({"num_workers": 1}, 1)
