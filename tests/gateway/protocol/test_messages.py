"""JSON from clients: null means the default, and errors are refusals with a reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal
from tests.gateway.conftest import Served


class Inner(msgspec.Struct):
    """A part of a message."""

    number: int = 7


class Outer(msgspec.Struct):
    """A message."""

    text: str = "default"
    inner: Inner = msgspec.field(default_factory=Inner)
    many: list[Inner] = []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"text": null}', Outer()),
        (b'{"text": "null"}', Outer("null")),
        (b'{"text": null, "inner": {"number": null}}', Outer()),
        (b'{"text": "a", "inner": null}', Outer("a")),
        (b'{"text": "a", "many": [{"number": null}]}', Outer("a", many=[Inner()])),
        (b"null", Outer()),
    ],
)
def test_null_means_the_default(body: bytes, found: Outer) -> None:
    """As for a server in Go, at any depth."""
    assert decode_json(body, Outer, what="Outer") == found


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"text": 1}', "Expected `str`, got `int`"),
        (b'{"text": 1, "inner": null}', "Expected `str`, got `int`"),
        (b'{"text": "a", "many": [null]}', "got `null`"),
        (b'{"text": "\xff"}', "UTF-8"),
        (b'{"text": "\\ud800"}', "err: "),
        (b'{"inner": {"number": ' + b"9" * 5000 + b"}}", "out of range"),
        (b'{"inner": {"number": ' + b"9" * 5000 + b', "x": null}}', "out of range"),
        (b'{"other": ' + b"[" * 1_000_000, "nested too deep"),
        (b'{"text": null, "other": ' + b"[" * 1_000_000, "nested too deep"),
    ],
)
def test_invalid_json_is_refused_with_a_reason(body: bytes, why: str) -> None:
    """400, with the name of the message."""
    with pytest.raises(Refusal, match="failed to unmarshal Outer, err: ") as caught:
        decode_json(body, Outer, what="Outer")
    assert caught.value.status == 400
    assert why.lower() in caught.value.message.lower()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "buckets/{}", {"action": "list", "name": None, "value": {"prefix": None}}, 200),
        ("GET", "buckets/{}", {"action": "list", "value": {"flags": None, "pagesize": None}}, 200),
        ("GET", "buckets/{}", {"action": "list", "value": None}, 400),
        ("GET", "buckets/{}", {"action": None}, 400),
        ("PATCH", "objects/{}/o", {"value": None}, 200),
        ("PATCH", "objects/{}/o", {"value": {"k": None}}, 200),
        ("POST", "objects/{}/o", {"action": "rename-obj", "name": None}, 400),
        ("GET", "ml/moss/{}", {"in": [{"objname": "o", "bucket": None}], "mime": None}, 200),
        ("GET", "ml/moss/{}", {"in": [{"objname": None}]}, 400),
        ("GET", "cluster?what=qryxstats", {"id": None, "kind": None, "bck": None}, 200),
        ("GET", "cluster?what=qryxstats", None, 200),
        (
            "DELETE",
            "buckets/{}",
            {"action": "delete-listrange", "value": {"objnames": [None]}},
            400,
        ),
        ("DELETE", "buckets/{}", {"action": "delete-listrange", "value": None}, 400),
    ],
)
def test_requests_with_null(bucket: Served, method: str, path: str, body: Any, status: int) -> None:
    """The status of a cluster, except for the last one: there a cluster deletes all objects."""
    bucket.put("o", b"x")
    url = f"{bucket.endpoint}/v1/{path.format(bucket.name)}"
    assert bucket.http.request(method, url, json=body).status_code == status
    assert bucket.names() == ["o"]
