"""Listing a bucket: page by page, and whole while its objects move."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import msgspec
import pytest

from aisio.client.client import Client
from aisio.errors import ConfigError, IntegrityError, NotFoundError, StorageError
from aisio.gateway import Gateway
from aisio.records import ObjectInfo
from aisio.testing.fault_proxy import FaultProxy
from tests.http_server import Reply
from tests.scripted_cluster import cluster


def packed_page(entries: list[dict[str, Any]], token: str) -> Reply:
    """Return a page in msgpack."""
    page = {"UUID": "id", "ContinuationToken": token, "Entries": entries or None, "Flags": 0}
    return Reply(200, msgspec.msgpack.encode(page), {"Content-Type": "application/msgpack"})


def packed(*names: str, token: str = "") -> Reply:
    """Return a page of objects in msgpack."""
    return packed_page([{"n": name, "s": len(name)} for name in names], token)


def written(*names: str, token: str = "") -> Reply:
    """Return a page in JSON."""
    entries = [{"name": name, "size": str(len(name))} for name in names] or None
    page = {"uuid": "id", "continuation_token": token, "entries": entries}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Reply(200, json.dumps(page).encode(), headers)


@pytest.mark.parametrize("page", [packed, written])
def test_pages_follow_each_other_also_over_an_empty_one(page: Any) -> None:
    """The token says where the listing ends, not the number of entries."""
    pages = (page("p/a", "p/b", token="b"), page(token="x"), page("p/c", token="c"), page())
    with cluster(*pages) as (server, client):
        listed = list(client.bucket("b").list(prefix="p/", page_size=2))
    assert listed == [ObjectInfo("ais://b", f"p/{name}", 3) for name in "abc"]
    values = [json.loads(request.body)["value"] for request in server.requests]
    assert [value["continuation_token"] for value in values] == ["", "b", "x", "c"]
    assert [value["uuid"] for value in values] == ["", "id", "id", "id"]
    assert {(value["prefix"], value["pagesize"]) for value in values} == {("p/", 2)}
    assert {request.headers["Accept"] for request in server.requests} == {"application/msgpack"}


def test_pages_are_fetched_as_they_are_needed() -> None:
    """A reader of the first name waits for one page only."""
    with cluster(packed("a", "b", token="b"), packed("c")) as (server, client):
        listing = client.bucket("b").list()
        assert server.requests == []
        assert [info.name for info in islice(listing, 2)] == ["a", "b"]
        assert len(server.requests) == 1


def test_a_page_that_fails_is_requested_again() -> None:
    """The listing continues with the same token."""
    with cluster(packed("a", token="a"), Reply(503), packed("b")) as (server, client):
        assert [info.name for info in client.bucket("b").list()] == ["a", "b"]
    tokens = [json.loads(r.body)["value"]["continuation_token"] for r in server.requests]
    assert tokens == ["", "a", "a"]


@pytest.mark.parametrize("names", ["aa", "ba"])
def test_a_listing_that_does_not_move_on_is_an_error(names: str) -> None:
    """It would never end."""
    with (
        cluster(*(packed(name, token=name) for name in names)) as (_, client),
        pytest.raises(IntegrityError, match=f"page after page has names up to '{names[0]}'"),
    ):
        list(client.bucket("b").list())


def test_the_tokens_of_a_cloud_are_its_own() -> None:
    """They need not be in order; a page may have no names."""
    pages = packed("a", token="y"), packed(token="x"), packed("b", token="z"), packed("c")
    with cluster(*pages) as (server, client):
        assert [info.name for info in client.bucket("b", "s3").list()] == ["a", "b", "c"]
    values = [json.loads(request.body)["value"] for request in server.requests]
    assert [value["continuation_token"] for value in values] == ["", "y", "x", "z"]


@pytest.mark.parametrize("page_size", [-1, 1.5, 1 << 63])
def test_a_page_size_that_is_not_valid_is_not_sent(page_size: Any) -> None:
    """A negative one crashes AIStore's targets."""
    with cluster() as (server, client):
        with pytest.raises(ConfigError, match=f"list ais://b: page_size={page_size}"):
            client.bucket("b").list(page_size=page_size)
        assert server.requests == []


def test_a_missing_bucket_shows_at_the_first_item() -> None:
    """AIS-21: in one round trip."""
    missing = Reply(404, b'{"message": "bucket \\"ais://b\\" does not exist"}')
    with cluster(missing) as (server, client):
        listing = client.bucket("b").list()
        with pytest.raises(NotFoundError, match="GET ais://b: 404 bucket .* does not exist"):
            next(listing)
    assert len(server.requests) == 1


def test_a_response_that_is_no_listing_is_an_error() -> None:
    """A proxy's greeting is not an empty bucket."""
    with (
        cluster(Reply(200, b"<html>hello</html>")) as (_, client),
        pytest.raises(IntegrityError, match="not a page of a listing"),
    ):
        list(client.bucket("b").list())


def test_a_prefix_is_listed_by_its_folder() -> None:
    """AIStore takes a prefix that is a folder's name for the folder alone: none is sent."""
    with cluster(packed("a/t-1", "a/t/2", "a/u")) as (server, client):
        assert [info.name for info in client.bucket("b").list("a/t")] == ["a/t-1", "a/t/2"]
    value = json.loads(server.requests[0].body)["value"]
    assert (value["prefix"], value["continuation_token"]) == ("a/", "a/s\U0010ffff")


def test_a_listing_by_prefix_ends_after_it() -> None:
    """Pages of names that come later are not fetched."""
    with cluster(packed("t1", "u1", token="u1")) as (server, client):
        assert [info.name for info in client.bucket("b").list("t")] == ["t1"]
    assert len(server.requests) == 1


def test_a_prefix_in_a_cloud_is_sent_as_it_is() -> None:
    """S3 and the others take it as plain text, and know no start."""
    with cluster(packed("t1", "t2")) as (server, client):
        assert len(list(client.bucket("b", "s3").list("t"))) == 2
    value = json.loads(server.requests[0].body)["value"]
    assert (value["prefix"], value.get("start_after")) == ("t", None)


def out_of_place(*names: str, status: int = 1, token: str = "") -> Reply:
    """Return a page of "a", which is in its place, and of names that are not."""
    misplaced = [{"n": name, "s": 1, "f": 64 | status} for name in names]
    return packed_page([{"n": "a", "s": 1, "f": 64}, *misplaced], token)


def running(*jobs: str) -> Reply:
    """Return the answer to "which jobs are running", as AIStore 5.0 gives it."""
    return Reply(200, json.dumps(list(jobs) or None).encode())


@pytest.mark.parametrize("status", [1, 2, 4])
@pytest.mark.parametrize("job", ["rebalance[g5]", "resilver[kQ2xTx]"])
def test_objects_on_the_move_are_listed(status: int, job: str) -> None:
    """A cluster that rebalances has all objects, but not where they belong."""
    pages = out_of_place("b", "c", status=status), running("list[x-y]", job)
    with cluster(*pages) as (server, client):
        assert [info.name for info in client.bucket("b").list()] == ["a", "b", "c"]
    asked = server.requests[1]
    assert (asked.method, asked.target) == ("GET", "/v1/cluster?what=running_all")


@pytest.mark.parametrize(
    "told", [running(), running("list[x-y]", "get-batch[gbt-Z8]"), Reply(400), Reply(403)]
)
def test_objects_out_of_place_are_looked_up_when_no_job_moves_them(told: Reply) -> None:
    """A rebalance was aborted, or ended meanwhile; or the name is a leftover of a deleted object.

    The same holds if the cluster does not say what runs: the token may be refused, or the cluster
    be old.
    """
    found, gone = [Reply(200)], [Reply(404), Reply(404)]
    with cluster(out_of_place("b", "c", "d"), told, *found, *gone, *found) as (server, client):
        assert [info.name for info in client.bucket("b").list()] == ["a", "b", "d"]
    asked = [(request.method, request.target.partition("?")[0]) for request in server.requests[2:]]
    b, c, d = (f"/v1/objects/b/{name}" for name in "bcd")
    assert asked == [("HEAD", b), ("HEAD", c), ("GET", c), ("HEAD", d)]


def test_a_cluster_in_order_is_not_asked_for_its_jobs() -> None:
    """Copies and leftovers of an object that is in its place do not count."""
    with cluster(out_of_place("a", "a", status=3)) as (server, client):
        assert [info.name for info in client.bucket("b").list()] == ["a"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("flags", [0, 1])
def test_names_are_listed_with_sizes_while_objects_move(flags: int) -> None:
    """In a listing of names alone AIStore leaves out what is out of place."""
    page = {"UUID": "id", "ContinuationToken": "a", "Entries": [{"n": "a"}], "Flags": flags}
    names = Reply(200, msgspec.msgpack.encode(page), {"Content-Type": "application/msgpack"})
    again = packed("a", token="a")
    with cluster(names, *[again] * flags, packed("b")) as (server, client):
        listed = list(client.bucket("b").list(props="name"))
    assert listed == [ObjectInfo("ais://b", "a"), ObjectInfo("ais://b", "b")]
    values = [json.loads(request.body)["value"] for request in server.requests]
    asked = [("name", ""), *[("name,size", "")] * flags, (("name", "name,size")[flags], "id")]
    assert [(value["props"], value["uuid"]) for value in values] == asked


def test_the_jobs_are_requested_for_each_page() -> None:
    """A rebalance may end, or begin, between two pages."""
    replies = (
        *(out_of_place("b", token="b"), running("rebalance[g1]")),
        *(packed_page([{"n": "c", "f": 64 | 1}], ""), running(), Reply(404), Reply(404)),
    )
    with cluster(*replies) as (_, client):
        assert [info.name for info in client.bucket("b").list()] == ["a", "b"]


def test_a_cluster_that_does_not_name_its_jobs_is_an_error() -> None:
    """Nothing is left out by mistake."""
    for answers, error in (
        ([Reply(200, b"<html>")], "not a list of running jobs"),
        ([Reply(200, b'"rebalance"')], "not a list of running jobs"),
        ([Reply(503)] * 3, "gave up after 3 tries"),
    ):
        with (
            cluster(out_of_place("b"), *answers) as (_, client),
            pytest.raises(StorageError, match=error),
        ):
            list(client.bucket("b").list())


@pytest.mark.parametrize(
    "text",
    [
        'p[oIwp28080]: failed to call t[fHGt28082] list[LbdOEUlA-k], err: Get "http://127.0.0.1/": '
        "dial tcp 127.0.0.1:29082: connect: connection refused",
        "p[oIwp28080]: failed to call t[fHGt28082] list[f2nOEUJqf], err: unexpected EOF",
        "t[HeKt28083]: cannot handle bucket request: Smap v0",
    ],
)
def test_a_node_that_comes_or_goes_is_waited_for(text: str) -> None:
    """As a live cluster answered while a target was killed, and while another joined."""
    trouble = Reply(400, json.dumps({"message": text, "status": 400}).encode())
    with cluster(trouble, trouble, packed("a")) as (_, client):
        assert [info.name for info in client.bucket("b").list()] == ["a"]


def test_another_bad_request_is_not_sent_again() -> None:
    """Nothing would change."""
    with (
        cluster(Reply(400, b'{"message": "bad list-objects request: invalid prefix"}')) as (_, c),
        pytest.raises(StorageError, match="400 bad list-objects request"),
    ):
        list(c.bucket("b").list())


def test_folders_without_objects_are_not_listed(tmp_path: Path) -> None:
    """As AIStore has them on its disks when all their objects are deleted."""
    with Gateway(tmp_path) as gateway:
        bucket = Client(gateway.endpoint).bucket("b").create()
        bucket.object("d/o").put(b"1")
        (tmp_path / "b" / "empty" / "deep").mkdir(parents=True)
        assert [info.name for info in bucket.list(recursive=False)] == ["d/"]


def test_small_folders_are_proven_by_one_request(tmp_path: Path) -> None:
    """Large and empty ones by one each, with a prefix only those that have it."""
    with Gateway(tmp_path) as gateway, FaultProxy(gateway.endpoint) as proxy:
        bucket = Client(proxy.endpoint).bucket("b").create()
        for number in range(20):
            bucket.object(f"d/{number:02}/o").put(b"1")
            (tmp_path / "b" / "empty" / str(number)).mkdir(parents=True)
        folders = [f"d/{number:02}/" for number in range(20)]
        requests = len(proxy.requests)
        assert [info.name for info in bucket.list("d/", recursive=False)] == folders
        assert len(proxy.requests) - requests == 2
        for number in range(300):
            bucket.object(f"d/00/{number}").put(b"1")
        assert [info.name for info in bucket.list("d/", recursive=False)] == folders
        assert list(bucket.list("empty/", recursive=False)) == []
        requests = len(proxy.requests)
        assert [info.name for info in bucket.list("d/1", recursive=False)] == folders[10:]
        assert len(proxy.requests) - requests == 2
