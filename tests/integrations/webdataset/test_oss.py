"""Shards of Alibaba Cloud OSS under webdataset, from a server that checks OSS's signatures."""

from __future__ import annotations

import pytest
import torch  # noqa: F401 - webdataset's workers need it
import webdataset as wds

import aisio.integrations.webdataset  # noqa: F401 - registers the schemes
from aisio.errors import ShardError
from tests.integrations.webdataset.conftest import SAMPLES, shard
from tests.oss_server import KEY_ID, REGION, SECRET, oss_server

pytest.importorskip("moto")
pytest.importorskip("alibabacloud_oss_v2")

URLS = "oss://shards/train/{0..1}.tar"


@pytest.fixture(scope="module")
def server():
    """Return a server with a bucket."""
    with oss_server() as server:
        server.create("shards")
        yield server


@pytest.fixture(autouse=True)
def shards(server, monkeypatch):
    """Store two shards, and name the server and its keys in the environment."""
    for number in range(2):
        server.put_raw("shards", f"train/{number}.tar", shard(number))
    monkeypatch.setenv("OSS_ENDPOINT", server.endpoint)
    monkeypatch.setenv("OSS_REGION", REGION)
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", SECRET)


def test_shards_of_oss_are_read():
    """By their URLs, with webdataset's braces."""
    keys = [sample["__key__"] for sample in wds.WebDataset(URLS, shardshuffle=False)]
    assert keys == [f"s{number}/{sample:02d}" for number in range(2) for sample in range(SAMPLES)]


def test_a_cut_shard_of_oss_is_an_error(server):
    """Webdataset itself would go on with the next one."""
    server.put_raw("shards", "train/0.tar", shard(0)[:-2048])
    with pytest.raises(ShardError, match=r"oss://shards/train/0\.tar"):
        list(wds.WebDataset(URLS, shardshuffle=False))
