"""DirectReads: what a read verifies; the contract of stores is in `test_store`."""

from __future__ import annotations

import hashlib

import pytest

from aisio.errors import IntegrityError, TruncatedError
from aisio.stores import DirectSettings, DirectStore
from tests.http_server import Reply, Server
from tests.stores.direct.replies import DATED, DIGITS, FAST, OBJECT, direct, rest, server_url, whole

pytest.importorskip("obstore")


def test_an_etag_that_is_an_md5_is_checked() -> None:
    """Wrong bytes of the right length are an error, unless ETags are said to be no MD5."""
    md5 = hashlib.md5(b"hello").hexdigest()
    with Server(whole(b"hellO", md5), whole(b"hellO", md5)) as server:
        with pytest.raises(IntegrityError, match="md5"):
            direct(server).read(OBJECT)
        assert direct(server, verify_etag=False).read(OBJECT) == b"hellO"


def test_a_cut_body_is_resumed() -> None:
    """By a range after what obstore delivered; it holds back less than 16 KiB."""
    full = rest(b"0123456789", "v", 0, 10)
    with Server(whole(b"01234", "v", 10), full) as server:
        assert direct(server).read(OBJECT) == b"0123456789"
    assert [request.headers["Range"] for request in server.requests] == [None, "bytes=0-9"]


def test_a_weak_etag_does_not_join_two_replies() -> None:
    """It promises the same meaning, not the same bytes."""
    replies = [
        Reply(200, body, {**DATED, "ETag": 'W/"v"', "Content-Length": "10"}) for body in DIGITS
    ]
    with Server(*replies) as server:
        assert direct(server).read(OBJECT) == b"0123456789"
    assert [request.headers["Range"] for request in server.requests] == [None, None]


@pytest.mark.parametrize("faults", [1, 2])
def test_a_cut_body_without_an_etag_is_read_again(faults: int) -> None:
    """From its start: the rest might be that of another version."""
    cut, full = (Reply(200, body, {**DATED, "Content-Length": "10"}) for body in DIGITS)
    with Server(*[cut] * faults, full) as server:
        assert direct(server).read(server_url(server)) == b"0123456789"
    assert [request.headers["Range"] for request in server.requests] == [None] * (faults + 1)


def test_a_read_that_is_always_cut_ends() -> None:
    """After the tries that the settings allow, with an error that has their number."""
    cut = Reply(200, b"01234", {**DATED, "Content-Length": "10"})
    with Server(*[cut] * 9) as server:
        with pytest.raises(TruncatedError, match="gave up after 3 tries"):
            direct(server).read(server_url(server))
        assert len(server.requests) == FAST.attempts


def test_wrong_bytes_are_not_asked_for_again() -> None:
    """The stored object is damaged: another try would give the same bytes."""
    wrong = whole(b"hellO", hashlib.md5(b"hello").hexdigest())
    with Server(wrong, wrong) as server:
        with pytest.raises(IntegrityError, match="md5"):
            direct(server).read(OBJECT)
        assert len(server.requests) == 1


def test_another_version_is_not_read_on() -> None:
    """The body ends in an error; it never mixes two versions."""
    with Server(whole(b"01234", "v", 10), rest(b"0123456789", "w", 0, 10)) as server:
        body = direct(server).get(OBJECT)
        with body, pytest.raises(TruncatedError, match="expected 10 bytes, got"):
            body.readall()


@pytest.mark.parametrize("same", [True, False])
def test_times_tell_versions_apart_where_there_are_no_etags(same: bool) -> None:
    """Web servers need not have ETags."""
    later = DATED["Last-Modified"].replace("00 GMT", "00 GMT" if same else "01 GMT")
    replies = [Reply(200, b"01", {"Last-Modified": at}) for at in (DATED["Last-Modified"], later)]
    with Server(*replies) as server:
        store, url = DirectStore(DirectSettings(retry=FAST)), server_url(server)
        assert store.is_same(url, store.head(url), store.head(url)) is same
