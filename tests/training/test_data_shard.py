"""DataShard: what a stream is of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aisio import Client, ConfigError, DataShard, source

URL = "http://127.0.0.1:1"


def test_it_is_a_prefix_of_a_bucket() -> None:
    """By the arguments of the official class, in which no character is a pattern."""
    shard = DataShard(URL, "train", "s3", "a[0]/{x}-", "etl")
    assert str(shard) == "s3://train/a[0]/{x}-"
    assert shard.etl_name == "etl"
    assert repr(shard) == "DataShard(PrefixSource('s3://train/a[0]/{x}-'), etl_name='etl')"
    plain = DataShard(client_url=URL, bucket_name="train")
    assert (str(plain), plain.etl_name) == ("ais://train", None)


def test_it_may_be_whatever_is_a_source(tmp_path: Path) -> None:
    """A URL, a folder, a bucket, or a source."""
    assert str(DataShard.from_url("ais://b/x-{0..3}.tar", endpoint=URL)) == "ais://b/x-{0..3}.tar"
    own = source(tmp_path)
    assert DataShard.from_url(own, etl_name="e").source is own
    assert DataShard.of(tmp_path).source.base_url == f"file://{tmp_path}/"
    bucket = Client(URL).bucket("b")
    assert str(DataShard.of(bucket)) == "ais://b"
    shard = DataShard(URL, "b")
    assert DataShard.of(shard) is shard
    with pytest.raises(ConfigError, match="a int is no source"):
        DataShard.of(7)


def test_the_official_ones_are_taken() -> None:
    """Of their names alone: the package need not be there."""
    theirs: Any = SimpleNamespace(
        client_url=URL, bucket=Client(URL).bucket("b"), prefix="p-", etl_name=""
    )
    ours = DataShard.of(theirs)
    assert (str(ours), ours.etl_name) == ("ais://b/p-", None)


def test_a_signature_is_not_printed() -> None:
    """Errors name the stream by its URL."""
    shard = DataShard.from_url("https://host/a.tar?X-Amz-Signature=secret")
    assert "host/a.tar" in str(shard)
    assert "secret" not in str(shard)
