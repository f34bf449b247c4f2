"""Whole responses: limited in size, and refused unless they are successful."""

from __future__ import annotations

import gzip

import pytest
import requests

from aisio.client.control_responses import read_whole
from aisio.client.session import Session
from aisio.errors import IntegrityError, NotFoundError, StorageError, UnavailableError
from aisio.records import RetryPolicy, Settings
from tests.http_server import Reply, Server


def client_of(server: Server) -> Session:
    """Return a session that tries once."""
    return Session(Settings(server.url, retry=RetryPolicy(attempts=1)))


@pytest.mark.parametrize("size", [9, 10, 11])
def test_a_response_has_a_largest_size(size: int) -> None:
    """A server cannot fill the memory."""
    with Server(Reply(200, b"x" * size)) as server:
        response = requests.get(server.url, stream=True)
        if size <= 10:
            assert len(read_whole(response, None, "GET x", 10)) == size
        else:
            with pytest.raises(IntegrityError, match="GET x: the response has more than 10 bytes"):
                read_whole(response, None, "GET x", 10)
        response.close()


def test_a_compressed_response_is_refused_and_not_requested() -> None:
    """600 KB of gzip can be 600 MB of zeros."""
    compressed = Reply(200, gzip.compress(b"[]"), {"Content-Encoding": "gzip"})
    with Server(compressed) as server:
        client = client_of(server)
        with pytest.raises(IntegrityError, match=r"ais://b: the response is compressed \(gzip\)"):
            client.call("GET", "/v1/x", about="ais://b")
        client.close()
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [300, 304])
def test_a_status_that_is_no_success_is_an_error(status: int) -> None:
    """A DELETE was not carried out."""
    with Server(Reply(status)) as server:
        client = client_of(server)
        with pytest.raises(StorageError, match=f"DELETE ais://b: answered {status}"):
            client.call("DELETE", "/v1/x", about="ais://b")
        client.close()


def test_the_reason_in_a_header_is_utf8() -> None:
    """AIStore sends UTF-8, and HTTP libraries read headers as Latin-1."""
    reason = '{"message": "kein Objekt für Grüße"}'.encode().decode("latin-1")
    with Server(Reply(404, headers={"Hdr-Error": reason})) as server:
        client = client_of(server)
        with pytest.raises(NotFoundError, match="kein Objekt für Grüße"):
            client.call("HEAD", "/v1/x")
        client.close()


def test_an_error_counts_although_its_text_is_compressed() -> None:
    """Load balancers send such pages, and their status counts."""
    compressed = Reply(503, gzip.compress(b"<html>"), {"Content-Encoding": "gzip"})
    with Server(compressed) as server:
        client = client_of(server)
        with pytest.raises(UnavailableError, match="503"):
            client.call("GET", "/v1/x")
        client.close()
