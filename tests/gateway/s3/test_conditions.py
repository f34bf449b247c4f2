"""Conditional requests, by the table of RFC 9110."""

from __future__ import annotations

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.conditions import check_read, check_write, is_conditional_write

BEFORE, AT, AFTER = (f"Mon, 30 Nov 2026 10:00:0{second} GMT" for second in (0, 1, 2))
MODIFIED_S = 1796032801
"""The time AT."""


@pytest.mark.parametrize(
    ("headers", "is_sent"),
    [
        ({}, True),
        ({"if-match": '"e"'}, True),
        ({"if-match": '"x", "e"'}, True),
        ({"if-match": "*"}, True),
        ({"if-match": "e"}, True),
        ({"if-none-match": '"x"'}, True),
        ({"if-none-match": 'W/"e"'}, False),
        ({"if-none-match": "*"}, False),
        ({"if-modified-since": BEFORE}, True),
        ({"if-modified-since": AT}, False),
        ({"if-modified-since": "nonsense"}, True),
        ({"if-unmodified-since": AT}, True),
        ({"if-match": '"e"', "if-unmodified-since": BEFORE}, True),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, True),
    ],
)
def test_reads(headers: dict[str, str], is_sent: bool) -> None:
    """An ETag takes precedence over a date, and a date that is none counts as absent."""
    assert check_read(headers, "e", MODIFIED_S) is is_sent


@pytest.mark.parametrize("headers", [{"if-match": '"x"'}, {"if-unmodified-since": BEFORE}])
def test_reads_that_fail(headers: dict[str, str]) -> None:
    """412, as the object is not what the client has."""
    with pytest.raises(Refusal) as caught:
        check_read(headers, "e", MODIFIED_S)
    assert (caught.value.status, caught.value.tcode) == (412, "PreconditionFailed")


@pytest.mark.parametrize(
    ("headers", "etag", "status"),
    [
        ({}, None, 0),
        ({}, "e", 0),
        ({"if-none-match": "*"}, None, 0),
        ({"if-none-match": "*"}, "e", 412),
        ({"if-match": '"e"'}, "e", 0),
        ({"if-match": '"x"'}, "e", 412),
        ({"if-match": '"e"'}, None, 404),
    ],
)
def test_writes(headers: dict[str, str], etag: str | None, status: int) -> None:
    """Create only if there is nothing; replace only what the client knows."""
    assert is_conditional_write(headers) is bool(headers)
    if not status:
        check_write(headers, etag)
        return
    with pytest.raises(Refusal) as caught:
        check_write(headers, etag)
    assert caught.value.status == status
