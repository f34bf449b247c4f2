"""ObjectReads: what is read of an object, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import xxhash

from aisio.client.object import Object
from aisio.errors import (
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
)
from aisio.records import ByteRange, Checksum, ObjectInfo
from aisio.urls import ObjectUrl
from tests.client.object_server import (
    DATA,
    TARGET,
    WHOLE,
    hashed,
    part,
    stored,
)
from tests.http_server import Reply

UNSIZED = {"Transfer-Encoding": "chunked"}


def test_get_gives_verified_bytes_in_one_request() -> None:
    """With path and query as AIStore wants them."""
    with stored(WHOLE) as (server, item):
        assert item.get() == DATA
    assert [r.target for r in server.requests] == ["/v1/objects/b/d/a%20%3F%23?provider=ais"]
    assert server.requests[0].headers["Range"] is None


@pytest.mark.parametrize(
    "odd",
    [Reply(201, DATA), Reply(204), Reply(300), Reply(304), part(5, 10)],
    ids=lambda r: r.status,
)
def test_an_answer_of_another_status_is_not_the_object(odd: Reply) -> None:
    """It has not the object's bytes, and does not say that the object exists."""
    with stored(*[odd] * 5) as (_, item):
        for read in (item.get, item.head, item.exists, item.stream, lambda: item.get_member("a")):
            with pytest.raises(
                StorageError, match=f"answered {odd.status}, which is not the whole"
            ):
                read()


def test_a_web_page_is_not_the_object() -> None:
    """Nor does it say that the object exists or is gone. A stored page has AIStore headers."""
    page = Reply(200, b"<html>log in</html>", {"Content-Type": "text/html; charset=utf-8"})
    with stored(*[page] * 6) as (_, item):
        whole = (item.get, item.head, item.exists, item.stream, item.delete)
        for call in (*whole, lambda: item.get_member("a")):
            with pytest.raises(IntegrityError, match="answered with a web page"):
                call()
    kept = replace(page, headers={**page.headers, "ais-atime": "1"})
    with stored(kept, page) as (_, item):
        assert item.get() == page.body
        assert item.get(etl_name="to-html") == page.body


def test_a_range_of_all_bytes_is_verified() -> None:
    """Its checksum is the object's."""
    wrong = replace(part(0, 100), body=DATA[:-1] + b"x")
    with stored(part(0, 100), wrong) as (_, item):
        assert item.get(start=0, stop=100) == DATA
        with pytest.raises(IntegrityError, match="xxhash2"):
            item.get(start=0, stop=200)


def test_get_follows_the_redirect_to_the_target() -> None:
    """301 for a GET; the range is sent again."""
    with stored(Reply(301, headers=TARGET), part(5, 10)) as (server, item):
        assert item.get(start=5, stop=10) == DATA[5:10]
    assert server.requests[1].target == "/target?pid=p&utm=1"
    assert [request.headers["Range"] for request in server.requests] == ["bytes=5-9"] * 2


def test_a_wrong_checksum_is_an_error_at_once() -> None:
    """An object that is stored wrong stays wrong."""
    with (
        stored(Reply(200, DATA[::-1], hashed(DATA)), WHOLE) as (server, item),
        pytest.raises(IntegrityError, match=r"GET ais://b/d/a \?#: wrong xxhash2 checksum"),
    ):
        item.get()
    assert len(server.requests) == 1


def test_a_missing_object_takes_one_round_trip() -> None:
    """And its name is in the error."""
    with (
        stored(Reply(404, b'{"message": "does not exist"}')) as (server, item),
        pytest.raises(NotFoundError, match=r"GET ais://b/d/a \?#: 404 does not exist"),
    ):
        item.get()
    assert len(server.requests) == 1


@pytest.mark.parametrize("bad", [Reply(429), Reply(503), Reply(0)])
def test_get_is_tried_again(bad: Reply) -> None:
    """After a 429, a 503 and a connection that was closed."""
    with stored(bad, bad, WHOLE) as (_, item):
        assert item.get() == DATA


@pytest.mark.parametrize(
    ("wanted", "reply"),
    [
        ({"start": 10, "stop": 20}, part(10, 20)),
        ({"start": 90}, part(90, 100)),
        ({"start": 90, "stop": 1000}, part(90, 100)),
        ({"stop": 1}, part(0, 1)),
    ],
    ids=str,
)
def test_a_range_is_cut_to_the_objects_end(wanted: dict[str, Any], reply: Reply) -> None:
    """As a slice of bytes is; the checksum header is the whole object's and is not compared."""
    with stored(reply) as (_, item):
        assert item.get(**wanted) == DATA[slice(wanted.get("start"), wanted.get("stop"))]


@pytest.mark.parametrize(
    "reply",
    [
        WHOLE,
        part(0, 10),
        part(10, 19),
        part(10, 21),
        part(10, 20, **{"Content-Range": "bytes */100"}),
        Reply(206, DATA[10:20]),
        Reply(206, DATA[10:15], {"Content-Range": "bytes 10-19/100"}),
    ],
    ids=["range ignored", "other start", "too short", "too long", "no span", "no header", "length"],
)
def test_a_range_that_is_not_the_one_asked_for_is_an_error(reply: Reply) -> None:
    """Its bytes would be taken for those of another range."""
    with (
        stored(reply) as (server, item),
        pytest.raises(IntegrityError, match=r"asked for bytes=10-19, the store answered 20"),
    ):
        item.get(start=10, stop=20)
    assert len(server.requests) == 1


def test_a_cut_range_is_read_again() -> None:
    """Its length is known too."""
    cut = Reply(206, DATA[10:12], {"Content-Range": "bytes 10-19/100", "Content-Length": "10"})
    with stored(cut, part(10, 20)) as (_, item):
        assert item.get(start=10, stop=20) == DATA[10:20]


def test_a_range_behind_the_end_is_a_range_error() -> None:
    """As the store says."""
    with (
        stored(Reply(416, b"not satisfiable")) as (_, item),
        pytest.raises(RangeError, match="416 not satisfiable"),
    ):
        item.get(start=1000)


def test_a_transformed_object_is_not_compared_with_the_stored_one() -> None:
    """The checksum is that of the stored object, before the ETL."""
    with stored(Reply(200, b"other", hashed(DATA))) as (server, item):
        assert item.get(etl_name="e t") == b"other"
    assert server.requests[0].target.endswith("?provider=ais&etl_name=e+t")


def test_stream_opens_and_reads_on() -> None:
    """Its info is that of the response."""
    with stored(WHOLE) as (_, item), item.stream() as body:
        assert body.info.size_bytes == body.size_bytes == 100
        assert body.info.version == "1"
        assert body.read(10) + body.read() == DATA


def test_stream_of_a_range_knows_both_sizes() -> None:
    """That of the range, and that of the object."""
    with stored(part(10, 20)) as (_, item), item.stream(ByteRange(10, 20)) as body:
        assert (body.size_bytes, body.info.size_bytes) == (10, 100)
        assert body.read() == DATA[10:20]


def test_a_read_out_connection_is_used_again() -> None:
    """A body that is closed early costs its connection."""
    with stored(WHOLE, WHOLE, WHOLE, WHOLE) as (server, item):
        item.get()
        with item.stream() as body:
            body.read()
        assert server.connections == 1
        with item.stream() as body:
            body.read(1)
        assert item.get() == DATA
        assert server.connections == 2


def test_head_tells_what_the_cluster_knows() -> None:
    """A 404 means that no such object exists, if a GET answers 404 too."""
    missing = Reply(404), Reply(404)
    with stored(WHOLE, *missing, Reply(200), *missing) as (server, item):
        checksum = Checksum("xxhash2", xxhash.xxh64_hexdigest(DATA))
        assert item.head() == ObjectInfo("ais://b", "d/a ?#", 100, checksum, "1")
        with pytest.raises(NotFoundError, match="GET ais://b/d/a"):
            item.head()
        assert item.exists() is True
        assert item.exists() is False
    methods = ["HEAD", "HEAD", "GET", "HEAD", "HEAD", "GET"]
    assert [request.method for request in server.requests] == methods


def test_a_head_knows_what_a_rebalance_has_yet_to_move() -> None:
    """AIStore 5.0 looks for it on other nodes only for a GET: a HEAD may be a 404 for hours."""
    with stored(Reply(404), WHOLE, Reply(404), WHOLE, WHOLE) as (server, item):
        assert item.head().size_bytes == len(DATA)
        assert item.exists() is True
        assert item.get() == DATA
    assert [request.method for request in server.requests] == ["HEAD", "GET", "HEAD", "GET", "GET"]


def test_a_head_of_a_clouds_object_is_believed() -> None:
    """The cluster asks the cloud; a GET would have it fetch the object."""
    with stored(Reply(404)) as (server, item):
        assert Object(item.session, ObjectUrl.parse("s3://b/o")).exists() is False
    assert [request.method for request in server.requests] == ["HEAD"]


def test_a_head_without_a_length_is_of_no_bytes_where_the_checksum_says_so() -> None:
    """AIStore leaves the length of an empty object out; its checksum is that of nothing."""
    with stored(Reply(200, headers=UNSIZED | hashed(b""))) as (server, item):
        assert item.head().size_bytes == 0
    assert len(server.requests) == 1


@pytest.mark.parametrize("said", [hashed(DATA), {}], ids=["another checksum", "no checksum"])
@pytest.mark.parametrize("data", [DATA, b""], ids=["bytes", "empty"])
def test_a_length_that_a_head_leaves_out_is_asked_for_by_a_get(
    said: dict[str, str], data: bytes
) -> None:
    """A proxy may have dropped it: it is not taken for 0."""
    if said and not data:
        said = {"Ais-Checksum-Type": "cesium", "Ais-Checksum-Value": "00"}
    head, whole = Reply(200, headers=UNSIZED | said), Reply(200, data, said)
    with stored(head, whole) as (server, item):
        assert item.head().size_bytes == len(data)
    assert [request.method for request in server.requests][:2] == ["HEAD", "GET"]
    with stored(head, whole, whole) as (_, item), item.open() as file:
        assert file.read() == data


def test_one_budget_bounds_a_read() -> None:
    """To open, to resume and to start again draw on the same budget."""
    broken = Reply(200, DATA[:5], {**hashed(DATA), "Content-Length": "100"})
    with (
        stored(broken, *[Reply(503)] * 50, attempts=5) as (server, item),
        pytest.raises(StorageError, match=r"503 .*gave up after 5 tries in [0-9.]+ s\)$"),
    ):
        item.get()
    assert len(server.requests) == 5
