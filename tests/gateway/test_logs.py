"""How the gateway logs to stderr."""

from __future__ import annotations

import logging

import pytest

from aisio.gateway.logs import OneLineFormatter, RateLimitedLog, RecentLog


def test_a_message_is_one_line_without_control_characters() -> None:
    """A client's text can neither forge a line nor move the cursor."""
    record = logging.LogRecord("n", logging.INFO, "", 1, "GET %s", ("a\n\x1b[2Jb\x9b\x7fü",), None)
    assert OneLineFormatter("%(message)s").format(record) == "GET a\\n\\x1b[2Jb\\x9b\\x7fü"


def test_a_traceback_keeps_its_lines() -> None:
    """Only control characters are escaped."""
    try:
        raise ValueError("x\x1by")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("n", logging.ERROR, "", 1, "GET", (), info)
    lines = OneLineFormatter("%(message)s").format(record).split("\n")
    assert lines[:2] == ["GET", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: x\\x1by"


def test_a_warning_comes_once_in_a_period(caplog: pytest.LogCaptureFixture) -> None:
    """The next one says how many were suppressed."""
    now_s = [100.0]
    log = RateLimitedLog(logging.getLogger("test"), period_s=60, clock=lambda: now_s[0])
    for second in (0, 1, 59, 60, 61, 130):
        now_s[0] = 100.0 + second
        log.warning("full")
    more = "(2 such events since the last warning)"
    assert caplog.messages == [
        "full",
        f"full {more}",
        "full (1 such events since the last warning)",
    ]


def test_the_last_records_are_kept_by_severity() -> None:
    """A line each, without control characters; older ones are dropped."""
    recent = RecentLog(max_records=3)
    log = logging.Logger("test")
    log.addHandler(recent)
    log.warning("dropped")
    log.info("a\nb")
    log.warning("careful")
    log.error("broken")
    first, *lines = recent.text().splitlines()
    assert first.startswith("Started up at ")
    assert [line.split(maxsplit=3)[0] for line in lines] == ["I", "W", "E"]
    assert [line.split(maxsplit=3)[3] for line in lines][1:] == ["careful", "broken"]
    assert len(recent.text("W").splitlines()) == 3
    assert recent.text("E").splitlines()[1].endswith("broken")
