"""S3Request: bucket, key, query and headers of a request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.requests import S3Request, existing_name, is_of_s3_client, is_s3_path


def parse(path: str, *headers: tuple[str, str]) -> S3Request:
    """Parse a request target."""
    request: Any = SimpleNamespace(raw_path=path, headers=CIMultiDict(headers))
    return S3Request.parse(request)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/s3", True), ("/s3/", True), ("/s3?x", True), ("/s3x", False), ("/v1/s3", False)],
)
def test_what_is_below_s3(path: str, expected: bool) -> None:
    """A name that begins so is not."""
    assert is_s3_path(path) is expected


@pytest.mark.parametrize(
    ("path", "authorization", "expected"),
    [
        ("/b/o", "AWS4-HMAC-SHA256 Credential=x", True),
        ("/", "AWS id:signature", True),
        ("/b/o?X-Amz-Signature=1", "", True),
        ("/b/o", "Bearer AWS", False),
        ("/b/o", "", False),
        ("/v1/objects/b/o?X-Amz-Signature=1", "AWS id:signature", False),
    ],
)
def test_who_looks_for_s3_elsewhere(path: str, authorization: str, expected: bool) -> None:
    """Signed as S3's requests are, and for none of AIStore's own paths."""
    headers = CIMultiDict({"Authorization": authorization} if authorization else {})
    request: Any = SimpleNamespace(raw_path=path, headers=headers)
    assert is_of_s3_client(request) is expected


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        ("/s3", "", ""),
        ("/s3/", "", ""),
        ("/s3/b", "b", ""),
        ("/s3/b/", "b", ""),
        ("/s3/b/k", "b", "k"),
        ("/s3/b/d/k%20+%C3%A9%25", "b", "d/k +é%"),
        ("/s3/b//d//k", "b", "d/k"),
        ("/s3/b/d/", "b", "d/"),
        ("/s3/b/d%2Fk?x=1", "b", "d/k"),
    ],
)
def test_paths(path: str, bucket: str, key: str) -> None:
    """Decoded once; slashes as in AIStore."""
    request = parse(path)
    assert (request.bucket_text, request.key_text) == (bucket, key)


@pytest.mark.parametrize("key", ["", "a/../b", "./a", "a/"])
def test_keys_that_no_object_can_have(key: str) -> None:
    """They are refused before a path is made of them."""
    with pytest.raises(Refusal):
        _ = parse(f"/s3/b/{key}").key


@pytest.mark.parametrize("name", ["", ".aisio", "a b", "#ns", "x" * 65])
def test_buckets_that_cannot_exist_do_not(name: str) -> None:
    """404, as for any other that does not exist."""
    with pytest.raises(Refusal) as caught:
        existing_name(name)
    assert caught.value.status == 404


def test_query_and_headers() -> None:
    """The first of repeated parameters; repeated headers are joined, as they are signed."""
    request = parse("/s3/b?uploads&a=1&a=2", ("X-A", "1"), ("x-a", "2"))
    assert request.query == {"uploads": "", "a": "1"}
    assert request.headers == {"x-a": "1,2"}


@pytest.mark.parametrize(("text", "expected"), [("", 7), ("5", 5), ("99", 10)])
def test_numbers(text: str, expected: int) -> None:
    """With a default and a limit."""
    assert parse(f"/s3/b?n={text}").number("n", 7, maximum=10) == expected


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "99999999999"])
def test_what_is_no_number_is_refused(text: str) -> None:
    """It is not taken for the default."""
    with pytest.raises(Refusal, match="not a number"):
        parse(f"/s3/b?n={text}").number("n", 7, maximum=10)
