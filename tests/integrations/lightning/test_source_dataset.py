"""open_dataset(): which dataset a source is, and that datasets are left as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the datasets need it

import aisio
from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.integrations.lightning.source_dataset import open_dataset
from tests.tars import pack


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with three objects."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(b"x")
    return folder


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Return a folder with two shards of two samples, and a file that is none."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(2):
        names = [f"{2 * shard + number}.cls" for number in range(2)]
        (folder / f"{shard}.tar").write_bytes(pack(*((name, b"1") for name in names)))
    (folder / "0.json").write_bytes(b"{}")
    return folder


@pytest.mark.parametrize("kind", [str, Path, aisio.source, lambda url: [url]])
def test_shards_are_read_by_their_samples(shards: Path, kind: Any) -> None:
    """Whatever form the source has."""
    what = shards if kind is Path else kind(f"file://{shards}/")
    dataset = open_dataset(what, "Data")
    assert isinstance(dataset, aisio.AISShardDataset)
    assert len(dataset) == 4


def test_other_objects_are_read_whole(images: Path) -> None:
    """Several sources are one dataset."""
    dataset = open_dataset([f"file://{images}/", f"file://{images}/"], "Data")
    assert isinstance(dataset, aisio.AISMapDataset)
    assert len(dataset) == 6


@pytest.mark.parametrize("dataset", [range(3), [1, 2], ["a.jpg", 1], []])
def test_a_dataset_is_left_as_it_is(dataset: Any) -> None:
    """A list of anything but sources is a dataset."""
    assert open_dataset(dataset, "Data") is dataset


def test_a_function_makes_a_dataset() -> None:
    """When the data module is set up; a dataset that can be called is none."""

    class Called(list[int]):
        def __call__(self) -> None:
            raise AssertionError

    assert open_dataset(lambda: range(3), "Data") == range(3)
    called = Called([1])
    assert open_dataset(called, "Data") is called


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Not an empty dataset."""
    with pytest.raises(NotFoundError, match="nothing"):
        open_dataset(f"file://{tmp_path}/nothing/", "Data")
    with pytest.raises((UrlError, ConfigError)):
        open_dataset("no url", "Data")
