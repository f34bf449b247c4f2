"""LoaderNode: a Loader in a pipeline of torchdata.nodes, with the pipeline's state."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch  # noqa: F401 - the loader needs it
import torchdata.nodes as nodes

from aisio.errors import ConfigError
from aisio.training.loader import Loader
from aisio.training.loader_node import LoaderNode

AHEAD: dict[str, Any] = {
    "nothing": lambda node: node,
    "prefetcher": lambda node: nodes.Prefetcher(node, 3),
    "mapper": lambda node: nodes.ParallelMapper(node, list, num_workers=2, method="thread"),
}


def pipeline(ahead: str, **options: Any) -> Any:
    """Return a pipeline whose last node reads ahead in some way."""
    loader = Loader(range(23), 4, shuffle=True, seed=3, **options)
    return nodes.Loader(AHEAD[ahead](LoaderNode(loader)))


def epoch(of: Any) -> list[list[int]]:
    """Return the batches of an epoch, or what is left of it."""
    return [list(map(int, batch)) for batch in of]


EPOCHS = [epoch(loader) for loader in [Loader(range(23), 4, shuffle=True, seed=3)] for _ in "abc"]


@pytest.mark.parametrize("ahead", AHEAD)
def test_each_pass_is_an_epoch(ahead: str) -> None:
    """Those of the Loader alone."""
    of = pipeline(ahead)
    assert [epoch(of) for _ in range(3)] == EPOCHS


@pytest.mark.parametrize("ahead", AHEAD)
@pytest.mark.parametrize("stop", range(6))
def test_its_state_is_that_of_what_came_out(ahead: str, stop: int) -> None:
    """Whatever is read ahead; at the end of an epoch it is the next one's beginning."""
    first = pipeline(ahead)
    batches = iter(first)
    assert [list(map(int, next(batches))) for _ in range(stop)] == EPOCHS[0][:stop]
    again = pipeline(ahead)
    again.load_state_dict(json.loads(json.dumps(first.state_dict())))
    whole = EPOCHS[0][stop:] + EPOCHS[1]
    assert [*epoch(again), *(epoch(again) if stop < 5 else [])] == whole


def test_a_state_of_other_data_is_refused() -> None:
    """By the Loader."""
    state = pipeline("nothing").state_dict()
    other = nodes.Loader(LoaderNode(Loader(range(24), 4)))
    other.load_state_dict(state)
    with pytest.raises(ConfigError, match="of other data"):
        next(iter(other))
