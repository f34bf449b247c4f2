"""Object: verified reads, and writes that send the data once."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest

from aisio.client.client import Client
from aisio.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from aisio.records import Settings
from tests.client.object_server import (
    DATA,
    MOVED,
    TARGET,
    WHOLE,
    hashed,
    stored,
)
from tests.http_server import Reply

UNSIZED = {"Transfer-Encoding": "chunked"}


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
        # The one that was asked; the one that took the data is read from, too.
        assert server.connections == 2


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


def test_a_delete_whose_answer_was_lost_has_succeeded() -> None:
    """The object is gone at the second try because the first one deleted it."""
    with stored(Reply(0), Reply(404)) as (server, item):
        item.delete()
    assert len(server.requests) == 2
    with stored(Reply(404)) as (_, item), pytest.raises(NotFoundError):
        item.delete()
