"""What the order of a Loader's epochs begins with."""

from __future__ import annotations

import pytest
import torch  # noqa: F401

from aisio.errors import ConfigError
from aisio.training.loader_order import check_dataset, start_of_job, topology_of
from aisio.training.mix import mix
from aisio.training.order.cut import Topology
from aisio.training.order.mix_position import MixPosition, MixTopology
from aisio.training.order.position import Position
from aisio.training.order.sample_filter import SampleFilter


def test_a_dataset_and_a_mix() -> None:
    """Each has its own."""
    both = mix({range(3): 1, range(5): 2})
    assert topology_of(range(3), 4, "drop") == Topology(1, 1, 4, 1, "drop")
    assert topology_of(both, 4, "pad") == MixTopology(1, 1, 4, 1, "pad", (1, 2), "stop")
    plain = start_of_job(range(3), SampleFilter(range(3)), seed=1, shuffle=True, pack=2)
    assert plain == Position(3, 1, True, 2)
    mixed = start_of_job(both, SampleFilter(both), seed=1, shuffle=False, pack=1)
    assert mixed == MixPosition(8, 1, False, sizes=(3, 5))
    with pytest.raises(ConfigError, match="not for a mix"):
        start_of_job(both, SampleFilter(both, [1]), seed=1, shuffle=False, pack=1)


def test_what_a_loader_cannot_read() -> None:
    """What has no order or no sample; a string is the URL of one."""
    check_dataset(range(3))
    with pytest.raises(ConfigError, match="make one of the URL"):
        check_dataset("ais://b/")
    with pytest.raises(ConfigError, match="torch's DataLoader reads iterable datasets"):
        check_dataset(iter(range(3)))
    with pytest.raises(ConfigError, match="range has no sample"):
        check_dataset(range(0))
