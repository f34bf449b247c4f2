"""RankStates: ranks with the same state, with different ones, and a rank that does not come."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from torch import distributed

from aisio.errors import ConfigError
from aisio.training.rank_states import RankStates

stores: Any = distributed  # they have no types


class Clock:
    """Time that passes where somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def compare(*texts: str) -> list[list[str]]:
    """Return what each rank finds out, all at once."""
    store = stores.HashStore()
    states = [RankStates(store, "key", rank, len(texts)) for rank in range(len(texts))]
    with ThreadPoolExecutor(len(texts)) as threads:
        return list(threads.map(lambda one, text: one.differing(text), states, texts))


def test_the_same_states() -> None:
    """Nothing differs, on any rank."""
    assert compare("a", "a", "a") == [[], [], []]


def test_different_states() -> None:
    """Each rank has those of all, in the order of the ranks."""
    assert compare("a", "b", "a") == [["a", "b", "a"]] * 3


def test_a_rank_that_does_not_come_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """By a warning first, and then by an error: nobody waits for ever."""
    clock = Clock()
    alone = RankStates(
        stores.HashStore(), "key", 0, 3, patience_s=60, clock=clock, sleep=clock.sleep
    )
    with (
        caplog.at_level(logging.WARNING, "aisio.loader"),
        pytest.raises(ConfigError, match="^ranks 1, 2 did not compare .* for 60 s: call load_"),
    ):
        alone.differing("a")
    assert [record.getMessage()[:23] for record in caplog.records] == ["waiting for ranks 1, 2 "]
    assert 60 <= clock.now_s < 61
