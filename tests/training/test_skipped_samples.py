"""SkippedSamples: recorded by all workers, logged, and not without end."""

from __future__ import annotations

import logging
import pickle

import pytest

from aisio.errors import DecodeError
from aisio.shards.samples import Sample
from aisio.training.skipped_samples import MAX_IN_A_ROW, SkippedSample, SkippedSamples

SAMPLE = Sample("ais://b/a.tar", "f/1", "1", {}, 512)


def test_entries_of_all_copies(caplog: pytest.LogCaptureFixture) -> None:
    """A spawned worker has one."""
    skipped = SkippedSamples()
    with caplog.at_level(logging.WARNING, "aisio.samples"):
        pickle.loads(pickle.dumps(skipped)).add(SAMPLE, DecodeError("bad jpg"))
    assert skipped.entries() == (SkippedSample("ais://b/a.tar", "f/1", 512, "bad jpg"),)
    assert caplog.messages == ["skipped a sample: bad jpg"]


def test_too_many_in_a_row_are_an_error() -> None:
    """An epoch without samples would tell nobody that the decoder is wrong."""
    skipped = SkippedSamples()
    for _ in range(2):
        for _ in range(MAX_IN_A_ROW - 1):
            skipped.add(SAMPLE, DecodeError("bad"))
        skipped.end_row()
    for _ in range(MAX_IN_A_ROW - 1):
        skipped.add(SAMPLE, DecodeError("bad"))
    with pytest.raises(DecodeError, match="bad; this is sample 100 in a row that cannot be decod"):
        skipped.add(SAMPLE, DecodeError("bad"))
