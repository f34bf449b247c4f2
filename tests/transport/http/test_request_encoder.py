"""RequestEncoder: requests as bytes, and what must never get into one."""

from __future__ import annotations

import pytest
import requests

from aisio.transport.http.request_encoder import RequestEncoder


def test_a_request_has_a_host_and_asks_for_no_encoding() -> None:
    """RFC 9112 demands the one; the other would have to be undone."""
    encoder = RequestEncoder("h", 8080)
    assert encoder.encode("GET", "/a?b=c", {"X-Y": "z"}, None) == (
        b"GET /a?b=c HTTP/1.1\r\nHost: h:8080\r\nAccept-Encoding: identity\r\nX-Y: z\r\n\r\n"
    )


def test_a_body_follows_its_length() -> None:
    """Get-batch sends its request so."""
    data = RequestEncoder("h", 80).encode("GET", "/", {}, b"{}")
    assert data.endswith(b"\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize("body", [b"{}", None])
def test_a_length_that_is_given_is_sent_once(body: bytes | None) -> None:
    """Also that of a body which is not sent: a server may say first where it belongs."""
    data = RequestEncoder("h", 80).encode("PUT", "/", {"Content-Length": "2"}, body)
    assert data.count(b"Content-Length: 2\r\n") == 1
    assert data.endswith(b"\r\n\r\n" + (body or b""))


@pytest.mark.parametrize(
    ("host", "port", "header"),
    [
        ("h", 80, b"h"),
        ("h", 81, b"h:81"),
        ("::1", 80, b"[::1]"),
        ("::1", 81, b"[::1]:81"),
        ("bücher.example", 80, b"xn--bcher-kva.example"),
    ],
)
def test_the_host_header_is_ascii(host: str, port: int, header: bytes) -> None:
    """With the port where it is not the usual one, and brackets around an IPv6 address."""
    assert b"\r\nHost: " + header + b"\r\n" in RequestEncoder(host, port).encode(
        "GET", "/", {}, None
    )


def test_other_headers_replace_the_last_ones() -> None:
    """The lines of the last headers are kept, for requests that have the same."""
    encoder, headers = RequestEncoder("h", 80), {"X-Y": "1"}
    first = encoder.encode("GET", "/", headers, None)
    assert encoder.encode("GET", "/", {"X-Y": "1"}, None) == first
    headers["X-Y"] = "2"
    assert b"X-Y: 2\r\n" in encoder.encode("GET", "/", headers, None)
    assert b"X-Y" not in encoder.encode("GET", "/", {}, None)


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/\xe4", "/\x00"])
def test_a_target_that_is_not_encoded_is_refused(target: str) -> None:
    """It would be a request of another form."""
    with pytest.raises(requests.exceptions.InvalidURL):
        RequestEncoder("h", 80).encode("GET", target, {}, None)


def test_a_header_of_two_lines_is_refused_unseen() -> None:
    """It may be a token: the error has its name alone."""
    with pytest.raises(requests.exceptions.InvalidHeader, match="Authorization") as caught:
        RequestEncoder("h", 80).encode("GET", "/a", {"Authorization": "s3cret\r\nX: y"}, None)
    assert "s3cret" not in str(caught.value)
