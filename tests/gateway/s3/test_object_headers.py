"""Headers of objects: what is kept of an upload, and what a response has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.object_headers import (
    custom_metadata,
    http_date,
    response_headers,
    xml_date,
)
from aisio.gateway.storage.records import FileState, Record


@pytest.fixture
def status(tmp_path: Path) -> os.stat_result:
    """Return the status of a file of a known time."""
    path = tmp_path / "f"
    path.write_bytes(b"hello")
    os.utime(path, ns=(0, 36**3 + 35))
    return path.stat()


def test_what_is_kept() -> None:
    """User metadata and the headers that responses repeat; not what belongs to the request."""
    headers = {
        "x-amz-meta-color-name": "blue",
        "content-type": "image/png",
        "content-encoding": "aws-chunked, gzip",
        "content-length": "5",
        "user-agent": "x",
    }
    assert custom_metadata(headers) == {
        "X-Amz-Meta-Color-Name": "blue",
        "Content-Type": "image/png",
        "Content-Encoding": "gzip",
    }
    assert custom_metadata({"content-type": "binary/octet-stream"}) == {}
    assert custom_metadata({"content-encoding": "aws-chunked"}) == {}
    with pytest.raises(Refusal, match="UTF-8"):
        custom_metadata({"x-amz-meta-a": "\udcff"})


def test_responses_repeat_what_was_kept(status: os.stat_result) -> None:
    """The query may replace it, as in a signed URL; other custom metadata is not for S3."""
    custom = {"Content-Type": "a/b", "X-Amz-Meta-Who": "me", "other": "x"}
    record = Record(FileState.of(status), "c", 1, custom)
    headers = dict(response_headers(record, status, {}))
    assert headers["Content-Type"] == "a/b"
    assert headers["x-amz-meta-who"] == "me"
    assert "other" not in headers
    query = {"response-content-type": "c/d\r\nX-Evil: 1"}
    assert dict(response_headers(record, status, query))["Content-Type"] == "c/d  X-Evil: 1"


def test_dates() -> None:
    """In headers to a second, in XML to a millisecond."""
    assert http_date(0.25) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert xml_date(0.25) == "1970-01-01T00:00:00.250Z"
