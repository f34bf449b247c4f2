"""AISShardReader with equalize=: as many samples for each rank, also from within shards."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the reader needs it
from torch.utils.data import DataLoader

from aisio import AISShardReader, ConfigError, ShardError
from aisio.gateway import Gateway
from tests.tars import pack

COUNTS = (5, 1, 0, 9, 4)
KEYS = [f"{shard}{sample:02d}" for shard, count in enumerate(COUNTS) for sample in range(count)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the user an empty cache."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of shards that are indexed; one of them is compressed."""
    folder = tmp_path / "bucket" / "data"
    folder.mkdir(parents=True)
    for shard, count in enumerate(COUNTS):
        members = [(f"{shard}{sample:02d}.{end}", b"x") for sample in range(count) for end in "ab"]
        data = pack(*members)
        name = f"{shard}.tar.gz" if shard == 4 else f"{shard}.tar"
        (folder / name).write_bytes(gzip.compress(data) if shard == 4 else data)
    return folder


def build_index(source: object) -> None:
    """Index the shards, on the way of an epoch."""
    list(AISShardReader(source, index="build"))


def keys_of(reader: AISShardReader, workers: int, **options: Any) -> list[list[str]]:
    """Return the batches of a DataLoader."""
    loader = DataLoader(reader, batch_size=2, num_workers=workers, **options)
    return [list(keys) for keys, _ in loader]


@pytest.mark.filterwarnings("ignore:.*a shard without files")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(("equalize", "total"), [("drop", 18), ("pad", 21)])
@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_make_as_many_batches(folder: Path, equalize, total, workers: int) -> None:
    """Of three ranks; the length is what comes, and comes without reading."""
    build_index(folder)
    found = []
    for rank in range(3):
        reader = AISShardReader(folder, ranks=(rank, 3), equalize=equalize, length="index")
        batches = keys_of(reader, workers)
        assert len(batches) == reader.count_batches(2, num_workers=workers)
        assert sum(map(len, batches)) == reader.count() == len(reader) == total // 3
        assert reader.count_batches(2, num_workers=workers, drop_last=True) == len(
            keys_of(reader, workers, drop_last=True)
        )
        found.append(batches)
    assert len({len(batches) for batches in found}) == 1
    keys = sorted(key for batches in found for batch in batches for key in batch)
    assert keys == sorted(KEYS[:18] if equalize == "drop" else [*KEYS, *KEYS[:2]])


@pytest.mark.filterwarnings("ignore:.*a shard without files")
def test_more_ranks_and_workers_than_shards(folder: Path) -> None:
    """Each has its part, of a shard that is read by ranges."""
    build_index(folder)
    readers = [AISShardReader(folder, ranks=(rank, 9), equalize="drop") for rank in range(9)]
    shares = [[key for key, _ in reader] for reader in readers]
    assert shares == [KEYS[2 * rank : 2 * rank + 2] for rank in range(9)]
    with pytest.raises(ConfigError, match="too few samples, 19 for 20 ranks"):
        list(AISShardReader(folder, ranks=(0, 20), equalize="drop"))


@pytest.mark.filterwarnings("ignore:.*a shard without files")
def test_a_part_of_a_shard_is_a_part_of_its_bytes(folder: Path) -> None:
    """Read from a store by one ranged GET; the rest of the shard is not sent."""
    (folder / "4.tar.gz").unlink()
    with Gateway(folder.parent.parent) as gateway:
        url = "ais://bucket/data/"
        list(AISShardReader(url, endpoint=gateway.endpoint, index="build"))
        shares, sent = [], []
        for rank in range(5):
            reader = AISShardReader(
                url, endpoint=gateway.endpoint, ranks=(rank, 5), equalize="drop"
            )
            shares.append([key for key, _ in reader])
            sent.append(reader.stats()["bytes_read"])
    assert shares == [KEYS[3 * rank : 3 * rank + 3] for rank in range(5)]
    size = (folder / "3.tar").stat().st_size
    assert sent[3] == 3 * 2 * 1024 < size


@pytest.mark.filterwarnings("ignore:.*a shard without files")
def test_a_shard_that_was_replaced_has_no_index(folder: Path) -> None:
    """Its samples may be others now."""
    build_index(folder)
    shard = folder / "3.tar"
    shard.write_bytes(shard.read_bytes())
    with pytest.raises(ConfigError, match="3.tar has no index"):
        list(AISShardReader(folder, ranks=(1, 2), equalize="drop"))


@pytest.mark.filterwarnings("ignore:.*a shard without files")
@pytest.mark.parametrize(("count", "ranks"), [(2, (0, 1)), (7, (0, 1)), (2, (1, 2))])
def test_a_shard_that_is_replaced_later_is_an_error(folder: Path, count: int, ranks) -> None:
    """With fewer or more samples ranks would not make as many batches; read whole, or a part."""
    build_index(folder)
    reader = AISShardReader(folder, ranks=ranks, equalize="drop")
    assert reader.count() == 19 // ranks[1]
    members = [(f"{number}.a", b"") for number in range(count)]
    (folder / "4.tar.gz").write_bytes(gzip.compress(pack(*members)))
    with pytest.raises(ShardError, match=f"4 samples were indexed, it has {count}: it was"):
        list(reader)


def test_without_an_index_the_error_says_how_to_make_one(folder: Path) -> None:
    """Whether it is read, counted or asked for its length."""
    for use in (list, AISShardReader.count, AISShardReader.__len__):
        reader = AISShardReader(folder, ranks=(0, 2), equalize="pad", length="index")
        with pytest.raises(ConfigError, match="0.tar has no index.*`aisio index` makes one"):
            use(reader)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"on_error": "skip"}, "on_error="),
        ({"partition_sources_by_worker": True}, "partition_sources_by_worker="),
        ({"etl_name": "etl", "index": None}, "etl_name= and index="),
    ],
)
def test_what_would_make_ranks_differ_is_refused(folder: Path, arguments, text: str) -> None:
    """When the reader is made."""
    with pytest.raises(ConfigError, match=f"{text} does not allow"):
        AISShardReader(folder, equalize="drop", **arguments)
