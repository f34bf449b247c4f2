"""Quarantine: one list for a reader and its workers, in a file that goes with it."""

from __future__ import annotations

import gc
import os
import pickle
import tempfile
from pathlib import Path

import pytest

from aisio.errors import ShardError, TruncatedError
from aisio.training.quarantine import Quarantine, SkippedShard, is_network_fault

ENTRY = SkippedShard("ais://b/0.tar", 512, "damaged at byte 512", 3, None)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return the folder in which temporary files are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def in_child(work) -> int:
    """Run a function in a forked process and return its exit status."""
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_an_empty_list_leaves_no_trace(folder):
    """A reader that skips nothing writes nothing."""
    assert Quarantine().entries() == ()
    assert list(folder.iterdir()) == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_entries_of_all_copies_are_in_one_list(folder):
    """What a forked or a spawned worker notes, the parent reads, in order."""
    quarantine = Quarantine()
    quarantine.add(ENTRY)
    assert in_child(lambda: quarantine.add(SkippedShard("ais://b/1.tar", None, "gone", 0, 2))) == 0
    pickle.loads(pickle.dumps(quarantine)).add(ENTRY)
    assert [entry.url[-5:] for entry in quarantine.entries()] == ["0.tar", "1.tar", "0.tar"]
    assert quarantine.entries()[0] == ENTRY


def test_names_that_are_no_unicode_are_kept(folder):
    """A local file's name may hold any byte."""
    entry = SkippedShard("file:///\udcff.tar", None, "damaged \udcff", 0)
    quarantine = Quarantine()
    quarantine.add(entry)
    assert quarantine.entries() == (entry,)


def test_the_file_is_private_and_goes_with_its_owner(folder):
    """Only the list that was made first removes it, and none but its user can read it."""
    quarantine = Quarantine()
    copy = pickle.loads(pickle.dumps(quarantine))
    quarantine.add(ENTRY)
    (own,) = folder.iterdir()
    (file,) = own.iterdir()
    assert (own.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    del copy
    gc.collect()
    assert quarantine.entries() == (ENTRY,)
    del quarantine
    gc.collect()
    assert list(folder.iterdir()) == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_detached_process_has_a_list_of_its_own(folder):
    """A forked program that is nobody's worker does not write into its parent's list."""
    quarantine = Quarantine()
    quarantine.add(ENTRY)

    def work() -> None:
        quarantine.detach()
        quarantine.add(ENTRY)
        assert quarantine.entries() == (ENTRY,)

    assert in_child(work) == 0
    quarantine.detach()
    assert quarantine.entries() == (ENTRY,)


def test_a_broken_connection_is_no_bad_shard():
    """If it broke until the retries were spent."""
    error = TruncatedError("cut")
    assert not is_network_fault(error)
    error.given_up = True
    assert is_network_fault(error)
    assert not is_network_fault(ShardError("no tar"))
