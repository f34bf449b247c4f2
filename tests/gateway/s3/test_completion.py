"""Checksums of a completion: of the whole object, or of its parts; see also test_uploads."""

from __future__ import annotations

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.completion import check_of_whole


def test_only_checksums_of_the_whole_are_those_of_its_data() -> None:
    """One of the parts' checksums is none, whether its value or its type says so."""
    wrong = {"x-amz-checksum-crc32": "AAAAAA=="}
    for headers in (
        {"x-amz-checksum-crc32": "AAAAAA==-2"},
        {**wrong, "x-amz-checksum-type": "COMPOSITE"},
    ):
        check = check_of_whole(headers)
        check.write([b"data"])
        check.finish()
    check = check_of_whole({**wrong, "x-amz-checksum-type": "FULL_OBJECT"})
    check.write([b"data"])
    with pytest.raises(Refusal, match="another checksum than x-amz-checksum-crc32"):
        check.finish()
