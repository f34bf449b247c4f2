"""Errors in S3's form."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from aisio.gateway.protocol.refusals import (
    Refusal,
    bucket_not_found,
    object_not_found,
    unsupported,
)
from aisio.gateway.s3.errors import error_code, error_document, error_status, refusal


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (bucket_not_found("b"), "NoSuchBucket"),
        (object_not_found("ais://b/o"), "NoSuchKey"),
        (unsupported("this"), "NotImplemented"),
        (Refusal(404, "doesn't exist"), "NoSuchKey"),
        (Refusal(403, "read-only"), "AccessDenied"),
        (Refusal(418, "?"), "InternalError"),
        (refusal(400, "BadDigest", "?"), "BadDigest"),
    ],
)
def test_codes(error: Refusal, code: str) -> None:
    """S3's own, as clients look for them."""
    assert error_code(error) == code


def test_s3_has_no_401() -> None:
    """Clients would look for other credentials."""
    assert error_status(Refusal(401, "token required")) == 403
    assert error_status(Refusal(404, "?")) == 404


def test_the_document() -> None:
    """Code, message, resource, and an id for the log."""
    tree = ElementTree.fromstring(error_document(refusal(400, "BadDigest", "a < b"), "/s3/b/k"))
    assert [node.tag for node in tree] == ["Code", "Message", "Resource", "RequestId"]
    assert [node.text for node in tree][:3] == ["BadDigest", "a < b", "/s3/b/k"]
