"""Streams of shards in step, on a server: as the official class reads them, in fewer requests."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aistore.pytorch import AISMultiShardStream as OfficialStream
from aistore.sdk.dataset.data_shard import DataShard as OfficialDataShard
from torch.utils.data import DataLoader

from aisio import AISMultiShardStream, Bucket, Client, DataShard, IntegrityError, NotFoundError
from aisio.records import RetryPolicy, Timeouts
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy, Restart
from tests.tars import pack

COUNT = 12
EXPECTED = [(b"%03d" % number * 9000, b"%d" % number) for number in range(COUNT)]


@pytest.fixture
def shards(bucket: Bucket) -> Bucket:
    """Return a bucket with three shards of images, and two of as many labels."""
    for kind, length in (("jpg", 4), ("cls", 6)):
        index = ("jpg", "cls").index(kind)
        for shard in range(COUNT // length):
            numbers = range(shard * length, (shard + 1) * length)
            data = pack(*((f"{n:03d}.{kind}", EXPECTED[n][index]) for n in numbers))
            bucket.object(f"{kind}-{shard}.tar").put(data)
    return bucket


@pytest.fixture
def proxy(endpoint: str) -> Iterator[FaultProxy]:
    """Return a proxy that records requests and injects faults."""
    with FaultProxy(endpoint) as proxy:
        yield proxy


def streams(bucket: Bucket, endpoint: str, kind: Any = DataShard) -> list[Any]:
    """Return the two streams, by the arguments of the official class."""
    return [kind(endpoint, bucket.name, "ais", prefix) for prefix in ("jpg-", "cls-")]


def gets(proxy: FaultProxy) -> list[str]:
    """Return the shards that were requested."""
    paths = (seen.path for seen in proxy.requests if seen.method == "GET" and seen.status != 301)
    return [path[-9:] for path in paths if re.search(r"/objects/.*\.tar$", path)]


def test_ais_16_tuples_are_the_official_ones(shards: Bucket, endpoint: str) -> None:
    """Of the same arguments, or of the official shards."""
    theirs = streams(shards, endpoint, OfficialDataShard)
    expected = list(OfficialStream(data_sources=theirs))
    assert expected == EXPECTED
    assert list(AISMultiShardStream(data_sources=streams(shards, endpoint))) == expected
    assert list(AISMultiShardStream(theirs)) == expected


def test_ais_16_without_strict_the_shortest_ends_it(
    shards: Bucket, endpoint: str, caplog: Any
) -> None:
    """As in the official class, which says nothing about it."""
    shards.object("cls-1.tar").delete()
    theirs = streams(shards, endpoint, OfficialDataShard)
    with caplog.at_level(logging.WARNING, logger="aisio.shard_reader"):
        found = list(AISMultiShardStream(streams(shards, endpoint), strict=False))
    assert found == list(OfficialStream(theirs)) == EXPECTED[:6]
    assert "goes on with member '006.jpg'" in caplog.text


def test_a_shard_is_one_request(shards: Bucket, proxy: FaultProxy) -> None:
    """In place of one for each member."""
    both = AISMultiShardStream(streams(shards, proxy.endpoint))
    assert list(both) == EXPECTED
    assert sorted(gets(proxy)) == sorted(
        ["jpg-0.tar", "jpg-1.tar", "jpg-2.tar", "cls-0.tar", "cls-1.tar"]
    )


def test_faults_lose_nothing(shards: Bucket, proxy: FaultProxy) -> None:
    """A connection that is cut, or a node that restarts, is gone on with; damage is an error."""
    client = Client(
        proxy.endpoint,
        retry=RetryPolicy(attempts=5, total_s=20, first_wait_s=0),
        timeouts=Timeouts(read_s=5),
    )
    own = [
        DataShard.from_url(f"ais://{shards.name}/{kind}-", client=client) for kind in ("jpg", "cls")
    ]
    proxy.add(Cut(after_bytes=30_000), path="/v1/objects/*/jpg-1.tar")
    proxy.add(Restart(), path="/v1/objects/*/cls-1.tar")
    assert list(AISMultiShardStream(own, match="key")) == EXPECTED
    assert {seen.fault for seen in proxy.requests} >= {"Cut", "Restart"}
    proxy.add(Corrupt(at_byte=30_000), path="/v1/objects/*/jpg-1.tar", times=None)
    found: list[Any] = []
    with pytest.raises(IntegrityError, match=r"stream 0 \(ais://.*/jpg-\).*jpg-1\.tar"):
        found.extend(AISMultiShardStream(own))
    assert found[:4] == EXPECTED[:4]
    client.close()


def test_workers_read_together(shards: Bucket, endpoint: str) -> None:
    """Behind a batch that was read here."""
    both = AISMultiShardStream(streams(shards, endpoint))
    next(iter(both))
    loader = DataLoader(both, batch_size=None, num_workers=2)
    assert sorted(tuple(pair) for pair in loader) == EXPECTED


def test_a_missing_bucket_is_an_error(endpoint: str) -> None:
    """When the stream is listed."""
    with pytest.raises(NotFoundError, match="aisio-no-such-bucket"):
        list(AISMultiShardStream([DataShard(endpoint, "aisio-no-such-bucket")]))
