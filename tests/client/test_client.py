"""Client, Bucket, ObjectGroup: their requests to a cluster, and what its responses become."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from aisio.client.client import Bucket, Client, ObjectGroup
from aisio.client.object import Object
from aisio.errors import (
    ConfigError,
    NotFoundError,
    StorageError,
    UrlError,
)
from aisio.records import ObjectInfo, RetryPolicy, Settings
from aisio.urls import Namespace, ObjectUrl
from tests.http_server import Reply, Server
from tests.scripted_cluster import cluster

OFFLINE = Client.from_settings(Settings("http://h:8080", token="s3cret"))


def test_a_client_without_an_endpoint_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint is the argument, else AIS_ENDPOINT."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    with pytest.raises(ConfigError, match="AIS_ENDPOINT"):
        Client()
    monkeypatch.setenv("AIS_ENDPOINT", "http://from-environ:1")
    assert Client().endpoint == "http://from-environ:1"
    assert Client("http://a:1", pool_size=3).settings.pool_size == 3


@pytest.mark.parametrize(
    "held",
    [
        OFFLINE,
        OFFLINE.bucket("b"),
        OFFLINE.bucket("b").object("o"),
        OFFLINE.bucket("b").objects(["x", "y"]),
        OFFLINE.bucket("b").objects(template="s-{0..9}"),
    ],
    ids=lambda held: type(held).__name__,
)
def test_public_objects_pickle_and_show_no_token(held: Any) -> None:
    """They go to workers and into logs."""
    again = pickle.loads(pickle.dumps(held))
    assert repr(again) == repr(held)
    assert "http://h:8080" in repr(held) or "ais://b" in repr(held)
    assert "s3cret" not in repr(held)


def test_equal_things_are_equal() -> None:
    """A bucket may be the key of a prefix_map, also after a pickle."""
    again = pickle.loads(pickle.dumps(OFFLINE))
    assert again == OFFLINE
    assert {OFFLINE.bucket("b"): 1}[again.bucket("b")] == 1
    assert OFFLINE.bucket("s") == OFFLINE.bucket("s", "ais")
    assert OFFLINE.bucket("b", "aws") == OFFLINE.bucket("s3://b")
    assert OFFLINE.bucket("b") != OFFLINE.bucket("b", "aws")
    group = OFFLINE.bucket("b").objects(["x"])
    assert {group: 1}[again.bucket("b").objects(["x"])] == 1
    assert group != OFFLINE.bucket("b").objects(["y"])


@pytest.mark.parametrize(
    ("bucket", "url"),
    [
        (OFFLINE.bucket("b"), "ais://b"),
        (OFFLINE.bucket("b", "s3"), "s3://b"),
        (OFFLINE.bucket("gs://b/"), "gs://b"),
        (OFFLINE.bucket("b", namespace="@c#n"), "ais://@c#n/b"),
        (OFFLINE.bucket("b", namespace=Namespace("", "n")), "ais://#n/b"),
    ],
)
def test_a_bucket_is_named_or_addressed(bucket: Bucket, url: str) -> None:
    """By name and provider, or by URL."""
    assert str(bucket.url) == url
    assert bucket.name == "b"


@pytest.mark.parametrize("name", ["", "a/b", "ais://b/o", "file:///data", "a b"])
def test_what_is_no_bucket_is_refused(name: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UrlError):
        OFFLINE.bucket(name)


def test_a_url_of_a_bucket_has_its_own_provider() -> None:
    """Another one is a contradiction; the same, by any of its names, is not."""
    assert OFFLINE.bucket("s3://b", "aws") == OFFLINE.bucket("b", "s3")
    with pytest.raises(UrlError, match="'s3://b' is not a bucket of provider='gs'"):
        OFFLINE.bucket("s3://b", "gs")


@pytest.mark.parametrize("url", ["ais://b", "ais://b/d/", "file:///data/a", "b/o"])
def test_what_is_no_object_is_refused(url: str) -> None:
    """A bucket, a folder, a local file, a bare name."""
    with pytest.raises(UrlError):
        OFFLINE.object(url)


def test_an_object_is_named_by_bucket_or_url() -> None:
    """Both give the same object."""
    one = OFFLINE.bucket("b").object("d/a ?#%")
    other = OFFLINE.object("ais://b/d/a ?#%")
    assert isinstance(one, Object)
    assert one.url == other.url == ObjectUrl("ais", "b", "d/a ?#%")
    assert one.name == "d/a ?#%"


def test_buckets_are_listed_by_provider() -> None:
    """An alias asks for the canonical provider."""
    rows = [{"name": "x", "provider": "aws", "namespace": {"uuid": "", "name": ""}}]
    with cluster(Reply(200, json.dumps(rows).encode())) as (server, client):
        assert client.buckets("s3") == [client.bucket("s3://x")]
    assert server.requests[0].target == "/v1/buckets?provider=aws"


def test_ready_sends_one_request() -> None:
    """A caller that waits for a cluster decides how often to try."""
    with cluster(Reply(503), Reply()) as (server, client):
        assert client.ready() is False
        assert client.ready() is True
    assert [request.target for request in server.requests] == ["/v1/health?prr=true"] * 2


def test_in_a_group_is_what_it_names() -> None:
    """Names, or objects; without a request."""
    group = OFFLINE.bucket("b").objects(template="s-{0..9}")
    assert "s-3" in group
    assert "s-10" not in group
    assert OFFLINE.bucket("b").object("s-3") in group
    assert OFFLINE.bucket("c").object("s-3") not in group


def test_a_client_is_closed_for_good_at_the_end_of_its_block() -> None:
    """With what was made with it, and its pickles; nothing is sent."""
    with cluster(Reply(), Reply(200, b"data"), Reply(200, b"[]")) as (server, client):
        with client as same:
            assert same is client
            item = client.bucket("b").object("o")
            assert client.ready()
            assert item.get() == b"data"
        group, listing = client.bucket("b").objects(["o"]), iter(client.bucket("b"))
        for use in (
            item.get,
            item.head,
            lambda: item.put(b"x"),
            lambda: item.open("r"),
            lambda: list(group.get_all()),
            lambda: list(listing),
            lambda: list(client.get_batch([item])),
            client.buckets,
            client.ready,
            pickle.loads(pickle.dumps(item)).get,
            client.__enter__,
        ):
            with pytest.raises(ConfigError, match="was closed at the end of its `with` block"):
                use()
        assert len(server.requests) == 2
        server.wait_for_ends()
        assert Client.from_settings(client.settings).buckets() == []


def test_what_is_read_at_the_end_of_the_block_can_be_read_on() -> None:
    """Its connection is in use."""
    with cluster(Reply(200, b"data")) as (_, client):
        with client:
            body = client.object("ais://b/o").stream()
        with body:
            assert body.read() == b"data"


def test_close_alone_leaves_the_client_usable() -> None:
    """The next request opens a connection."""
    with cluster(Reply(200, b"1"), Reply(200, b"2")) as (server, client):
        item = client.object("ais://b/o")
        assert item.get() == b"1"
        client.close()
        assert item.get() == b"2"
        assert server.connections == 2


def test_a_group_has_names_in_their_order() -> None:
    """Nothing is looked up."""
    group = OFFLINE.bucket("b").objects(["z", "a", "z"])
    assert isinstance(group, ObjectGroup)
    assert len(group) == 3
    assert list(group.names()) == ["z", "a", "z"]
    assert [item.url for item in group] == [ObjectUrl("ais", "b", name) for name in "zaz"]
    assert list(group.list()) == [ObjectInfo("ais://b", name) for name in "zaz"]


def test_a_group_of_a_template_is_counted_without_being_made() -> None:
    """Ten million names are not made in advance."""
    group = OFFLINE.bucket("b").objects(template="s-{0000000..9999999}.tar")
    assert len(group) == 10_000_000
    assert next(group.names()) == "s-0000000.tar"


@pytest.mark.parametrize(
    ("template", "count", "names"),
    [
        ("s-{000..004..2}", None, ["s-000", "s-002", "s-004"]),
        ("s-@02", None, ["s-00", "s-01", "s-02"]),
        ("s-%02d", 2, ["s-00", "s-01"]),
    ],
)
def test_a_template_may_be_of_any_style(template: str, count: int | None, names: list[str]) -> None:
    """bash, at, fmt."""
    assert list(OFFLINE.bucket("b").objects(template=template, count=count).names()) == names


def test_a_group_honours_the_prefix() -> None:
    """AIS-04: in names and infos."""
    group = OFFLINE.bucket("b").objects(["a/1", "b/1", "a/2"])
    assert list(group.names("a/")) == ["a/1", "a/2"]
    assert [info.name for info in group.list("a/")] == ["a/1", "a/2"]


def test_a_group_requests_sizes_when_told_to() -> None:
    """One HEAD for each object; a missing one is an error, once a GET answers 404 too."""
    head = Reply(200, b"abc")
    with cluster(head, Reply(404), Reply(404)) as (server, client):
        infos = client.bucket("b").objects(["x", "y"]).list(sizes=True)
        assert next(infos).size_bytes == 3
        with pytest.raises(NotFoundError, match="GET ais://b/y: 404"):
            next(infos)
    assert [request.method for request in server.requests] == ["HEAD", "HEAD", "GET"]


def test_a_group_needs_names_or_a_template() -> None:
    """Exactly one of them."""
    bucket = OFFLINE.bucket("b")
    with pytest.raises(ConfigError, match="names or template="):
        bucket.objects()
    with pytest.raises(ConfigError, match="names or template="):
        bucket.objects(["a"], template="{0..1}")


@pytest.mark.parametrize("names", ["abc", ["a", ""], ["d/"], ["a/../b"]])
def test_names_that_are_not_valid_are_refused(names: Any) -> None:
    """One string is not a list of names; a folder is no object."""
    with pytest.raises(UrlError):
        OFFLINE.bucket("b").objects(names)


def test_a_cluster_that_is_not_there_is_one_error() -> None:
    """Its text has the number of tries."""
    with Server() as server:
        pass
    client = Client.from_settings(
        Settings(server.url, direct=False, retry=RetryPolicy(attempts=2, first_wait_s=0))
    )
    with pytest.raises(StorageError, match=r"GET ais://b: no answer from .*after 2 tries"):
        list(client.bucket("b").list())


@pytest.mark.parametrize(
    ("held", "cells"),
    [
        (OFFLINE, ["http://h:8080", "set", "from storage nodes"]),
        (OFFLINE.bucket("b"), ["ais://b", "http://h:8080"]),
        (OFFLINE.bucket("b").object("<o>"), ["ais://b/&lt;o&gt;", "http://h:8080"]),
        (
            OFFLINE.bucket("b").objects(template="s-{0..1999}"),
            ["ais://b", "2,000", "s-0, s-1, s-2, ...", "http://h:8080"],
        ),
    ],
    ids=lambda held: type(held).__name__,
)
def test_a_notebook_shows_what_is_known(held: Any, cells: list[str]) -> None:
    """Nothing answers at this address: no request is sent."""
    html = held._repr_html_()
    assert [cell.split("</td>")[0] for cell in html.split("<td>")[1:]] == cells
    assert "s3cret" not in html


def test_editors_know_what_calls_return() -> None:
    """They complete `client.bucket("x").` by the annotations, without calling anything."""
    import typing

    assert typing.get_type_hints(Client.bucket)["return"] is Bucket
    assert typing.get_type_hints(Bucket.object)["return"] is Object
    assert typing.get_type_hints(Client.object)["return"] is Object
    assert typing.get_type_hints(Bucket.objects)["return"] is ObjectGroup
