"""URLs of clouds, which aisio reads directly where the environment names no cluster."""

from __future__ import annotations

from collections.abc import Iterator

import obstore  # noqa: F401 - reads them
import pytest
import webdataset as wds

from aisio.errors import NotFoundError
from aisio.integrations.webdataset import shard_urls
from tests.integrations.webdataset.conftest import SAMPLES, shard
from tests.moto_server import boto_client, environment_for, s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Return the endpoint of an S3 server with two shards."""
    pytest.importorskip("moto")
    with s3_server() as endpoint:
        client = boto_client(endpoint)
        client.create_bucket(Bucket="data")
        for number in range(2):
            client.put_object(Bucket="data", Key=f"train/{number}.tar", Body=shard(number))
        yield endpoint


def test_shards_of_s3_are_read_and_written(s3, monkeypatch):
    """By the settings that other tools use."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    for name, value in environment_for(s3).items():
        monkeypatch.setenv(name, value)
    read = wds.WebDataset("s3://data/train/{0,1}.tar", shardshuffle=False)
    keys = [f"s{number}/{sample:02d}" for number in range(2) for sample in range(SAMPLES)]
    assert [one["__key__"] for one in read] == keys
    with wds.TarWriter("s3://data/new/0.tar") as writer:
        writer.write({"__key__": "a", "txt": "x"})
    assert shard_urls("s3://data/new/") == ["s3://data/new/0.tar"]
    written = wds.WebDataset(shard_urls("s3://data/new/"), shardshuffle=False)
    assert [one["txt"] for one in written] == [b"x"]
    with pytest.raises(NotFoundError, match="s3://data/train/9.tar"):
        wds.gopen("s3://data/train/9.tar")
