"""ReadFileSystem: when objects were last changed; what is read is in `test_filesystem`."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import aiohttp  # noqa: F401 - the gateway needs it
import fsspec  # noqa: F401 - the package imports it
import pytest

from aisio import Bucket, Client
from aisio.integrations.fsspec import AisFileSystem, S3FileSystem
from aisio.records import Settings
from aisio.stores import DirectSettings
from tests.http_server import Reply, Server


def test_the_last_change(fs: AisFileSystem, bucket: Bucket) -> None:
    """In UTC, to a second; a read is none. Nothing tells when the first one was made."""
    before = datetime.fromtimestamp(int(time.time()), timezone.utc)
    bucket.object("d/a").put(b"1")
    modified = fs.modified("ais://data/d/a")
    assert before <= modified <= datetime.now(timezone.utc)
    fs.cat_file("data/d/a")
    assert fs.modified("data/d/a") == modified
    assert "mtime" not in fs.info("data/d/a")
    with pytest.raises(NotImplementedError, match="call modified"):
        fs.created("data/d/a")


def test_what_has_no_last_change(fs: AisFileSystem, bucket: Bucket) -> None:
    """Folders, buckets, and what is not there."""
    bucket.object("d/a").put(b"1")
    for path in ("data/d", "data"):
        with pytest.raises(IsADirectoryError, match="is a folder"):
            fs.modified(path)
    for path in ("data/x", "nobucket/x", "nobucket"):
        with pytest.raises(FileNotFoundError):
            fs.modified(path)


def test_a_cluster_that_does_not_tell() -> None:
    """As before AIStore 5.0."""
    with Server(Reply(headers={"Ais-Version": "1"})) as server:
        client = Client.from_settings(Settings(server.url, direct=False))
        with pytest.raises(NotImplementedError, match="does not tell"):
            AisFileSystem(client=client, skip_instance_cache=True).modified("b/a")


def test_a_cloud_tells_it_everywhere(cluster: str, bucket: Bucket) -> None:
    """In listings too, under the name that pyarrow reads."""
    pytest.importorskip("obstore")
    bucket.object("a").put(b"1")
    options = {"allow_http": True, "skip_signature": True}
    direct = DirectSettings(endpoint=f"{cluster}/s3", region="ais", options=options)
    fs = S3FileSystem(direct=direct, skip_instance_cache=True)
    modified = fs.modified("data/a").timestamp()
    assert [fs.info("data/a")["mtime"], fs.ls("data")[0]["mtime"] // 1] == [modified, modified]
