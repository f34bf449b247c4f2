"""A cluster with shards, as webdataset's users have it: by AIS_ENDPOINT."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aisio import Bucket, Client
from aisio.gateway import Gateway
from tests.tars import pack

SHARDS, SAMPLES = 4, 6


def shard(number: int, samples: int = SAMPLES) -> bytes:
    """Return a shard of samples with two fields, in a folder of their own."""
    keys = [f"s{number}/{sample:02d}" for sample in range(samples)]
    return pack(
        *(
            member
            for key in keys
            for member in ((f"{key}.img.bin", key.encode() * 50), (f"{key}.cls", key[-2:].encode()))
        )
    )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway with four shards in data/train/."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        bucket = Client(gateway.endpoint).bucket("data").create()
        for number in range(SHARDS):
            bucket.object(f"train/{number}.tar").put(shard(number))
        bucket.object("train/README").put(b"no shard")
        yield gateway.endpoint


@pytest.fixture
def bucket(cluster: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return the bucket data of the cluster that the environment names."""
    monkeypatch.setenv("AIS_ENDPOINT", cluster)
    return Client(cluster).bucket("data")


@pytest.fixture
def catalog(bucket: Bucket, tmp_path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of the shards in a catalog that alone has the endpoint."""
    endpoint = bucket.client.endpoint
    text = f"- tag: train\n  prefix: ais://data/train/\n  endpoint: {endpoint}\n"
    (tmp_path / "team.yaml").write_text(text)
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path))
    monkeypatch.delenv("AIS_ENDPOINT")
    return "team/train"
