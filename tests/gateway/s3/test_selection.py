"""Which bytes a request is for. Pure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.object_headers import http_date
from aisio.gateway.s3.selection import parse_part_number, select
from aisio.gateway.storage.records import FileState, MultipartInfo, Record

SIZES = (4, 4, 3)


@pytest.fixture
def status(tmp_path: Path) -> os.stat_result:
    """Return the status of a file with the bytes of three parts."""
    (tmp_path / "o").write_bytes(bytes(sum(SIZES)))
    return (tmp_path / "o").stat()


def record(status: os.stat_result, multipart: MultipartInfo | None = None) -> Record:
    """Return the record of the file."""
    return Record(FileState.of(status), "ab", 1, multipart=multipart)


def test_a_range_of_an_object_that_was_replaced_is_all_of_it(status: os.stat_result) -> None:
    """By its ETag, or its date."""
    about = record(status)
    for condition, code in (('"other"', 200), (http_date(status.st_mtime), 206)):
        headers = {"range": "bytes=1-2", "if-range": condition}
        assert select(headers, {}, about, status, "u").status == code


def test_parts(status: os.stat_result) -> None:
    """By number, from 1 on."""
    about = record(status, MultipartInfo.of(SIZES))
    found = [select({}, {"partNumber": str(number)}, about, status, "u") for number in (1, 2, 3)]
    assert [one[:3] for one in found] == [(0, 4, 206), (4, 8, 206), (8, 11, 206)]
    assert found[2].headers == [("Content-Range", "bytes 8-10/11"), ("x-amz-mp-parts-count", "3")]


@pytest.mark.parametrize(
    ("number", "multipart", "code", "tcode"),
    [
        ("4", MultipartInfo.of(SIZES), 416, "InvalidPartNumber"),
        ("2", None, 416, "InvalidPartNumber"),
        ("1", MultipartInfo(3, 4), 501, "NotImplemented"),
        ("0", None, 400, "InvalidArgument"),
        ("x", None, 400, "InvalidArgument"),
        ("10001", None, 400, "InvalidArgument"),
    ],
)
def test_parts_that_there_are_not(
    status: os.stat_result, number: str, multipart: MultipartInfo | None, code: int, tcode: str
) -> None:
    """Nor are they guessed, where an earlier gateway did not record them."""
    with pytest.raises(Refusal) as refused:
        select({}, {"partNumber": number}, record(status, multipart), status, "u")
    assert (refused.value.status, refused.value.tcode) == (code, tcode)


def test_a_part_and_a_range_are_one_too_many(status: os.stat_result) -> None:
    """As on S3."""
    with pytest.raises(Refusal, match="not for both"):
        select({"range": "bytes=0-1"}, {"partNumber": "1"}, record(status), status, "u")


def test_numbers_of_parts() -> None:
    """From 1 to 10,000."""
    assert [parse_part_number(text) for text in ("1", "007", "10000")] == [1, 7, 10_000]
