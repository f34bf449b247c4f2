"""Ledger: shared between processes, and no reason for anything to fail."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import pytest

from aisio.ledger import Ledger


def test_records_come_back_in_order() -> None:
    """As they were added."""
    ledger = Ledger("test")
    assert ledger.records() == []
    for number in range(3):
        ledger.add({"number": number})
    assert [record["number"] for record in ledger.records()] == [0, 1, 2]


def test_a_place_that_cannot_be_written_costs_the_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk ends no epoch; the record is in the log."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    ledger = Ledger("stats")
    with caplog.at_level(logging.WARNING):
        ledger.add({"worker": 3})
    assert "stats not noted" in caplog.text
    assert "'worker': 3" in caplog.text
    assert ledger.records() == []
