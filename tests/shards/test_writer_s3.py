"""Shards written to S3: by ShardWriter and by packing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore  # noqa: F401 - s3:// needs it
import pytest

import aisio
from aisio.shards.packing import pack_folder
from aisio.stores import store_for
from aisio.urls import ObjectUrl
from tests.indexed import index_of
from tests.moto_server import boto_client, environment_for, s3_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Return the address of an S3 server."""
    with s3_server() as endpoint:
        boto_client(endpoint).create_bucket(Bucket="written")
        yield endpoint


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Point s3:// at the server, and return another client of it."""
    for name, value in environment_for(endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    return boto_client(endpoint)


def listed(s3: Any, prefix: str) -> list[str]:
    """List the names below a prefix."""
    found = s3.list_objects_v2(Bucket="written", Prefix=prefix)
    return [row["Key"].removeprefix(prefix) for row in found.get("Contents", ())]


def test_a_writer_and_its_index(s3: Any) -> None:
    """The index is that of reading the shards."""
    url = "s3://written/samples/"
    with aisio.ShardWriter(url, samples_per_shard=2) as writer:
        for number in range(3):
            writer.write({"__key__": str(number), "bin": b"x" * number})
    assert listed(s3, "samples/") == [".aisio-index", "shard-000000.tar", "shard-000001.tar"]
    store = store_for(ObjectUrl.parse(url))
    shards = [ObjectUrl.parse(shard.url) for shard in writer.shards]
    read = aisio.ShardIndex.of_shards([(index_of(store, [one]), 0) for one in shards], folder=url)
    assert store.read(ObjectUrl.parse(f"{url}.aisio-index")) == read.to_bytes()


def test_an_interrupted_run_goes_on(s3: Any, tmp_path: Path) -> None:
    """S3 tells entity tags, so the cache or the shard itself says whether it is the same."""
    folder, url = tmp_path / "in", "s3://written/packed/"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.bin").write_bytes(b"x" * number)
    run = pack_folder(folder, url, samples=2, jobs=1)
    first = next(run)
    run.close()  # type: ignore[attr-defined]
    assert listed(s3, "packed/") == ["shard-000000.tar"]
    again = list(pack_folder(folder, url, samples=2))
    assert [shard.was_stored for shard in again] == [True, False, False]
    assert again[0].checksum == first.checksum
    assert len(listed(s3, "packed/")) == 4
    # The cache is empty now.
    assert all(shard.was_stored for shard in pack_folder(folder, url, samples=2))
