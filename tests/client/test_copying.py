"""Copying and renaming buckets by jobs. Others: tests/integration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio.client.client import Bucket, Client
from aisio.client.session import Session
from aisio.errors import ConfigError, IntegrityError, StorageError
from aisio.gateway import Gateway
from aisio.records import RetryPolicy, Settings
from aisio.transport.retries import Waiter
from tests.client.test_deletion import page
from tests.http_server import Reply, Server

MANY = 501
"""More than are copied one by one."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bucket of many objects."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "many" / "t").mkdir(parents=True)
    for number in range(MANY):
        (folder / "many" / "t" / f"{number:03d}").write_bytes(b"x" * (number % 7))
    return folder


@pytest.fixture(scope="module")
def many(served: Path) -> Iterator[Bucket]:
    """Yield that bucket."""
    with Gateway(served) as gateway:
        yield Client(gateway.endpoint).bucket("many")


def test_a_job_copies_many_objects(many: Bucket) -> None:
    """The listings agree afterwards."""
    other = many.copy("other", prefix="t/", prepend="k-")
    assert [f"k-{info.name}" for info in many.list()] == [info.name for info in other.list()]


def test_copies_in_the_same_bucket_are_not_copied_again(many: Bucket) -> None:
    """Though their names begin with the prefix."""
    many.copy(many, prepend="copy/")
    names = [info.name for info in many.list()]
    many.delete_many(prefix="copy/")
    assert (len(names), sum(name.startswith("copy/copy/") for name in names)) == (2 * MANY, 0)


def test_what_a_job_leaves_out_is_told(many: Bucket, served: Path) -> None:
    """The job of AIStore says the last error alone; each object is tried again by itself."""
    (served / "blocked" / "t").mkdir(parents=True)
    for number in (5, 7):
        (served / "blocked" / "t" / f"{number:03d}").mkdir()
        (served / "blocked" / "t" / f"{number:03d}" / "x").write_bytes(b"")
    with pytest.raises(StorageError, match=r"could not be copied: 2 \(t/005, t/007\): "):
        many.copy("blocked")
    names = {info.name for info in many.client.bucket("blocked").list()}
    assert len(names) == MANY  # 499 copies, and the two in the way


def bucket_of(server: Server) -> Bucket:
    """Return a bucket of the server; nothing waits."""
    settings = Settings(server.url, retry=RetryPolicy(attempts=1), direct=False)
    client = Client.from_settings(settings)
    client.session = Session(settings, Waiter(wait=lambda _: None))
    return client.bucket("b")


def report(objects: int, **changes: object) -> Reply:
    """Return what the nodes say of a job."""
    snapshot = {"stats": {"loc-objs": str(objects)}, "end-time": "0001-01-01", **changes}
    return Reply(body=json.dumps({"t1": [snapshot]}).encode())


def test_a_job_that_stays_is_not_waited_for() -> None:
    """Without progress the listings are compared; where they differ, the job goes on."""
    names = [f"{number:03d}" for number in range(MANY)]
    all_of_them, half = page(names), page(names[:250])
    reports = [report(250), report(250), report(500), report(500)]
    # A comparison lists the copies first.
    replies = [*reports[:2], half, all_of_them, *reports[2:], all_of_them, all_of_them]
    with Server(all_of_them, Reply(body=b"id-1"), *replies) as server:
        bucket = bucket_of(server)
        assert bucket.copy("c").url.bucket == "c"
    assert not server.replies


def test_a_job_that_did_nothing_is_an_error() -> None:
    """So many objects are not copied one by one."""
    names = [f"{number:05d}" for number in range(10_001)]
    job = [Reply(body=b"id-1"), report(0, aborted=True, err="no space")]
    with (
        Server(page(names), *job, page([]), page(names)) as server,
        pytest.raises(StorageError, match="left out 00000 and more than 10,000 others: no space"),
    ):
        bucket_of(server).copy("c")


def test_a_rename_that_loses_something_is_an_error() -> None:
    """AIStore removes the old bucket, whatever was copied."""
    job = [Reply(body=b"id-1"), report(1, is_idle=True, err="no space")]
    text = "2 objects of 0 bytes were to be moved, 1 of 0 bytes are there: no space"
    with (
        Server(Reply(404), page(["a", "b"]), *job, page(["a"])) as server,
        pytest.raises(IntegrityError, match=text),
    ):
        bucket_of(server).rename("c")


@pytest.mark.parametrize(
    "names", [["a", "a-", "a/b"], ["a", "a/b"], ["a", "b", "b!", "b!c", "b/c"], ["a/b", "a/b/c/d"]]
)
def test_a_bucket_that_a_rename_would_cut_is_not_renamed(names: list[str]) -> None:
    """AIStore 5.0 loses one of two objects, if the name of one is the folder of the other."""
    with (
        Server(Reply(404), page(names)) as server,
        pytest.raises(ConfigError, match=f"object '{names[-1]}': AIStore would lose one"),
    ):
        bucket_of(server).rename("c")
