"""Payload: every checksum that a client may send is compared, in every place."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.payload import Buffer, Payload

DATA = b"hello"
CRC32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
CHUNKED = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
CHUNKED_DATA = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % CRC32.encode()


def receive(headers: dict[str, str], body: bytes = DATA) -> bytes:
    """Return the data of a body."""
    buffer = Buffer()
    payload = Payload(buffer, headers)
    payload.write([body[:3], body[3:]])
    payload.finish()
    assert payload.size_bytes == len(buffer.getvalue())
    return buffer.getvalue()


def refused(headers: dict[str, str], body: bytes = DATA) -> str:
    """Return the code of the refusal."""
    with pytest.raises(Refusal) as caught:
        receive(headers, body)
    return caught.value.tcode


RIGHT = {
    "content-md5": base64.b64encode(hashlib.md5(DATA).digest()).decode(),
    "x-amz-checksum-crc32": CRC32,
    "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(DATA).digest()).decode(),
    "x-amz-content-sha256": hashlib.sha256(DATA).hexdigest(),
}


def test_right_checksums_are_accepted() -> None:
    """All at once; headers about checksums that hold none are no checksums."""
    others = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
    assert receive({**RIGHT, **others}) == DATA
    assert receive({"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}) == DATA


@pytest.mark.parametrize("header", RIGHT)
def test_other_data_is_refused(header: str) -> None:
    """By each checksum alone."""
    expected = "XAmzContentSHA256Mismatch" if header == "x-amz-content-sha256" else "BadDigest"
    assert refused({header: RIGHT[header]}, b"hallo") == expected


@pytest.mark.parametrize("header", RIGHT)
def test_a_malformed_checksum_is_refused(header: str) -> None:
    """It is not taken for none."""
    assert refused({header: "nonsense"}) == "InvalidDigest"


def test_an_unknown_algorithm_is_refused() -> None:
    """What cannot be compared must not count as compared."""
    assert refused({"x-amz-checksum-md2": "AAAA"}) == "NotImplemented"
    assert refused({"x-amz-content-sha256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}) == (
        "NotImplemented"
    )


def test_a_checksum_behind_the_data() -> None:
    """As boto3 and others send it; it must come if it is announced."""
    announced = {**CHUNKED, "x-amz-trailer": "x-amz-checksum-crc32"}
    assert receive(announced, CHUNKED_DATA) == DATA
    assert refused(announced, CHUNKED_DATA.replace(b"hello", b"hallo")) == "BadDigest"
    assert refused(announced, b"5\r\nhello\r\n0\r\n\r\n") == "MalformedTrailerError"
    assert refused({"x-amz-trailer": "x-amz-checksum-crc32"}) == "InvalidRequest"


@pytest.mark.parametrize("kind", [{}, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}])
def test_the_encoding_without_a_signature(kind: dict[str, str]) -> None:
    """boto3 without keys names the encoding only; its frame is no data."""
    headers = {**kind, "content-encoding": "aws-chunked", "x-amz-trailer": "x-amz-checksum-crc32"}
    assert receive(headers, CHUNKED_DATA) == DATA
    assert refused(headers, DATA) == "IncompleteBody"


def test_checksums_of_an_object_without_a_body() -> None:
    """Of what the headers say, its checksum alone is compared."""
    for data, expected in ((DATA, ""), (b"hallo", "BadDigest")):
        code = ""
        check = Payload.of_object({"x-amz-checksum-crc32": CRC32, "content-md5": "no"})
        check.write([data])
        try:
            check.finish()
        except Refusal as error:
            code = error.tcode
        assert code == expected
    with pytest.raises(Refusal, match="is not a checksum of 4 bytes"):
        Payload.of_object({"x-amz-checksum-crc32": f"{CRC32}-3"})


def test_the_announced_size_is_compared() -> None:
    """A body with fewer chunks than announced is cut."""
    assert receive({**CHUNKED, "x-amz-decoded-content-length": "5"}, CHUNKED_DATA) == DATA
    short = {**CHUNKED, "x-amz-decoded-content-length": "6"}
    assert refused(short, CHUNKED_DATA) == "IncompleteBody"
    assert refused(CHUNKED, CHUNKED_DATA[:9]) == "IncompleteBody"
