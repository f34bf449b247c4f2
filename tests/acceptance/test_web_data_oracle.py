"""The released bionemo-webdatamodule beside ours: WDM-02, and what the shards of both hold."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import lightning  # noqa: F401 - the data modules need it
import pytest
import torch  # noqa: F401 - so do they
import webdataset as wds

from aisio.integrations import lightning as ours
from tests.pickle_folder import SUFFIXES, contents, samples_in, write_pickles

theirs = pytest.importorskip("bionemo.webdatamodule.datamodule")
their_utils = pytest.importorskip("bionemo.webdatamodule.utils")

NAMES = [f"sample.{number:02d}" for number in range(10)]
FOLDERS = ("train", "val", "test")
pytestmark = [
    # What webdataset warns of by default, and local files that it leaves open.
    pytest.mark.filterwarnings("ignore:WebDataset.shardshuffle"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def pickles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of ten samples of two files each."""
    return write_pickles(tmp_path_factory.mktemp("oracle") / "pickles", NAMES)


def data_module(package: Any, root: Path, pickles: Path, **options: Any) -> Any:
    """Return a module of either package, after its shards were written."""
    split = package.Split
    names = {split.train: NAMES[:5], split.val: NAMES[5:8], split.test: NAMES[8:]}
    folders = {one: str(root / one.name) for one in split}
    seeds = {
        split.train: wds.shuffle(5, rng=random.Random(1)),
        split.val: [wds.shuffle(5, rng=random.Random(2))],
        split.test: None,
    }
    loader = {one: {"batch_size": None} for one in split}
    calls = {one: [("with_epoch", {"nsamples": 7})] for one in split}
    one = package.PickledDataWDS(
        str(pickles),
        names,
        list(SUFFIXES),
        folders,
        n_tars_wds=2,
        prefix_tars_wds="digits",
        pipeline_wds=seeds,
        pipeline_prebatch_wld=dict.fromkeys(split, wds.batched(2)),
        kwargs_wld=loader,
        **{"invoke_wds": calls, **options},
    )
    one.prepare_data()
    return one


@pytest.mark.parametrize("options", [{}, {"invoke_wds": None}], ids=["calls", "no calls"])
def test_wdm_02_both_give_the_same_batches(
    tmp_path: Path, pickles: Path, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the newer form, for every stage, in two epochs."""
    found = []
    for package, name in ((theirs, "theirs"), (ours, "ours")):
        one = data_module(package, tmp_path / name, pickles, **options)
        one.setup("fit")
        one.setup("predict")
        loaders = (one.train_dataloader(), one.val_dataloader(), one.predict_dataloader())
        found.append([list(loader) for loader in loaders for _ in range(2)])
    assert found[0] == found[1]
    assert all(found[0])


@pytest.mark.parametrize("at_least", [1, 2, 3, 4, 7, 10, None])
def test_wdm_19_both_write_as_many_shards(
    tmp_path: Path, pickles: Path, at_least: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of as many samples, under the same names."""
    for package, name in ((their_utils, "theirs"), (ours, "ours")):
        package.pickles_to_tars(
            str(pickles), NAMES, list(SUFFIXES), str(tmp_path / name), "x", min_num_shards=at_least
        )
    sizes = [
        {path.name: samples_in(path) for path in (tmp_path / name).iterdir()}
        for name in ("theirs", "ours")
    ]
    assert sizes[0] == sizes[1]
    assert len(contents(tmp_path / "ours")) == len(sizes[0])
