"""get_batch: every entry is accounted for, whatever the archive does."""

from __future__ import annotations

import json

import pytest
import xxhash

from aisio.client.batch import get_batch
from aisio.client.batch_archive import BatchOptions
from aisio.errors import (
    AccessError,
    IntegrityError,
    NotFoundError,
    RangeError,
    ThrottledError,
    UrlError,
)
from aisio.records import Checksum, ObjectInfo
from aisio.testing.fault_proxy import Stall
from aisio.urls import ObjectUrl
from aisio.wire.batch import BatchEntry
from tests.client.batch_server import (
    ALL,
    DATA,
    NAMES,
    ONE_BY_ONE,
    URLS,
    WHOLE,
    faulty_cluster,
    names_and_bytes,
    plain,
    tar,
)
from tests.http_server import Reply
from tests.scripted_cluster import cluster

MISSING = Reply(404, b'{"message": "ais://b/x does not exist"}')


def test_a_batch_is_one_request_with_its_entries_in_order() -> None:
    """AIS-23: the redirect to the node that assembles it gets the same body."""
    moved = Reply(307, headers={"Location": "{server}/v1/ml/moss/b/x/w/1?tid=t"})
    with cluster(moved, Reply(200, WHOLE)) as (server, client):
        found = list(client.get_batch(URLS))
    assert [(info.name, data) for info, data in found] == ALL
    assert [info.size_bytes for info, _ in found] == [700, 0, 100, 1300]
    first, second = server.requests
    assert (first.method, first.target) == ("GET", "/v1/ml/moss/b?provider=ais")
    assert second.target == "/v1/ml/moss/b/x/w/1?tid=t"
    assert first.body == second.body
    message = json.loads(first.body)
    assert [entry["objname"] for entry in message["in"]] == NAMES
    assert (message["strm"], message["mime"], message["coer"]) == (True, ".tar", True)


def test_entries_come_in_many_forms() -> None:
    """Objects, listed objects, URLs, members of archives, entries of one's own."""
    members = {"b/a": b"1", "b/e": b"2", "b/s.tar/m": b"4", "b/t": b"56"}
    with cluster(Reply(200, tar(members))) as (_, client):
        found = client.get_batch(
            [
                client.object("ais://b/a"),
                ObjectInfo("ais://b", "e", 1),
                ("ais://b/s.tar", "/m"),
                BatchEntry(ObjectUrl.parse("ais://b/t"), start=3, length=2),
            ]
        )
        expected = [("a", b"1"), ("e", b"2"), ("s.tar/m", b"4"), ("t", b"56")]
        assert names_and_bytes(found) == expected


def test_an_empty_batch_is_not_sent() -> None:
    """The server would refuse an empty batch."""
    with cluster() as (server, client):
        assert list(client.get_batch([])) == []
    assert server.requests == []


@pytest.mark.parametrize(
    "known",
    [
        ObjectInfo("ais://b", "e", 1301),
        ObjectInfo("ais://b", "e", 1300, Checksum("xxhash2", xxhash.xxh64_hexdigest(b"other"))),
    ],
)
def test_known_size_and_checksum_are_compared(known: ObjectInfo) -> None:
    """Size and checksum from a listing: if they differ, the object is read by a GET."""
    with cluster(Reply(200, tar({"b/e": DATA["e"], "b/a": b"1"})), plain(b"newer")) as (
        server,
        client,
    ):
        found = client.get_batch([known, "ais://b/a"])
        assert names_and_bytes(found) == [("e", b"newer"), ("a", b"1")]
    assert len(server.requests) == 2


def test_an_object_that_is_stored_wrong_is_an_integrity_error() -> None:
    """The GET of the object is verified, and its error names the object."""
    lie = Reply(200, b"x", {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": "0" * 16})
    other = Reply(200, tar({"b/other": b""}))
    with cluster(other, lie) as (_, client), pytest.raises(IntegrityError, match="ais://b/a"):
        list(client.get_batch(["ais://b/a"]))


PLACEHOLDER = tar({"b/a": b"1", "__404__/b/x": b"", "b/e": b"2"})
THREE = ["ais://b/a", "ais://b/x", "ais://b/e"]


def test_a_placeholder_is_checked_by_a_get() -> None:
    """A node may not have what another node has."""
    with cluster(Reply(200, PLACEHOLDER), plain(b"here")) as (server, client):
        found = names_and_bytes(client.get_batch(THREE))
    assert found == [("a", b"1"), ("x", b"here"), ("e", b"2")]
    assert len(server.requests) == 2


def test_a_missing_object_is_an_error_at_its_place() -> None:
    """By default; the objects before it are delivered."""
    with cluster(Reply(200, PLACEHOLDER), MISSING) as (_, client):
        found = client.get_batch(THREE)
        assert next(found)[1] == b"1"
        with pytest.raises(NotFoundError, match="ais://b/x"):
            next(found)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("skip", [("a", b"1"), ("e", b"2")]), ("none", [("a", b"1"), ("x", None), ("e", b"2")])],
)
def test_a_missing_object_may_be_skipped(missing: str, expected: list[object]) -> None:
    """The client first makes sure that the bucket exists."""
    with cluster(Reply(200, PLACEHOLDER), MISSING, Reply(200)) as (server, client):
        found = names_and_bytes(client.get_batch(THREE, missing=missing))  # type: ignore[arg-type]
    assert found == expected
    assert [request.method for request in server.requests] == ["GET", "GET", "HEAD"]


def test_a_missing_bucket_is_never_skipped() -> None:
    """All of its objects would be skipped, and an epoch empty."""
    with cluster(MISSING, MISSING, MISSING) as (_, client), pytest.raises(NotFoundError):
        list(client.get_batch(["ais://b/a"], missing="skip"))


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_without_get_batch_objects_are_read_one_by_one(status: int) -> None:
    """That costs one request, not a minute of retries."""
    with cluster(Reply(status), *ONE_BY_ONE) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 5


@pytest.mark.parametrize("status", [429, 503])
def test_a_batch_is_sent_again_to_a_busy_cluster(status: int) -> None:
    """After a wait; and nothing is read twice."""
    busy = Reply(status, headers={"Retry-After": "0"})
    with cluster(busy, Reply(200, WHOLE)) as (
        server,
        client,
    ):
        assert names_and_bytes(client.get_batch(URLS)) == ALL
    assert len(server.requests) == 2


def test_a_cluster_that_stays_busy_is_an_error() -> None:
    """GETs of the objects would only add to its load."""
    with cluster(*[Reply(429)] * 3) as (server, client), pytest.raises(ThrottledError):
        list(client.get_batch(URLS))
    assert len(server.requests) == 3


def test_a_forbidden_batch_is_not_retried() -> None:
    """Nor are its objects read one by one."""
    with cluster(Reply(403)) as (server, client), pytest.raises(AccessError):
        list(client.get_batch(URLS))
    assert len(server.requests) == 1


def test_a_range_beyond_the_end_is_refused() -> None:
    """The server may send the whole object, or call it missing."""
    entry = BatchEntry(ObjectUrl.parse("ais://b/a"), start=1, length=9)
    part = Reply(206, b"23", {"Content-Range": "bytes 1-2/3"})
    whole = Reply(200, tar({"b/a": b"123"}))
    with cluster(whole, part) as (_, client), pytest.raises(RangeError, match="there are 2"):
        list(client.get_batch([entry]))


def test_a_range_of_a_member_is_cut_out_of_it() -> None:
    """AIStore refuses a Range header there."""
    entry = BatchEntry(ObjectUrl.parse("ais://b/s.tar"), "m", start=1, length=2)
    with cluster(Reply(404), Reply(200, b"1234")) as (server, client):
        found = names_and_bytes(client.get_batch([entry]))
    assert found == [("s.tar/m", b"23")]
    assert server.requests[1].target == "/v1/objects/b/s.tar?provider=ais&archpath=m"


def test_a_bucket_is_refused_at_once() -> None:
    """Only objects can be read."""
    with cluster() as (_, client), pytest.raises(UrlError):
        client.get_batch(["ais://b"])


def test_after_a_timeout_objects_are_read_one_by_one() -> None:
    """A batch waits for all nodes, a GET for one. For a while the next batch is read so, too."""
    replies = Reply(200, WHOLE), *ONE_BY_ONE, *ONE_BY_ONE
    with faulty_cluster(Stall(None), *replies) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 1 + 2 * len(ALL)


def test_a_batch_is_sent_again_after_a_while() -> None:
    """The node may be back."""
    options = BatchOptions(skip_after_timeout_s=0.0)
    replies = Reply(200, WHOLE), *ONE_BY_ONE, Reply(200, WHOLE)
    with faulty_cluster(Stall(None), *replies) as (server, client):
        for _ in range(2):
            found = get_batch(
                client.session, URLS, options, bucket_exists=lambda _: True, concurrency=1
            )
            assert names_and_bytes(found) == ALL
    assert len(server.requests) == 1 + len(ALL) + 1


def test_a_batch_that_is_not_read_on_closes_its_connection() -> None:
    """The next batch opens another one."""
    with cluster(Reply(200, WHOLE), Reply(200, WHOLE)) as (_, client):
        found = client.get_batch(URLS)
        next(found)
        del found
        assert names_and_bytes(client.get_batch(URLS)) == ALL
