"""MemoryOptions: numbers that cannot be meant are refused."""

from __future__ import annotations

from typing import Any

import pytest

from aisio import ConfigError
from aisio.models import MemoryOptions


@pytest.mark.parametrize(
    "options",
    [{"from_bytes": 0}, {"concurrency": 0}, {"max_bytes": -1}, {"from_bytes": 1.5}],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """With the name of the setting."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        MemoryOptions(**options)
