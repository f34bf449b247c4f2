"""SplitOptions: one way to say what divides a dataset, and errors for what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch  # noqa: F401 - the datasets need it

from aisio.errors import ConfigError
from aisio.training.split_options import SplitOptions


def test_to_split_among_workers_alone_is_to_have_no_ranks() -> None:
    """Whichever argument says it."""
    assert SplitOptions("worker").ranks is None
    assert SplitOptions("worker", None) == SplitOptions("worker")
    assert SplitOptions("none").ranks is None
    assert SplitOptions().ranks == "auto"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rank",), "split='rank': "),
        (("rank+worker", "auto", "equal"), "equalize='equal': "),
        (("worker", (0, 2)), r"split='worker' does not split over ranks, so ranks=\(0, 2\)"),
        (("none", (0, 2)), "split='none' does not split over ranks"),
    ],
)
def test_what_contradicts_itself_is_refused(arguments: Any, message: str) -> None:
    """When the dataset is made."""
    with pytest.raises(ConfigError, match=message):
        SplitOptions(*arguments)
