"""BaseBucket: creating, deleting and listing a bucket."""

from __future__ import annotations

import json

import pytest

from aisio.errors import (
    ConfigError,
    ConflictError,
    NotFoundError,
    UnavailableError,
    UrlError,
)
from tests.http_server import Reply
from tests.scripted_cluster import cluster


def listed(*names: str, token: str = "", size: int = 1) -> Reply:
    """Return a page of a listing."""
    entries = [{"name": name, "size": str(size)} for name in names] or None
    page = {"uuid": "id", "continuation_token": token, "entries": entries}
    return Reply(200, json.dumps(page).encode(), {"Content-Type": "application/json"})


def test_creating_a_bucket_sends_the_action() -> None:
    """And returns the bucket."""
    with cluster(Reply()) as (server, client):
        bucket = client.bucket("b", namespace="#n")
        assert bucket.create() is bucket
    request = server.requests[0]
    assert (request.method, request.target) == (
        "POST",
        "/v1/buckets/b?provider=ais&namespace=%40%23n",
    )
    assert json.loads(request.body) == {"action": "create-bck", "name": "", "value": None}


def test_creating_what_exists_is_a_conflict_or_fine() -> None:
    """As exist_ok says."""
    exists = Reply(409, b'{"message": "bucket \\"ais://b\\" already exists"}')
    with cluster(exists, exists) as (_, client):
        with pytest.raises(ConflictError, match="POST ais://b: 409 bucket .* already exists"):
            client.bucket("b").create()
        client.bucket("b").create(exist_ok=True)


def test_creating_is_repeated_only_where_that_is_safe() -> None:
    """After a lost response a second try would find the bucket that the first one made."""
    with cluster(Reply(0), Reply()) as (server, client):
        with pytest.raises(UnavailableError):
            client.bucket("b").create()
        client.bucket("b").create()
    assert len(server.requests) == 2
    with cluster(Reply(0), Reply(409)) as (server, client):
        client.bucket("b").create(exist_ok=True)
    assert len(server.requests) == 2


def test_a_bucket_exists_or_does_not() -> None:
    """Any other failure is an error, and does not say that it does not exist."""
    with cluster(Reply(), Reply(404), Reply(403)) as (server, client):
        assert client.bucket("b").exists() is True
        assert client.bucket("b").exists() is False
        with pytest.raises(PermissionError):
            client.bucket("b").exists()
    assert {request.method for request in server.requests} == {"HEAD"}


def test_deleting_a_bucket_that_is_missing_is_an_error_or_fine() -> None:
    """As missing_ok says."""
    with cluster(Reply(), Reply(404), Reply(404)) as (server, client):
        client.bucket("b").delete()
        client.bucket("b").delete(missing_ok=True)
        with pytest.raises(NotFoundError, match="DELETE ais://b: 404"):
            client.bucket("b").delete()
    assert json.loads(server.requests[0].body)["action"] == "destroy-bck"


def test_iterating_over_a_bucket_lists_it_page_by_page() -> None:
    """It yields objects, as a group does."""
    with cluster(listed("a", "b", token="b"), listed("c")) as (server, client):
        bucket = client.bucket("b")
        objects = iter(bucket)
        assert server.requests == []
        assert [next(objects), next(objects)] == [bucket.object("a"), bucket.object("b")]
        assert len(server.requests) == 1
        assert list(objects) == [bucket.object("c")]


def test_a_mark_of_a_folder_is_no_object() -> None:
    """An empty one, as tools make it; one that holds bytes cannot be named."""
    with cluster(listed("a/", size=0), listed("a/")) as (_, client):
        assert list(client.bucket("b")) == []
        with pytest.raises(UrlError, match="'ais://b/a/' names no object"):
            list(client.bucket("b"))


def test_in_a_bucket_is_what_exists() -> None:
    """As `Object.exists` finds it, not by listing the bucket."""
    with cluster(Reply(200, b"x"), Reply(404), Reply(404), Reply(200, b"x")) as (server, client):
        bucket = client.bucket("b")
        assert "a" in bucket
        assert "none" not in bucket
        assert bucket.object("a") in bucket
        assert client.bucket("other").object("a") not in bucket
        assert 3 not in bucket
    assert {request.target.split("?")[0] for request in server.requests} == {
        "/v1/objects/b/a",
        "/v1/objects/b/none",
    }


@pytest.mark.parametrize("props", ["name,size,cheksum", "name, size", "", "name,copies"])
def test_a_listing_of_unknown_properties_is_refused(props: str) -> None:
    """AIStore would ignore them, and all objects would seem to have no checksum."""
    with cluster() as (server, client):
        with pytest.raises(ConfigError, match="props='.*': expected some of name, size, checksum"):
            client.bucket("b").list(props=props)
        assert not server.requests
