"""Object: verified reads, and writes that send the data once."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from typing import Any

import pytest
import xxhash

from aisio.client.client import Client
from aisio.client.object import Object
from aisio.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    UnavailableError,
)
from aisio.records import ByteRange, Checksum, ObjectInfo, Settings
from aisio.urls import ObjectUrl
from tests.client.object_server import (
    DATA,
    MOVED,
    TARGET,
    WHOLE,
    hashed,
    part,
    stored,
)
from tests.http_server import Reply


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


UNSIZED = {"Transfer-Encoding": "chunked"}


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


def test_an_object_whose_length_nobody_tells_is_not_opened() -> None:
    """It can be read through, but not seek from its end. That it exists is known."""
    head, whole = Reply(200, headers=UNSIZED), Reply(200, b"3\r\nabc\r\n0\r\n\r\n", UNSIZED)
    with stored(head, head, whole, whole) as (_, item):
        assert item.exists()
        with pytest.raises(IntegrityError, match="the store does not say how many bytes"):
            item.open()
        assert item.get() == b"abc"


def test_an_open_object_is_a_seekable_file() -> None:
    """HEAD, then one request for all of a small one, which is verified."""
    with stored(WHOLE, WHOLE) as (server, item), item.open() as file:
        file.seek(-10, io.SEEK_END)
        assert file.read() == DATA[90:]
        file.seek(0)
        assert file.read(10) == DATA[:10]
    assert [(r.method, r.headers["Range"]) for r in server.requests] == [
        ("HEAD", None),
        ("GET", None),
    ]


def test_a_wrong_byte_of_a_small_open_object_is_found() -> None:
    """Wherever the reader is in the file."""
    wrong = Reply(200, DATA[:-1] + b"x", hashed(DATA))
    with stored(WHOLE, wrong) as (_, item), item.open() as file:
        file.seek(50)
        with pytest.raises(IntegrityError, match="wrong xxhash2 checksum"):
            file.read(1)


def test_text_is_verified_as_bytes_are() -> None:
    """An object of letters; then one that lost a letter on the way."""
    text = "größer\r\nkleiner\n".encode()
    head = Reply(200, text, hashed(text))
    with stored(head, head) as (_, item), item.open("r") as file:
        assert list(file) == ["größer\n", "kleiner\n"]
    with stored(head, head) as (_, item), item.open("rt", newline="") as file:
        assert file.read() == "größer\r\nkleiner\n"
    with (
        stored(head, Reply(200, text[:-2] + b"!\n", hashed(text))) as (_, item),
        item.open("r") as file,
        pytest.raises(IntegrityError, match="wrong xxhash2 checksum"),
    ):
        file.readline()


def test_bytes_of_another_encoding_are_an_error() -> None:
    """Unless the caller says what to do with them."""
    latin = Reply(200, b"gr\xf6\xdfer", hashed(b"gr\xf6\xdfer"))
    with stored(latin, latin) as (_, item), item.open("r") as file, pytest.raises(UnicodeError):
        file.read()
    with stored(latin, latin) as (_, item), item.open("r", errors="replace") as file:
        assert file.read() == "gr\ufffd\ufffder"
    with stored(latin, latin) as (_, item), item.open("r", encoding="latin-1") as file:
        assert file.read() == "größer"


def test_arguments_of_open_are_checked_before_a_request() -> None:
    """What would do nothing is an error."""
    with stored() as (server, item):
        with pytest.raises(ConfigError, match="allow_empty is for writing, not mode='r'"):
            item.open("r", allow_empty=True)  # type: ignore[call-overload]
        with pytest.raises(ConfigError, match="a binary file has none"):
            item.open("rb", encoding="utf-8")  # type: ignore[call-overload]
    assert server.requests == []


def test_equal_objects_are_equal() -> None:
    """They may be keys, also after a pickle."""
    bucket = Client.from_settings(Settings("http://h:1", token="t")).bucket("b")
    item = bucket.object("a")
    assert {item: 1}[pickle.loads(pickle.dumps(bucket)).object("a")] == 1
    assert item != bucket.object("b")
    assert item != Client.from_settings(Settings("http://h:1")).bucket("b").object("a")
    assert item != item.url


def test_an_object_replaced_while_open_is_an_error() -> None:
    """The second response is that of another version."""
    newer = Reply(200, DATA, hashed(DATA) | {"Ais-Version": "2"})
    with stored(WHOLE, newer) as (_, item), item.open() as file:
        file.seek(90)
        with pytest.raises(IntegrityError, match="the object was replaced"):
            file.read()


def test_put_sends_the_data_once_to_the_target() -> None:
    """The proxy sees headers with the real length, and no body."""
    with stored(MOVED, Reply(200, headers=hashed(DATA))) as (server, item):
        info = item.put(DATA)
    assert (info.name, info.size_bytes, info.version) == ("d/a ?#", 100, "1")
    ask, send = server.requests
    assert (ask.method, ask.headers["Content-Length"], ask.body) == ("PUT", "100", b"")
    assert ask.headers["Connection"] == "close"
    assert (send.method, send.target) == ("PUT", "/target?pid=p&utm=1")
    assert (send.headers["Content-Length"], send.body) == ("100", DATA)
    assert send.headers["Transfer-Encoding"] is None


def test_an_empty_object_is_put_the_same_way() -> None:
    """Zero is a length too."""
    with stored(MOVED, Reply(200, headers=hashed(b""))) as (server, item):
        assert item.put(b"").size_bytes == 0
    assert [request.headers["Content-Length"] for request in server.requests] == ["0", "0"]


def test_a_server_that_answers_before_the_data_is_no_cluster() -> None:
    """It may have stored something, but not the data."""
    with (
        stored(Reply(200, unread=True)) as (server, item),
        pytest.raises(StorageError, match="answered 200 before it had the data"),
    ):
        item.put(DATA)
    assert len(server.requests) == 1


def test_a_connection_that_may_wait_for_a_body_is_not_used_again() -> None:
    """The next request would be taken for that body."""
    with stored(MOVED, Reply(200, headers=hashed(DATA)), WHOLE) as (server, item):
        item.put(DATA)
        assert item.get() == DATA
        # The one that was asked, the one that took the data, and the one that is read from.
        assert server.connections == 3


def test_a_target_that_redirects_again_has_stored_nothing() -> None:
    """A 307 is no success, whatever its headers say."""
    with (
        stored(MOVED, Reply(307, headers=TARGET)) as (_, item),
        pytest.raises(StorageError, match="answered 307: nothing was stored"),
    ):
        item.put(DATA)


def test_a_store_that_received_other_bytes_is_found_out() -> None:
    """By the checksum in its response."""
    with (
        stored(MOVED, Reply(200, headers=hashed(b"other"))) as (_, item),
        pytest.raises(IntegrityError, match=r"PUT ais://b/d/a \?#: the store has a xxhash2"),
    ):
        item.put(DATA)


@pytest.mark.parametrize("bad", [[Reply(503, unread=True)], [MOVED, Reply(0)], [MOVED, Reply(500)]])
def test_a_put_is_repeated_from_the_start(bad: list[Reply]) -> None:
    """Whichever of the two requests failed; a file is read from its position again."""
    file = io.BytesIO(b"header" + DATA)
    file.seek(6)
    with stored(*bad, MOVED, Reply(200, headers=hashed(DATA))) as (server, item):
        assert item.put(file).size_bytes == 100
    assert server.requests[-1].body == DATA


def test_a_put_that_always_fails_tells_how_often() -> None:
    """The last error is raised, with the number of tries."""
    with (
        stored(*[Reply(503, b"starting", unread=True)] * 3) as (_, item),
        pytest.raises(UnavailableError, match=r"PUT ais://b/.*503 starting \(gave up after 3"),
    ):
        item.put(DATA)


def test_a_put_into_a_missing_bucket_sends_no_data() -> None:
    """The proxy knows by the headers."""
    with (
        stored(Reply(404, b"no such bucket", unread=True)) as (server, item),
        pytest.raises(NotFoundError, match="no such bucket"),
    ):
        item.put(DATA)
    assert len(server.requests) == 1


class Shrinking(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size) if self.tell() < 50 else b""


def test_a_file_that_cannot_be_read_to_its_end_is_not_retried() -> None:
    """It is no network error, though the connection has to be cut."""
    with stored(MOVED, Reply(0)) as (server, item):
        file: Any = Shrinking(bytes(2 * 1024 * 1024))
        with pytest.raises(StorageError, match="the file has shrunk"):
            item.put(file)
    assert len([request for request in server.requests if request.target.startswith("/v1")]) == 1


def test_delete_is_an_error_or_fine_where_nothing_is() -> None:
    """As missing_ok says."""
    with stored(Reply(), Reply(404), Reply(404)) as (server, item):
        item.delete()
        item.delete(missing_ok=True)
        with pytest.raises(NotFoundError, match="DELETE ais://b/d/a"):
            item.delete()
    assert {request.method for request in server.requests} == {"DELETE"}


def test_one_budget_bounds_a_read() -> None:
    """To open, to resume and to start again draw on the same budget."""
    broken = Reply(200, DATA[:5], {**hashed(DATA), "Content-Length": "100"})
    with (
        stored(broken, *[Reply(503)] * 50, attempts=5) as (server, item),
        pytest.raises(StorageError, match=r"503 .*gave up after 5 tries in [0-9.]+ s\)$"),
    ):
        item.get()
    assert len(server.requests) == 5


def test_a_delete_whose_answer_was_lost_has_succeeded() -> None:
    """The object is gone at the second try because the first one deleted it."""
    with stored(Reply(0), Reply(404)) as (server, item):
        item.delete()
    assert len(server.requests) == 2
    with stored(Reply(404)) as (_, item), pytest.raises(NotFoundError):
        item.delete()
