"""Bodies as responses of an origin: their version, and bytes as soon as they come."""

from __future__ import annotations

import io
from typing import cast

import pytest
from urllib3 import HTTPResponse

from aisio.errors import TruncatedError
from aisio.records import Checksum, ObjectInfo
from aisio.resources.origins.body_response import BodyResponse, PromptBody
from aisio.transport.body import Body


class Pieces(io.BytesIO):
    """A connection that gives at most three bytes at a time."""

    def read1(self, size: int | None = -1, /) -> bytes:
        """Return some bytes."""
        return self.read(3)


def body_of(info: ObjectInfo, data: bytes = b"0123456789") -> Body:
    """Return an open body."""
    response = cast("HTTPResponse", Pieces(data))
    return Body(PromptBody(response, "test://b/o"), info, info.size_bytes)


MD5 = Checksum("md5", "781e5e245d69b566979b86e28d23f2c7")


@pytest.mark.parametrize(
    ("checksum", "version", "etag", "expected"),
    [
        (None, "", "", None),
        (None, "", "W/weak", None),
        (None, "", "e", "//e"),
        (None, "2", "", "/2/"),
        (MD5, "2", "e", f"md5:{MD5.value}/2/e"),
    ],
)
def test_a_version_is_all_that_differs_between_versions(
    checksum: Checksum | None, version: str, etag: str, expected: str | None
) -> None:
    """A weak ETag may stay the same when bytes change."""
    info = ObjectInfo("test://b", "o", 10, checksum=checksum, version=version, etag=etag)
    response = BodyResponse(body_of(info), 0)
    assert (response.start, response.size_bytes, response.version) == (0, 10, expected)
    assert response.checks_itself == (checksum is not None)
    response.close()


def test_bytes_are_returned_as_they_come() -> None:
    """A full buffer would hide a slow connection."""
    response = BodyResponse(body_of(ObjectInfo("test://b", "o", 10)), 0)
    buffer = memoryview(bytearray(8))
    counts = []
    while count := response.readinto(buffer):
        counts.append(count)
    assert counts == [3, 3, 3, 1]


def test_a_body_that_ends_early_is_cut() -> None:
    """It counts its bytes."""
    response = BodyResponse(body_of(ObjectInfo("test://b", "o", 10), b"01234"), 0)
    buffer = memoryview(bytearray(3))
    assert [response.readinto(buffer) for _ in range(2)] == [3, 2]
    with pytest.raises(TruncatedError):
        response.readinto(buffer)
