"""Requests that no client should send: each gets a response, and none an internal error."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.archive_data import make_tar
from tests.gateway.conftest import Served

DIGITS = "9" * 5000
DEEP = "[" * 100_000


def send_request(bucket: Served, method: str, path: str, *fields: bytes, body: bytes = b"") -> int:
    """Send a request byte by byte as given; return the status of the response."""
    parts = urlsplit(bucket.endpoint)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as wire:
        head = f"{method} /v1/{path.format(bucket.name)} HTTP/1.1".encode(
            "utf-8", "surrogateescape"
        )
        length = b"Content-Length: %d" % len(body)
        host = () if any(field.startswith(b"Host:") for field in fields) else (b"Host: x",)
        wire.sendall(b"\r\n".join([head, *host, *fields, length, b"Connection: close", b"", body]))
        response = b""
        while piece := wire.recv(65536):
            response += piece
    return int(response.split(b" ", 2)[1])


def message(action: str, value: Any = None) -> bytes:
    """Return the body of a control call; text is JSON already."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f'{{"action": "{action}", "value": {text}}}'.encode()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("GET", "buckets/{}", body) for body in (b"{", b"[]", b"\xff", DEEP.encode())),
        ("GET", "buckets/{}", message("list", f'{{"a": {DEEP}')),
        ("GET", "buckets/{}", message("list", f'{{"pagesize": {DIGITS}}}')),
        ("GET", "buckets/{}", message("list", {"pagesize": -1})),
        ("GET", "buckets/{}", message("list", {"pagesize": "x"})),
        ("GET", "buckets/{}", message("list", {"flags": DIGITS})),
        ("GET", "buckets/{}", message("list", {"flags": "-1"})),
        ("GET", "buckets/{}", message("list", {"flags": "²"})),
        ("GET", "buckets/{}", message("list", {"prefix": "a\0"})),
        ("GET", "buckets/{}", message("list", {"continuation_token": "s.tar/\0", "flags": "8"})),
        ("GET", "buckets/{}", message("list", {"start_after": "s.tar/\0", "flags": "8"})),
        ("GET", "buckets/{}", message("list", '{"prefix": "\\ud800"}')),
        ("DELETE", "buckets/{}", message("delete-listrange", {"template": f"a-{{0..{DIGITS}}}"})),
        ("DELETE", "buckets/{}", message("delete-listrange", {"template": f"a-{{0..{1 << 63}}}"})),
        ("DELETE", "buckets/{}", message("delete-listrange", {"template": "a-@99999999999999"})),
        ("DELETE", "buckets/{}", message("delete-listrange", {"template": "{0..0}" * 2000})),
        ("PATCH", "buckets/{}", message("set-bprops", {"access": DIGITS})),
        ("PATCH", "buckets/{}", message("set-bprops", {"access": "²"})),
        ("POST", "buckets/{}", message("make-n-copies", f"{DIGITS}")),
        ("POST", "objects/{}/o", message("rename-obj")),
        ("POST", "objects/{}/o?uploadId=x", message("mpt-complete", [{"part-number": 1 << 70}])),
        ("GET", "cluster?what=status", b'{"id": ' + DIGITS.encode() + b"}"),
        ("GET", "ml/moss/{}?pid=p&utm=1", b'{"in": [{"objname": "o", "start": -1}]}'),
        ("GET", "ml/moss/{}?pid=p&utm=1", b'{"in": [{"objname": "o", "length": 1e99}]}'),
        ("GET", "ml/moss/{}?pid=p&utm=1", b'{"in": [{"objname": "o\\u0000"}]}'),
        ("PUT", f"objects/{{}}/o?pid=p&utm=1&uploadId=x&partNumber={DIGITS}", b"x"),
        ("PUT", "objects/{}/o?pid=p&utm=1&uploadId=x&partNumber=%C2%B2", b"x"),
        ("PUT", "objects/{}/o?pid=p&utm=1&object_to=ais%2F%40%23%2F", b"x"),
        ("GET", "objects/{}/o?archpath=%00", b""),
        ("GET", "objects/{}/s.tar?archmode=regexp&archregx=%00", b""),
        ("GET", "objects/{}/s.tar?archmode=regexp&archregx=" + "(" * 5000, b""),
        ("HEAD", "objects/{}/o?props=%00", b""),
        ("GET", "objects/{}/%00", b""),
        ("GET", "objects/{}/%ff", b""),
        ("GET", "objects/{}/%zz", b""),
        ("GET", "objects/{}/" + "a" * 30_000, b""),
        ("GET", "objects/{}/" + "a" * 40_000, b""),
        ("GET", "objects/{}/\udcff", b""),
        ("GET", "buckets/%00", b""),
        ("GET", "buckets/{}?namespace=%00", b""),
        ("GET", "buckets/{}?provider=%00", b""),
        ("GET", "buckets/..%2f..", b""),
    ],
)
def test_a_malformed_request_is_refused(
    bucket: Served, method: str, path: str, body: bytes
) -> None:
    """With a client error; the fixture checks that no traceback is logged."""
    bucket.put("o", b"data")
    bucket.put("s.tar", make_tar())
    assert 400 <= send_request(bucket, method, path, body=body) < 500
    assert bucket.names() == ["o", "s.tar"]


@pytest.mark.parametrize(
    "field",
    [
        b"Host: h\xff",
        b"Host: " + b"h" * 3000,
        b"Host:",
        b"Authorization: Bearer \xff",
        b"Range: bytes=\xd9\xa3-",
        b"Range: bytes=" + DIGITS.encode() + b"-",
        b"Ais-Checksum-Type: \xff\r\nAis-Checksum-Value: \xff",
        b"X: " + b"a" * 9000,
        b"Expect: nonsense",
        b"Upgrade: websocket\r\nConnection: upgrade",
    ],
)
@pytest.mark.parametrize("path", ["objects/{}/o", "objects/{}/o?x=%FF&y", "daemon?what=smap"])
def test_odd_headers_get_a_response(bucket: Served, field: bytes, path: str) -> None:
    """For reads and for the redirect of a write, whose address repeats Host and query."""
    bucket.put("o", b"data")
    for method in ("GET", "HEAD", "PUT"):
        assert send_request(bucket, method, path, field) < 500
