"""Lists of unfinished uploads, as AIStore 5.0 sends them."""

from __future__ import annotations

import pytest

from aisio.errors import IntegrityError
from aisio.records import UnfinishedUpload
from aisio.wire.uploads import parse_uploads, uploads_path

LIST = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult><Bucket>b</Bucket><UploadIdMarker></UploadIdMarker><Upload><Initiated>\
2026-11-30T04:00:51.084863033Z</Initiated><Key>d/o 2</Key><UploadId>HPq-hU7gx</UploadId></Upload>\
<Upload><Initiated>soon</Initiated><Key>o</Key><UploadId>H_Y</UploadId></Upload>\
<MaxUploads>0</MaxUploads><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"""


def test_a_list_of_uploads() -> None:
    """With the time at which each was begun."""
    uploads = [
        UnfinishedUpload("ais://b/d/o 2", "HPq-hU7gx", 1796011251.0),
        UnfinishedUpload("ais://b/o", "H_Y", 0.0),
    ]
    assert parse_uploads(LIST, "ais://b") == (uploads, {})
    assert uploads_path("b", {}) == "/s3/b?uploads"


def test_a_page_names_the_next_one() -> None:
    """A gateway sends 1,000 uploads at a time, and a key may have any characters."""
    next_page = b"<NextKeyMarker>d/o &amp;2</NextKeyMarker>"
    next_page += b"<NextUploadIdMarker>H_Y</NextUploadIdMarker><MaxUploads>"
    page = LIST.replace(b"false", b"true").replace(b"<MaxUploads>", next_page)
    uploads, markers = parse_uploads(page, "ais://b")
    assert len(uploads) == 2
    assert markers == {"key-marker": "d/o &2", "upload-id-marker": "H_Y"}
    assert uploads_path("b", markers) == "/s3/b?uploads&key-marker=d%2Fo+%262&upload-id-marker=H_Y"


@pytest.mark.parametrize("marks", [b"", b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_an_empty_list(marks: bytes) -> None:
    """With and without the name space of S3."""
    body = b"<ListMultipartUploadsResult%s><Bucket/></ListMultipartUploadsResult>" % marks
    assert parse_uploads(body, "ais://b") == ([], {})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        LIST[:-9],
        LIST.replace(b"false", b"true"),
        b"<!DOCTYPE a>" + LIST[39:],
    ],
)
def test_what_is_no_list_is_an_error(body: bytes) -> None:
    """So is a list of which the rest is missing."""
    with pytest.raises(IntegrityError, match="list uploads of ais://b: the answer"):
        parse_uploads(body, "ais://b")
