"""whole_number: an int, or an error that names the argument."""

from __future__ import annotations

import numpy as np
import pytest

from aisio.errors import ConfigError
from aisio.training.whole_number import whole_number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_any_whole_number_becomes_an_int(value: object) -> None:
    """So that JSON can hold it."""
    assert whole_number("batch_size", value, 3) == 3
    assert type(whole_number("batch_size", value, 0)) is int


@pytest.mark.parametrize("value", [2, -1, 3.0, True, "3", None])
def test_all_else_is_refused(value: object) -> None:
    """As is what is too small."""
    with pytest.raises(
        ConfigError, match=f"batch_size={value!r} is not a whole number of at least"
    ):
        whole_number("batch_size", value, 3)
