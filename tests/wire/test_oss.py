"""Messages of OSS: what is parsed, and what is refused."""

from __future__ import annotations

import base64

import pytest

from aisio.errors import IntegrityError
from aisio.records import Checksum, UnfinishedUpload
from aisio.urls import ObjectUrl
from aisio.wire.oss import (
    ErrorMessage,
    check_completed,
    complete_message,
    parse_checksum,
    parse_error,
    parse_object_headers,
    parse_page,
    parse_upload_id,
    parse_uploads_page,
)

URL = ObjectUrl.parse("oss://bkt/a")
ENTRY = (
    "<Contents><Key>{}</Key><Size>5</Size><ETag>&quot;AB&quot;</ETag>"
    "<LastModified>2026-11-30T04:00:51.000Z</LastModified></Contents>"
)
LAST = "<IsTruncated>false</IsTruncated>"


def page(*parts: str, root: str = "ListBucketResult") -> bytes:
    """Return a page with these parts."""
    return f"<?xml version='1.0'?><{root}>{''.join(parts)}</{root}>".encode()


def test_headers_describe_the_whole_object():
    """Also those of a range; "null" is the version of a bucket without versions."""
    headers = {
        "Content-Length": "3",
        "Content-Range": "bytes 2-4/9",
        "ETag": '"AB"',
        "Last-Modified": "Mon, 30 Nov 2026 04:00:51 GMT",
        "x-oss-hash-crc64ecma": "11051210869376104954",
        "x-oss-version-id": "null",
    }
    info = parse_object_headers(headers, URL)
    assert (info.url, info.size_bytes, info.etag) == ("oss://bkt/a", 9, "AB")
    assert info.checksum == Checksum("crc64ecma", "995dc9bbdf1939fa")
    assert (info.version, info.mtime_s) == ("", 1796011251.0)


@pytest.mark.parametrize("text", ["", "x", "-1", "1" * 21])
def test_no_checksum_is_made_of_what_is_none(text: str):
    """The bytes are then verified by their length."""
    assert parse_checksum({"x-oss-hash-crc64ecma": text}) is None
    info = parse_object_headers({"Last-Modified": text}, URL)
    assert (info.size_bytes, info.mtime_s) == (None, 0.0)


def test_a_page_has_objects_and_what_continues_it():
    """Names are decoded where the page says that they are encoded."""
    encoded = ENTRY.format("a%20b%0A%2B"), "<EncodingType>url</EncodingType>"
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t%2B</NextContinuationToken>"
    objects, token = parse_page(page(*encoded, more), "oss://bkt")
    assert [(info.url, info.size_bytes, info.etag) for info in objects] == [
        ("oss://bkt/a b\n+", 5, "AB")
    ]
    assert (objects[0].mtime_s, token) == (1796011251.0, "t+")
    objects, token = parse_page(page(ENTRY.format("a%20b"), LAST), "oss://bkt")
    assert ([info.name for info in objects], token) == (["a%20b"], "")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html><body>log in</body></html>", "html"),
        (b"<!DOCTYPE x><ListBucketResult/>", "is the endpoint right"),
        (b"nothing", "no XML"),
        (page("<IsTruncated>true</IsTruncated>"), "names no next page"),
        (page(ENTRY.format("a")), "does not say whether it is the last"),
        (page("<IsTruncated>TRUE</IsTruncated>"), "does not say whether it is the last"),
        (page("<Contents><Key>a</Key></Contents>"), "no name or no size"),
        (page("<Contents><Key>a</Key><Size>x</Size></Contents>"), "no name or no size"),
    ],
)
def test_what_is_no_whole_page_is_refused(body: bytes, problem: str):
    """It would look like the end of the bucket."""
    with pytest.raises(IntegrityError, match=problem):
        parse_page(body, "oss://bkt")


def test_uploads_are_listed_page_by_page():
    """A page that is not the last has two markers."""
    root = "ListMultipartUploadsResult"
    upload = "<Upload><Key>a%20b</Key><UploadId>u</UploadId></Upload>"
    more = "<IsTruncated>true</IsTruncated><NextKeyMarker>a%20b</NextKeyMarker>"
    encoded = "<EncodingType>url</EncodingType>"
    last = "<NextUploadIdMarker>u</NextUploadIdMarker>"
    uploads, markers = parse_uploads_page(page(upload, more, last, encoded, root=root), "oss://b")
    assert uploads == [UnfinishedUpload("oss://b/a b", "u", 0.0)]
    assert markers == {"key-marker": "a b", "upload-id-marker": "u"}
    assert parse_uploads_page(page(LAST, root=root), "oss://b") == ([], {})
    with pytest.raises(IntegrityError, match="does not say whether it is the last"):
        parse_uploads_page(page(upload, root=root), "oss://b")
    with pytest.raises(IntegrityError, match="names no next"):
        parse_uploads_page(page(more, root=root), "oss://b")


def test_an_upload_has_an_id_and_ends_with_its_parts():
    """Parts are named in their order."""
    root = "InitiateMultipartUploadResult"
    assert parse_upload_id(page("<UploadId>u</UploadId>", root=root), "oss://b/a") == "u"
    with pytest.raises(IntegrityError, match="no id of an upload"):
        parse_upload_id(page(root=root), "oss://b/a")
    assert complete_message(["AB", "CD"]) == (
        b"<CompleteMultipartUpload>"
        b'<Part><PartNumber>1</PartNumber><ETag>"AB"</ETag></Part>'
        b'<Part><PartNumber>2</PartNumber><ETag>"CD"</ETag></Part>'
        b"</CompleteMultipartUpload>"
    )
    check_completed(page(root="CompleteMultipartUploadResult"), "oss://b/a")
    with pytest.raises(IntegrityError, match="the answer is a Error"):
        check_completed(page(root="Error"), "oss://b/a")


def test_errors_are_in_the_body_or_for_head_in_a_header():
    """What cannot be parsed says nothing."""
    body = page("<Code>NoSuchKey</Code><Message>m</Message>", root="Error")
    expected = ErrorMessage("NoSuchKey", "m")
    assert parse_error(body, {}) == expected
    assert parse_error(b"", {"x-oss-err": base64.b64encode(body).decode()}) == expected
    for headers in ({}, {"x-oss-err": "%"}, {"x-oss-err": "abc"}):
        assert parse_error(b"", headers) == ErrorMessage()
    assert parse_error(b"<html/>", {}) == ErrorMessage()
