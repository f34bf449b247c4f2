"""`include=` and `exclude=` of all datasets."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch  # noqa: F401

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMapDataset,
    AISMultiShardStream,
    AISShardDataset,
    AISShardReader,
)
from aisio.errors import ConfigError, NotFoundError
from aisio.shards.index import ShardIndex
from aisio.shards.index_build import build_shard_index
from aisio.sources.resolve import source
from tests.tars import pack


@pytest.fixture
def folder(tmp_path):
    """Return a folder of shards of one sample, each with a file beside it."""
    for name in ("train/0", "train/1", "val/2"):
        path = tmp_path / f"{name}.tar"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pack((f"{name[-1]}.cls", name[-1].encode())))
        path.with_suffix(".json").write_bytes(b"{}")
    return f"file://{tmp_path}/"


@pytest.mark.parametrize("kind", [AISMapDataset, AISIterDataset, AISBatchIterDataset])
def test_object_datasets_read_what_the_patterns_take(folder, kind):
    """By the constructor, and by those of one kind of source."""
    options: dict[str, Any] = {"include": "*.json", "exclude": "val/"}
    for dataset in (kind(folder, **options), kind.from_prefix(folder, **options)):
        items = [dataset[i] for i in range(len(dataset))] if kind is AISMapDataset else dataset
        assert [name.rpartition("/")[2] for name, _ in items] == ["0.json", "1.json"]


def test_the_index_of_a_tar_has_no_names(tmp_path):
    """So patterns for them cannot be."""
    with pytest.raises(ConfigError, match="include, exclude: the index of a tar"):
        AISMapDataset.from_tar(tmp_path / "a.tar", tmp_path / "a.idx", include="*.jpg")


def test_shard_datasets_read_what_the_patterns_take(folder):
    """Beside what is no shard, which they leave out."""
    assert [name for name, _ in AISShardReader(folder, exclude="train/1*")] == ["0", "2"]
    samples = AISShardDataset(folder, include="train/")
    assert [samples[number][0] for number in range(len(samples))] == ["0", "1"]
    stream = AISMultiShardStream([folder, folder], exclude="train/1*")
    assert list(stream) == [(b"0", b"0"), (b"2", b"2")]
    with pytest.raises(NotFoundError, match=r"skipped 3 \(not named .*: 3 \*.json\)"):
        list(AISShardReader(folder, include="*.json"))


def test_the_index_of_the_whole_folder_serves_a_part_of_it(folder, tmp_path, caplog):
    """What it has of others is not missed, whether the dataset or its source has the patterns."""
    found = source(folder)
    shards = [info for info in found.list() if info.name.endswith(".tar")]
    built = [(build_shard_index(partial(found.get, info), info), 0) for info in shards]
    index = ShardIndex.of_shards(built, folder=folder)
    (tmp_path / ".aisio-index").write_bytes(index.to_bytes())
    parts: list[tuple[Any, dict[str, Any]]] = [
        (folder, {"exclude": "val/"}),
        (source(folder, exclude="val/"), {}),
    ]
    for part, options in parts:
        assert len(AISShardDataset(part, index="require", **options)) == 2
        assert len(AISShardReader(part, length="index", **options)) == 2
    assert "aisio.shard_index" not in {record.name for record in caplog.records}


@pytest.mark.parametrize("kind", [AISIterDataset, AISShardReader, AISMultiShardStream])
def test_a_state_of_other_patterns_is_refused(folder, kind):
    """Though they differ only in what comes behind the state."""
    old: Any = {"include": "*.tar"}
    new: Any = {}
    states = []
    for options in (new, old):
        items: Any = iter(kind([folder], **options))
        next(items)
        states.append(items.state_dict())
    text = r"saved with .*include=.* and this dataset has .*: begin"
    for state, options in zip(states, (old, new), strict=True):
        items = iter(kind([folder], **options))
        with pytest.raises(ConfigError, match=text):
            items.load_state_dict(state)
    items = iter(kind([folder], include=["*.tar"]))
    items.load_state_dict(states[1])
    assert len(list(items)) == 2
