"""Options and reports of transfers."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.errors import ConfigError, StorageError
from aisio.transfer.jobs import Action, Outcome
from aisio.transfer.options import Report, TransferOptions


def test_another_word_for_what_exists_is_an_error():
    """It would pass for one of the three."""
    word: Any = "skip"
    with pytest.raises(ConfigError, match="'replace', 'keep' or 'compare'"):
        TransferOptions(existing=word)


@pytest.mark.parametrize("pattern", ["", "/"])
def test_an_empty_pattern_is_an_error(pattern):
    """As of a variable that is not set: it would take nothing, or all."""
    with pytest.raises(ConfigError, match="a pattern is needed"):
        TransferOptions(exclude=(pattern,))


def test_a_report_counts_outcomes():
    """Those that failed apart from the others."""
    report = Report()
    for outcome in (
        Outcome(Action.COPY, "a", "b", 5),
        Outcome(Action.MOVE, "a", "b", 6),
        Outcome(Action.SKIP, "a", "b", 7),
        Outcome(Action.DELETE, "", "b", 8),
        Outcome(Action.COPY, "a", "b", error=StorageError("no")),
    ):
        report.add(outcome)
    assert report == Report(copied=2, skipped=1, deleted=1, failed=1, size_bytes=11)
