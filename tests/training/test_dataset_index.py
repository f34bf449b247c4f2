"""open_index: beside the data, in the cache, from anywhere, or built."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the dataset needs it

from aisio.errors import ConfigError, IntegrityError, NotFoundError, ShardError
from aisio.shards.index import ShardIndex
from aisio.shards.index_cache import IndexCache
from aisio.stores import LocalStore
from aisio.training.shard_dataset import AISShardDataset
from tests.indexed import local
from tests.tars import pack

SHARDS = {"0.tar": pack(("1.a", b"1"), ("2.a", b"2")), "1.tar": pack(("3.a", b"3"))}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have an empty cache."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def names(folder: Path, **options: Any) -> list[str]:
    """Read the names of all samples."""
    return names_in(AISShardDataset(f"file://{folder}/", keys=["a"], **options))


def names_in(of: AISShardDataset) -> list[str]:
    """Return the names of all samples."""
    return [of[number][0] for number in range(len(of))]


def test_it_is_built_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is built is said before; then it is in the cache."""
    local(folder, SHARDS)
    size = sum(map(len, SHARDS.values()))
    with caplog.at_level(logging.WARNING, "aisio.shard_index"):
        assert names(folder) == ["1", "2", "3"]
        [record] = caplog.records
        assert f"<AISShardDataset> 2 shards not indexed ({folder.as_uri()}/0.tar" in record.message
        assert f"reading them once ({size:,} bytes)" in record.message
        assert f"`aisio index {folder.as_uri()}/`" in record.message
        assert names(folder) == names(folder, index="require") == ["1", "2", "3"]
        assert len(caplog.records) == 1


def test_stale_shards_alone_are_read_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The others are known."""
    local(folder, SHARDS)
    names(folder)
    (folder / "0.tar").write_bytes(pack(("4.a", b"4")))
    with caplog.at_level(logging.WARNING, "aisio.shard_index"):
        assert names(folder) == ["4", "3"]
    assert "1 shard replaced since" in caplog.records[-1].message
    assert f"({len(pack(('4.a', b'4'))):,} bytes)" in caplog.records[-1].message


def test_shards_that_are_gone_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The index beside the data still has them; a dataset that is shorter says so."""
    local(folder, SHARDS)
    index = AISShardDataset(f"file://{folder}/", keys=["a"]).index
    (folder / ".aisio-index").write_bytes(index.to_bytes())
    (folder / "0.tar").unlink()
    caplog.clear()
    with caplog.at_level(logging.WARNING, "aisio.shard_index"):
        assert names(folder) == ["3"]
        [record] = caplog.records
        assert f"1 shard is in the index, and gone ({folder.as_uri()}/0.tar)" in record.message
        assert f"`aisio index {folder.as_uri()}/`" in record.message


def test_shards_that_are_not_asked_for_are_not_gone(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """shard_names= leaves out shards that the index has."""
    local(folder, SHARDS)
    index = AISShardDataset(f"file://{folder}/", keys=["a"]).index
    (folder / ".aisio-index").write_bytes(index.to_bytes())
    caplog.clear()
    with caplog.at_level(logging.WARNING, "aisio.shard_index"):
        assert names(folder, shard_names="1.tar") == ["3"]
    assert not [record for record in caplog.records if record.name == "aisio.shard_index"]


class Waits(logging.Handler):
    """Tells when somebody logs that it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        if "another process of this machine indexes them" in record.getMessage():
            self.seen.set()


def test_who_starts_meanwhile_waits(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of ranks that start at once, one reads the shards; the others say what they wait for."""
    index, urls = local(folder, SHARDS)
    log, waits = logging.getLogger("aisio.shard_index"), Waits()
    log.addHandler(waits)
    try:
        with ThreadPoolExecutor(1) as pool:
            with IndexCache().building(map(LocalStore().head, urls), pytest.fail):
                other = pool.submit(names, folder)
                assert waits.seen.wait(60)
                IndexCache().save_merged(index)
            assert other.result() == ["1", "2", "3"]
    finally:
        log.removeHandler(waits)
    assert not [record for record in caplog.records if "reading them once" in record.message]


def test_it_may_be_required(folder: Path, cache: Path) -> None:
    """Then nothing is read that the user does not expect; the error has the command."""
    local(folder, SHARDS)
    command = f"run `aisio index {folder.as_uri()}/`"
    with pytest.raises(ConfigError, match=f"<AISShardDataset> 2 shards not indexed .*{command}"):
        names(folder, index="require")
    assert not list(cache.glob("**/*.aisio-index"))


@pytest.mark.parametrize("url", ["", "/{0..1}.tar", "/*.tar", "/1.tar"])
def test_the_index_of_the_folder_is_found(folder: Path, url: str) -> None:
    """Also for a URL without its slash, a pattern and a part of the shards."""
    local(folder, SHARDS)
    index = AISShardDataset(f"file://{folder}/", keys=["a"]).index
    (folder / ".aisio-index").write_bytes(index.to_bytes())
    shutil.rmtree(os.environ["AISIO_CACHE_DIR"])
    dataset = AISShardDataset(f"file://{folder}{url}", keys=["a"], index="require")
    assert names_in(dataset) == (["3"] if url == "/1.tar" else ["1", "2", "3"])


def test_the_index_of_the_folder_may_lack_shards(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """These alone are read."""
    local(folder, {"0.tar": SHARDS["0.tar"]})
    index = AISShardDataset(f"file://{folder}/", keys=["a"]).index
    (folder / ".aisio-index").write_bytes(index.to_bytes())
    shutil.rmtree(os.environ["AISIO_CACHE_DIR"])
    local(folder, SHARDS)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "aisio.shard_index"):
        dataset = AISShardDataset(f"file://{folder}/{{0..1}}.tar", keys=["a"])
    assert names_in(dataset) == ["1", "2", "3"]
    [record] = caplog.records
    assert f"1 shard not indexed ({folder.as_uri()}/1.tar)" in record.message


def test_beside_the_data(folder: Path) -> None:
    """Where `aisio index` writes it; it is no shard."""
    index, _ = local(folder, SHARDS)
    (folder / ".aisio-index").write_bytes(index.to_bytes())
    assert names(folder, index="require") == ["1", "2", "3"]


@pytest.mark.parametrize("kind", [str, Path, Path.as_uri])
def test_at_a_path_or_url(folder: Path, tmp_path: Path, kind: Any) -> None:
    """Wherever it was written; one of more shards will do."""
    index, _ = local(folder, SHARDS)
    path = tmp_path / "mine.aisio-index"
    path.write_bytes(index.to_bytes())
    assert names(folder, index=kind(path)) == ["1", "2", "3"]
    (folder / "0.tar").unlink()
    assert names(folder, index=kind(path)) == ["3"]
    local(folder, {"0.tar": pack(("5.a", b""))})
    with pytest.raises(
        ConfigError, match=r"1 shard replaced since.*--output file://.*/mine.aisio-"
    ):
        names(folder, index=kind(path))
    with pytest.raises(
        NotFoundError,
        match=r"index=.*none.*there is no shard index file://.*/none; other values are \"auto\",",
    ):
        names(folder, index=kind(tmp_path / "none"))
    path.write_bytes(b"no index")
    with pytest.raises(IntegrityError, match="mine.aisio-index"):
        names(folder, index=kind(path))


def test_an_index_that_was_loaded(folder: Path) -> None:
    """It must be of exactly the shards."""
    index, _ = local(folder, SHARDS)
    assert names(folder, index=index) == ["1", "2", "3"]
    with pytest.raises(ConfigError, match="index= is not of these 2 shards"):
        names(folder, index=ShardIndex.of_shards([(index, 0)]))


def test_a_shard_that_cannot_be_indexed(folder: Path) -> None:
    """Is named; there is no dataset with half of the samples."""
    local(folder, SHARDS)
    (folder / "1.tar").write_bytes(SHARDS["1.tar"][:700])
    with pytest.raises(ShardError, match="1.tar: cut at byte 700"):
        names(folder)


def test_a_cache_that_cannot_be_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is an error: each job would read all shards again."""
    local(folder, SHARDS)
    (tmp_path / "file").touch()
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="cannot be kept in the cache: .*set AISIO_CACHE_DIR to"):
        names(folder)


def test_several_places(folder: Path, tmp_path: Path) -> None:
    """Their index is in the cache."""
    local(folder, SHARDS)
    (tmp_path / "more").mkdir()
    local(tmp_path / "more", {"9.tar": pack(("9.a", b""))})
    both = [f"file://{folder}/", f"file://{tmp_path}/more/"]
    for index in ("auto", "require"):
        of = AISShardDataset(both, keys=["a"], index=index)
        assert names_in(of) == ["1", "2", "3", "9"]
    (tmp_path / "more" / "8.tar").write_bytes(pack(("8.a", b"")))
    with pytest.raises(ConfigError, match=r"1 shard not indexed .*run `aisio index URL...`"):
        AISShardDataset(both, keys=["a"], index="require")
