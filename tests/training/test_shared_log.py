"""SharedLog: shared between processes, and no reason for anything to fail."""

from __future__ import annotations

import copy
import gc
import logging
import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aisio.training.shared_log import SharedLog


def test_records_come_back_in_order() -> None:
    """As they were added."""
    log = SharedLog("test")
    assert log.records() == []
    for number in range(3):
        log.add({"number": number})
    assert [record["number"] for record in log.records()] == [0, 1, 2]


def test_a_place_that_cannot_be_written_costs_the_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk ends no epoch; the record is in the log."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    log = SharedLog("stats")
    with caplog.at_level(logging.WARNING):
        log.add({"worker": 3})
    assert "stats not noted" in caplog.text
    assert "'worker': 3" in caplog.text
    assert log.records() == []


def test_who_writes_when_the_list_has_gone_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a worker does that ends after its dataset was dropped."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = SharedLog("stats")
    late = pickle.loads(pickle.dumps(log))
    late.add({"worker": 1})
    assert len(log.records()) == len(list(tmp_path.iterdir())) == 1
    del log
    late.add({"worker": 1})
    assert (list(tmp_path.iterdir()), late.records(), caplog.text) == ([], [], "")


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_a_copy_goes_on_alone(
    make: Callable[[SharedLog], SharedLog], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From what was noted so far; and it stays when the first one goes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = SharedLog("stats")
    log.add({"number": 0})
    other = make(log)
    other.add({"number": 1})
    assert log.records() == [{"number": 0}]
    del log
    gc.collect()
    other.add({"number": 2})
    assert [record["number"] for record in other.records()] == [0, 1, 2]
    del other
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_copy_made_in_a_worker_adds_to_the_owners_list() -> None:
    """As torch's IterableWrapper copies in each epoch what it wraps."""
    log = SharedLog("stats")
    pid = os.fork()
    if not pid:
        copy.deepcopy(log).add({"worker": 1})
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert log.records() == [{"worker": 1}]


def _go_on_alone(log: SharedLog) -> None:
    log.detach()
    log.add({"rank": 1})


# The servers of other tests may have left threads; Python 3.12 warns of forks beside them.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_detached_list_goes_with_its_process(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of multiprocessing end without atexit."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = SharedLog("stats")
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=_go_on_alone, args=(log,))
    process.start()
    process.join()
    assert (process.exitcode, log.records(), len(list(tmp_path.iterdir()))) == (0, [], 1)
