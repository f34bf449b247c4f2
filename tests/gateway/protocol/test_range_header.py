from __future__ import annotations

import pytest

from aisio.gateway.protocol.range_header import parse_range
from aisio.gateway.protocol.refusals import Refusal


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=3-", (3, 12)),
        ("bytes=-3", (9, 12)),
        ("bytes=-300", (0, 12)),
        ("bytes=0-300", (0, 12)),
        ("bytes=11-11", (11, 12)),
        ("bytes= 0-1", (0, 2)),
    ],
)
def test_one_range_is_cut_to_the_object(header: str, expected: tuple[int, int]) -> None:
    """The last byte is included; a range that goes past the end is cut there."""
    assert parse_range(header, 12, "ais://b/o") == expected


@pytest.mark.parametrize("header", ["bytes=12-", "bytes=100-200", "bytes=-0"])
def test_a_range_without_bytes_says_how_large_the_object_is(header: str) -> None:
    """416 with Content-Range: bytes */size (RFC 9110, section 14.4)."""
    with pytest.raises(Refusal, match="not satisfiable") as caught:
        parse_range(header, 12, "ais://b/o")
    assert caught.value.status == 416
    assert caught.value.headers == {"Content-Range": "bytes */12"}


@pytest.mark.parametrize("size_bytes", [0])
@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0"])
def test_an_empty_object_has_no_range(header: str, size_bytes: int) -> None:
    """No byte satisfies it."""
    with pytest.raises(Refusal, match="not satisfiable"):
        parse_range(header, size_bytes, "ais://b/o")


@pytest.mark.parametrize(
    "header",
    [
        "bytes=abc",
        "items=0-1",
        "bytes=",
        "bytes=-",
        "bytes=5-3",
        "bytes=0-1,3-4",
        "bytes=1-2-3",
        "0-1",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_other_forms_are_refused(header: str) -> None:
    """Anything but one well-formed range of bytes is a 416."""
    with pytest.raises(Refusal) as caught:
        parse_range(header, 12, "ais://b/o")
    assert caught.value.status == 416
