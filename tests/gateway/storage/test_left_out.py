"""LeftOut: what is served to nobody is told, once, and in one line."""

from __future__ import annotations

import pytest

from aisio.gateway.storage.left_out import LEADS_OUT, NO_FILE, LeftOut


def test_one_line_tells_how_many_and_the_first(caplog: pytest.LogCaptureFixture) -> None:
    """By the reason; a name that has been told is not told again."""
    left_out = LeftOut()
    for number in range(5):
        left_out.add(f"b/{number}", LEADS_OUT)
    left_out.add("b/fifo\n", NO_FILE)
    left_out.tell()
    left_out.add("b/0", LEADS_OUT)
    left_out.tell()
    (record,) = caplog.records
    told = record.getMessage()
    assert "6 names: 5 links that lead out of what is served (b/0, b/1, b/2, ...)" in told
    assert r"1 sockets, fifos or devices (b/fifo\n)" in told


def test_it_remembers_only_so_many(caplog: pytest.LogCaptureFixture) -> None:
    """And says that there may be more."""
    left_out = LeftOut(most_known=2)
    for number in range(5):
        left_out.add(str(number), NO_FILE)
        left_out.tell()
    assert len(caplog.records) == 2
    assert "perhaps more" in caplog.records[1].getMessage()
