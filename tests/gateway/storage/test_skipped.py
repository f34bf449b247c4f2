"""SkippedNames: what is not served is logged, once, and in one line."""

from __future__ import annotations

import pytest

from aisio.gateway.storage.skipped import LINK_ESCAPES, NOT_A_FILE, SkippedNames


def test_one_line_says_how_many_and_the_first(caplog: pytest.LogCaptureFixture) -> None:
    """By reason; a name that was logged is not logged again."""
    skipped = SkippedNames()
    for number in range(5):
        skipped.add(f"b/{number}", LINK_ESCAPES)
    skipped.add("b/fifo\n", NOT_A_FILE)
    skipped.log()
    skipped.add("b/0", LINK_ESCAPES)
    skipped.log()
    (record,) = caplog.records
    text = record.getMessage()
    assert "6 names: 5 links that lead out of what is served (b/0, b/1, b/2, ...)" in text
    assert r"1 sockets, fifos or devices (b/fifo\n)" in text


def test_the_number_of_remembered_names_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    """The log says that there may be more."""
    skipped = SkippedNames(max_remembered=2)
    for number in range(5):
        skipped.add(str(number), NOT_A_FILE)
        skipped.log()
    assert len(caplog.records) == 2
    assert "perhaps more" in caplog.records[1].getMessage()
