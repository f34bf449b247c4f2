"""Jobs: started, waited for, and excluded by other jobs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from aisio.client.jobs import start_job, wait_for_job
from aisio.client.session import Session
from aisio.errors import ConflictError, StorageError
from aisio.records import RetryPolicy, Settings
from aisio.transport.retries import Waiter
from aisio.urls import ObjectUrl
from aisio.wire import messages
from tests.http_server import Reply, Server

BUCKET = ObjectUrl.parse("ais://b")
BUSY = Reply(
    409, json.dumps({"message": 'x is running, cannot run "move-bck" concurrently'}).encode()
)


@dataclass
class Clock:
    """A clock that only waiting moves."""

    waits: list[float] = field(default_factory=list)

    def session(self, server: Server) -> Session:
        """Return a session that has this clock."""
        waiter = Waiter(lambda: sum(self.waits), self.waits.append)
        return Session(Settings(server.url, retry=RetryPolicy(attempts=1)), waiter)


def report(**changes: Any) -> Reply:
    """Return the report of one node."""
    snapshot = {"stats": {"loc-objs": "1"}, "end-time": "0001-01-01T00:00:00Z"} | changes
    return Reply(body=json.dumps({"t1": [snapshot]}).encode())


def test_a_job_is_waited_for() -> None:
    """Its id goes into each question; the waits grow up to a second."""
    clock = Clock()
    with Server(Reply(body=b"id-1\n"), *[report()] * 9, report(is_idle=True, err="no a")) as server:
        session = clock.session(server)
        job = start_job(session, "POST", BUCKET, messages.action("copy-bck"), to=BUCKET)
        assert wait_for_job(session, job, "copy").errors == ("no a",)
    assert "bck_to=ais%2F%40%23%2Fb%2F" in server.requests[0].target
    assert {request.body for request in server.requests[1:]} == {b'{"id": "id-1"}'}
    assert (len(clock.waits), clock.waits[0], clock.waits[-1]) == (9, 0.02, 1.0)


def test_another_job_of_the_bucket_is_waited_for() -> None:
    """AIStore refuses to run some jobs beside one another; its jobs end late."""
    clock = Clock()
    with Server(BUSY, BUSY, Reply(body=b"id-1")) as server:
        action = messages.action("move-bck")
        assert start_job(clock.session(server), "POST", BUCKET, action) == "id-1"
    assert len(clock.waits) == 2


def test_another_job_is_not_waited_for_without_end() -> None:
    """After a minute the error of the cluster is raised."""
    clock = Clock()
    with Server(*[BUSY] * 100) as server, pytest.raises(ConflictError, match="concurrently"):
        start_job(clock.session(server), "POST", BUCKET, messages.action("move-bck"))
    assert 60 < sum(clock.waits) < 63


def test_other_conflicts_are_not_waited_for() -> None:
    """They do not pass by themselves."""
    clock = Clock()
    with Server(Reply(409, b"exists")) as server, pytest.raises(ConflictError, match="exists"):
        start_job(clock.session(server), "POST", BUCKET, messages.action("move-bck"))
    assert clock.waits == []


def test_a_reply_without_an_id_is_an_error() -> None:
    """No job was started; the cluster would describe any job."""
    with Server(Reply()) as server:
        session = Clock().session(server)
        job = start_job(session, "POST", BUCKET, messages.action("copy-bck"))
        with pytest.raises(StorageError, match="copy: the cluster started no job"):
            wait_for_job(session, job, "copy")
