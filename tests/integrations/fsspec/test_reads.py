"""ReadFileSystem: when objects were last changed; what is read is in `test_filesystem`."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import fsspec  # noqa: F401 - the package imports it
import pytest

from aisio import Bucket, Client
from aisio.errors import UnavailableError
from aisio.integrations.fsspec import AisFileSystem, S3FileSystem
from aisio.records import RetryPolicy, Settings
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


def _unreachable(**options: Any) -> AisFileSystem:
    """Return the file system of a cluster that nobody runs."""
    client = Client("http://127.0.0.1:1", retry=RetryPolicy(attempts=1))
    return AisFileSystem(client=client, skip_instance_cache=True, **options)


@pytest.mark.parametrize("question", ["isfile", "isdir", "exists"])
def test_what_cannot_be_asked_is_not_missing(question: str) -> None:
    """A program would go on as if there were no object."""
    with pytest.raises(UnavailableError):
        getattr(_unreachable(), question)("data/a")


def test_what_there_is(fs: AisFileSystem, bucket: Bucket) -> None:
    """An object, a folder, or nothing."""
    bucket.object("d/a").put(b"1")
    paths = ("data/d/a", "data/d", "data/x", "nobucket/x")
    assert [fs.isfile(path) for path in paths] == [True, False, False, False]
    assert [fs.isdir(path) for path in paths] == [False, True, False, False]


def test_who_may_only_write_can_put() -> None:
    """Whether there is a folder of the name, such a program cannot know."""
    with Server(Reply(403), Reply(403)) as server:
        client = Client.from_settings(Settings(server.url, direct=False))
        fs = AisFileSystem(client=client, skip_instance_cache=True)
        assert not fs.isdir("b/a")
        with pytest.raises(PermissionError):
            fs.isfile("b/a")


@pytest.mark.parametrize("on_error", [None, "raise"])
def test_a_walk_through_what_cannot_be_listed_is_an_error(on_error: str | None) -> None:
    """By default too; fsspec's default yields an empty folder."""
    options: Any = {} if on_error is None else {"on_error": on_error}
    with pytest.raises(UnavailableError):
        list(_unreachable().walk("data", **options))


def test_walks(fs: AisFileSystem, bucket: Bucket) -> None:
    """A folder that is gone is empty; what is passed for errors is for all folders."""
    bucket.object("d/a").put(b"1")
    bucket.object("e/a").put(b"1")
    assert list(fs.walk("data/x")) == []
    walk = fs.walk("data")
    assert next(walk) == ("data", ["d", "e"], [])
    fs.rm("data/d", recursive=True)
    assert list(walk) == [("data/e", [], ["a"])]


@pytest.mark.parametrize(("pattern", "found"), [("data/.*", ["data/.a"]), ("data/..*", [])])
def test_a_pattern_may_begin_with_a_dot(
    fs: AisFileSystem, bucket: Bucket, pattern: str, found: list[str]
) -> None:
    """Fsspec 2026 asks for names that begin with "." or ".."."""
    for name in (".a", "b"):
        bucket.object(name).put(b"1")
    assert fs.glob(pattern) == found
