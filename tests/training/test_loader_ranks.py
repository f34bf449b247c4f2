"""LoaderRanks: the rank of this process, and an error that names ranks with other states."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch  # noqa: F401 - the loader needs it

from aisio.errors import ConfigError
from aisio.training.loader_ranks import LoaderRanks, states_differ


def state(epoch: int, *batches: int, **more: Any) -> str:
    """Return a state with segments of so many batches."""
    return json.dumps({"seed": 0, "epoch": epoch, "segments": [[1, one] for one in batches]} | more)


def test_the_same_states_do_not_differ() -> None:
    """Of any number of ranks."""
    assert states_differ([state(1, 2)]) == ""
    assert states_differ([state(1, 2)] * 5) == ""


def test_what_differs_is_named() -> None:
    """The state of most ranks comes first."""
    message = states_differ([state(1, 9), state(0, 3, 4), state(0, 3, 4)])
    assert "epoch 0 and 7 batches on ranks 1, 2; epoch 1 and 9 batches on ranks 0." in message
    assert "They differ in epoch, segments: load the same state on all ranks" in message
    assert "They differ in seed:" in states_differ([state(1, 9), state(1, 9, seed=2)])
    skipping = [state(1, 9), state(1, 9, skip="1 samples a")]
    for states in (skipping, skipping[::-1]):
        assert "They differ in skip:" in states_differ(states)


def test_the_message_of_a_large_job_is_short() -> None:
    """Whether all ranks differ or many are the same."""
    assert len(states_differ([state(0, rank + 1) for rank in range(4096)])) < 1000
    assert "0, 1, 2, 3, 4, 5, 6, 7 ...;" in states_differ([state(0, 1)] * 4095 + [state(0, 2)])


@pytest.mark.parametrize("ranks", [None, (1, 2), "auto"])
def test_without_a_process_group_nothing_is_compared(ranks: Any) -> None:
    """Nobody is there to compare with."""
    LoaderRanks(ranks, "Loader").check_same({"epoch": 1})


def test_ranks_that_are_said() -> None:
    """As any whole numbers."""
    assert LoaderRanks(None, "Loader").current() == (0, 1)
    assert LoaderRanks((np.int64(1), 2), "Loader").current() == (1, 2)


@pytest.mark.parametrize("ranks", [(2, 2), (-1, 2), (0, 0), (0,), (True, 2), [0, 2], "rank", 3])
def test_what_is_no_rank_is_refused(ranks: Any) -> None:
    """When the loader is made."""
    with pytest.raises(ConfigError, match="rank"):
        LoaderRanks(ranks, "Loader")
