"""Whole replies: bounded, and successes alone."""

from __future__ import annotations

import gzip

import pytest
import requests

from aisio.client.control_replies import read_whole
from aisio.client.session import MOST_REDIRECTS, Session
from aisio.errors import IntegrityError, NotFoundError, StorageError, UnavailableError
from aisio.records import RetryPolicy, Settings
from tests.endless_server import Endless
from tests.http_server import Reply, Server


def client_of(server: Server) -> Session:
    """Return a client that tries once."""
    return Session(Settings(server.url, retry=RetryPolicy(attempts=1)))


@pytest.mark.parametrize("size", [9, 10, 11])
def test_a_reply_has_a_largest_size(size: int) -> None:
    """Whoever answers cannot fill the memory."""
    with Server(Reply(200, b"x" * size)) as server:
        response = requests.get(server.url, stream=True)
        if size <= 10:
            assert len(read_whole(response, None, "GET x", 10)) == size
        else:
            with pytest.raises(IntegrityError, match="GET x: the reply has more than 10 bytes"):
                read_whole(response, None, "GET x", 10)
        response.close()


def test_a_packed_reply_is_refused_and_not_asked_for() -> None:
    """600 KB of gzip can be 600 MB of zeros."""
    packed = Reply(200, gzip.compress(b"[]"), {"Content-Encoding": "gzip"})
    with Server(packed) as server:
        client = client_of(server)
        with pytest.raises(IntegrityError, match=r"ais://b: the reply is packed \(gzip\)"):
            client.call("GET", "/v1/x", about="ais://b")
        client.close()
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_the_body_of_a_redirect_is_not_read() -> None:
    """It tells nothing, and may have no end."""
    with Endless(307) as server:
        client = Session(Settings(server.url, retry=RetryPolicy(attempts=1)))
        with pytest.raises(StorageError, match="more than 3 redirects"):
            client.call("GET", "/v1/x")
        client.close()
    assert server.answered == MOST_REDIRECTS + 1


@pytest.mark.parametrize("status", [300, 304])
def test_a_status_that_is_no_success_is_an_error(status: int) -> None:
    """A DELETE was not carried out."""
    with Server(Reply(status)) as server:
        client = client_of(server)
        with pytest.raises(StorageError, match=f"DELETE ais://b: answered {status}"):
            client.call("DELETE", "/v1/x", about="ais://b")
        client.close()


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_does_not_turn_a_change_into_a_read(status: int) -> None:
    """A login page is no answer to DELETE; AIStore redirects by 307, which keeps the method."""
    with Server(Reply(status, headers={"Location": "/login"}), Reply(200)) as server:
        client = client_of(server)
        with pytest.raises(
            StorageError, match=f"redirected by {status}, which would make it a GET"
        ):
            client.call("DELETE", "/v1/x", about="ais://b")
        client.close()
    assert len(server.requests) == 1


def test_the_reason_in_a_header_is_utf8() -> None:
    """As AIStore sends it; HTTP libraries read headers as Latin-1."""
    told = '{"message": "kein Objekt für Grüße"}'.encode().decode("latin-1")
    with Server(Reply(404, headers={"Hdr-Error": told})) as server:
        client = client_of(server)
        with pytest.raises(NotFoundError, match="kein Objekt für Grüße"):
            client.call("HEAD", "/v1/x")
        client.close()


def test_a_refusal_counts_although_its_text_is_packed() -> None:
    """Load balancers send pages of their own, which pass."""
    packed = Reply(503, gzip.compress(b"<html>"), {"Content-Encoding": "gzip"})
    with Server(packed) as server:
        client = client_of(server)
        with pytest.raises(UnavailableError, match="503"):
            client.call("GET", "/v1/x")
        client.close()
