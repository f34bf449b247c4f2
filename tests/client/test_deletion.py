"""Deleting by jobs: a job that fails, and one whose reply is lost. Others: tests/integration."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from aisio.client.client import Bucket, Client
from aisio.errors import NotFoundError, StorageError
from aisio.records import Deleted, RetryPolicy, Settings
from tests.http_server import Reply, Server

NAMES = [f"t/{number:03d}" for number in range(101)]
"""More than are deleted one by one."""

JOB = Reply(body=b"id-1")


def page(names: Sequence[str]) -> Reply:
    """Return the only page of a listing."""
    entries = [{"name": name} for name in names]
    body = json.dumps({"uuid": "id", "continuation_token": "", "entries": entries})
    return Reply(body=body.encode(), headers={"Content-Type": "application/json"})


def report(objects: int, error: str = "") -> Reply:
    """Return what the nodes say of the finished job."""
    snapshot = {"stats": {"loc-objs": str(objects)}, "is_idle": True, "err": error}
    return Reply(body=json.dumps({"t1": [snapshot]}).encode())


def missing(*except_for: str) -> list[Reply]:
    """Return the replies to a HEAD of each name; of a missing one, a GET follows."""
    names = (name for name in NAMES if name not in except_for)
    return [Reply(404, only_for=f"/{name}?provider=ais") for name in names for _ in range(2)]


def bucket_of(server: Server, attempts: int = 1) -> Bucket:
    """Return a bucket of the server."""
    retry = RetryPolicy(attempts=attempts, first_wait_s=0)
    return Client.from_settings(Settings(server.url, retry=retry, direct=False)).bucket("b")


def test_one_job_deletes_what_exists() -> None:
    """A listing says what does; the job's count agrees, so that nothing else is asked."""
    extra = ["t/0001", "t/9"]
    with Server(page([*NAMES, "t/5"]), JOB, report(101)) as server:
        deleted = bucket_of(server).delete_many([*NAMES, *extra], missing_ok=True)
    assert deleted == Deleted(101, tuple(extra))
    sent = json.loads(server.requests[1].body)
    assert (sent["action"], sent["value"]["objnames"]) == ("delete-listrange", NAMES)
    assert [request.method for request in server.requests] == ["GET", "DELETE", "GET"]


def test_what_a_job_could_not_delete_is_told() -> None:
    """The job says no names: they are found by a request each."""
    left = Reply(headers={"Content-Length": "1"}, only_for="/t/007?provider=ais")
    with (
        Server(page(NAMES), JOB, report(100, "disk is gone"), left, *missing("t/007")) as server,
        pytest.raises(StorageError) as caught,
    ):
        bucket_of(server).delete_many(prefix="t/")
    text = "objects that could not be deleted: 1 (t/007), deleted ones: 100: "
    assert text in str(caught.value)
    assert "ais://b/t/007 still exists: disk is gone" in str(caught.value)


def test_what_others_delete_meanwhile_is_deleted() -> None:
    """The job has not counted it, and nothing is left."""
    with Server(page(NAMES), JOB, report(99, "t/3 does not exist"), *missing()) as server:
        assert bucket_of(server).delete_many(NAMES) == Deleted(101)


def test_a_job_whose_reply_is_lost_is_started_again() -> None:
    """The second one finds nothing left."""
    with Server(page(NAMES), Reply(0), JOB, report(0), *missing()) as server:
        assert bucket_of(server, attempts=2).delete_many(NAMES) == Deleted(101)


def test_a_long_listing_is_given_up() -> None:
    """Where far more names lie between those to be deleted, each is deleted by a request."""
    between = page([f"t/000-{number:04d}" for number in range(1200)])
    replies = [Reply(only_for=f"/{name}?provider=ais") for name in NAMES]
    with Server(between, *replies) as server:
        assert bucket_of(server).delete_many(NAMES) == Deleted(101)
    assert {request.method for request in server.requests[1:]} == {"DELETE"}


def test_a_lost_reply_to_one_delete_is_no_missing_name() -> None:
    """The second try finds nothing: the first one has deleted the object."""
    with Server(Reply(0), Reply(404), Reply(404), Reply()) as server:
        bucket = bucket_of(server, attempts=2)
        assert bucket.delete_many(["a"]) == Deleted(1)
        with pytest.raises(NotFoundError, match="a name does not exist: a"):
            bucket.delete_many(["a"])
