"""What tests read of a Loader whose samples are numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aisio.training.loader import Loader


def epoch(of: Loader | Iterator[Any]) -> list[list[int]]:
    """Return the batches of an epoch, or what is left of it."""
    return [batch.tolist() for batch in of]


def take(of: Loader, count: int) -> list[list[int]]:
    """Return the first batches of an epoch, and stop there."""
    batches = iter(of)
    return [next(batches).tolist() for _ in range(count)]


def flat(batches: list[list[int]]) -> list[int]:
    """Return the samples of batches."""
    return [sample for batch in batches for sample in batch]


def saved(of: Loader) -> Any:
    """Return a state as a checkpoint would hold it."""
    text = json.dumps(of.state_dict())
    assert len(text) < 2000
    return json.loads(text)
