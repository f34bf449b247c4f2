"""PickledDataWDS: which form its arguments have, and where Lightning prepares the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning  # noqa: F401 - the data modules need it
import pytest
import torch  # noqa: F401 - so do they

from aisio.integrations.lightning import PickledDataWDS, Split

NAMES = {Split.train: ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("args", "kwargs", "n_samples"),
    [
        (("pyd", {Split.train: "t"}, 2), {}, {Split.train: 3}),
        (("pyd", {Split.train: "t"}), {"global_batch_size": 2}, {Split.train: 3}),
        (("pyd",), {"dirs_tars_wds": {Split.train: "t"}, "global_batch_size": 2}, {Split.train: 3}),
        (
            (),
            {"suffix_keys_wds": "pyd", "dirs_tars_wds": {Split.train: "t"}, "global_batch_size": 2},
            {Split.train: 3},
        ),
        (("pyd", {Split.train: "t"}), {}, None),
        (("pyd", {Split.train: "t"}, "x"), {}, None),
        ((), {"suffix_keys_wds": "pyd", "dirs_tars_wds": {Split.train: "t"}}, None),
    ],
)
def test_the_number_of_samples_is_that_of_the_names(args: Any, kwargs: Any, n_samples: Any) -> None:
    """In the form that has a global_batch_size."""
    assert PickledDataWDS("p", NAMES, *args, **kwargs)._n_samples == n_samples


def test_names_are_several(tmp_path: Path) -> None:
    """The letters of a text would be names, too."""
    with pytest.raises(TypeError, match=r"names_subset: 'abc' for Split\.train: expected several"):
        PickledDataWDS(tmp_path, {Split.train: "abc"}, "pyd", {Split.train: "t"})


def test_one_node_prepares_what_all_of_them_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may be one of each node."""
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    for where, each_node in (("ais://b/t", False), ("/data/t", True)):
        one = PickledDataWDS("p", NAMES, "pyd", {Split.train: where})
        assert one.prepare_data_per_node is each_node
