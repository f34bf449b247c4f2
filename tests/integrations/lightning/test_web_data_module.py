"""WebDataModule: bytes come through aisio, whatever is asked of webdataset."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning  # noqa: F401 - the data modules need it
import pytest
import torch  # noqa: F401 - so do they
import webdataset as wds
from webdataset.cache import FileCache

from aisio.errors import AisioError, MissingExtraError, ShardError
from aisio.gateway import Gateway
from aisio.integrations.lightning import Split, WebDataModule, pickles_to_tars
from tests.pickle_folder import SUFFIX, write_pickles

NAMES = [f"{number:02d}" for number in range(6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three shards, which is a bucket of `store`."""
    pickles = write_pickles(tmp_path / "pickles", NAMES, [SUFFIX])
    folder = tmp_path / "store" / "data"
    pickles_to_tars(pickles, NAMES, SUFFIX, folder, "x", min_num_shards=3)
    return folder


@pytest.fixture
def cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of that bucket."""
    with Gateway(folder.parent) as gateway:
        monkeypatch.setenv("AIS_ENDPOINT", gateway.endpoint)
        yield "ais://data"


def read(where: Any, **options: Any) -> list[str]:
    """Return the names of the samples that a loader gives."""
    one = WebDataModule(SUFFIX, {Split.test: where}, "x", **options)
    one.setup("test")
    return [sample[0][0] for sample in one.test_dataloader()]


def test_a_cut_shard_of_this_machine_is_an_error(folder: Path) -> None:
    """Python's tarfile, with which webdataset reads, takes a cut at a header for the end."""
    shard = folder / "x-000001.tar"
    shard.write_bytes(shard.read_bytes()[:1024])
    with pytest.raises(ShardError, match=r"x-000001\.tar"):
        read(folder)
    skipping = {Split.test: {"handler": wds.ignore_and_continue}}
    assert read(folder, kwargs_wds=skipping) == [*NAMES[:2], *NAMES[4:]]
    with pytest.raises(ShardError, match=r"x-000001\.tar"):
        read(folder, kwargs_wds={Split.test: {"cache_dir": str(folder)}})


def test_webdatasets_cache_keeps_shards_of_a_store(
    folder: Path, cluster: str, tmp_path: Path
) -> None:
    """It downloads them by aisio."""
    cached = {Split.test: {"cache_dir": str(tmp_path)}}
    one = WebDataModule(SUFFIX, {Split.test: cluster}, "x", kwargs_wds=cached)
    one.setup("test")
    (cache,) = (
        stage for stage in one._dataset[Split.test].pipeline if isinstance(stage, FileCache)
    )
    for shard in folder.iterdir():
        copy = Path(cache.get_file(f"{cluster}/{shard.name}"))
        assert copy.is_relative_to(tmp_path)
        assert copy.read_bytes() == shard.read_bytes()


def test_a_suffix_is_read_in_lower_case(folder: Path) -> None:
    """As webdataset has all of them."""
    one = WebDataModule(SUFFIX.upper(), {Split.test: folder}, "x")
    one.setup("test")
    assert len(list(one.test_dataloader())) == 6


def test_an_error_about_a_folder_names_the_split() -> None:
    """Whatever is wrong with it."""
    one = WebDataModule(SUFFIX, {Split.train: "as://b/t", Split.val: "ais://b/v"})
    with pytest.raises(AisioError, match=r"Split\.train: 'as://b/t': unknown scheme"):
        one.setup("fit")


def test_a_method_returns_what_it_changed(folder: Path) -> None:
    """Otherwise there is nothing to go on with."""
    calls = {Split.test: [("append", {"f": iter})]}
    with pytest.raises(TypeError, match=r"Split\.test: append\(\) returned None"):
        read(folder, invoke_wds=calls)


@pytest.mark.parametrize("package", ["lightning.pytorch", "webdataset"])
def test_a_missing_package_comes_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """Both are of one extra."""
    module = "aisio.integrations.lightning.web_data_module"
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightning"):
        importlib.import_module(module)


def test_a_subclass_may_write_the_shards_itself(tmp_path: Path) -> None:
    """It knows folders and prefix by the original's names."""

    class Own(WebDataModule):
        def prepare_data(self) -> None:
            for folder in self._dirs_tars_wds.values():
                pickles = write_pickles(tmp_path / "pickles", NAMES, [SUFFIX])
                pickles_to_tars(
                    pickles, NAMES, self._suffix_keys_wds, folder, self._prefix_tars_wds
                )

    one = Own({Split.test: 6}, SUFFIX, {Split.test: tmp_path / "out"}, 1)
    one.prepare_data()
    one.setup("test")
    assert len(list(one.test_dataloader())) == 6
