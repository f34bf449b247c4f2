"""What processes publish: of those that live, in order."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import msgspec
import pytest

from aisio.publishing.processes import PublishedProcess, family_of, published_processes
from aisio.temporary_folders import make_owned_folder, remove_owned_folder


def process(pid: int, parent: int = 1, **changes: Any) -> PublishedProcess:
    """Return a process that has counted 30 samples in the last 2 seconds."""
    fields: dict[str, Any] = {
        "version": 1,
        "host": "h",
        "pid": pid,
        "parent": parent,
        "command": "train.py",
        "started": 1.0,
        "time": 10.0,
        "seconds": 2.0,
        "totals": {"samples": 40, "requests": 5},
        "before": {"samples": 10},
    }
    return PublishedProcess(**(fields | changes))


def test_rates():
    """Of one counter or several; a counter that is not there is 0."""
    assert process(1).rate("samples") == 15
    assert process(1).rate("samples", "requests", "none") == 17.5
    assert process(1, seconds=0.0).rate("samples") is None
    assert process(1).total("samples", "requests") == 45


def test_a_job_is_seen_until_it_ends(start_job, tmp_path):
    """What it counts; and it leaves nothing."""
    job = start_job()
    (found,) = published_processes(tmp_path)
    assert (found.pid, found.parent, found.rank, found.ranks) == (job.pid, os.getpid(), 3, 8)
    assert (found.worker, found.total("samples"), found.total("requests")) == (None, 7, 5)
    assert "publishing_job.py" in found.command
    job.communicate("\n")
    assert job.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_job_leaves_is_removed(start_job, tmp_path):
    """By whoever looks, or by the next job."""
    for look, left in ((lambda: published_processes(tmp_path), 0), (start_job, 1)):
        job = start_job()
        job.kill()
        job.wait()
        assert len(list(tmp_path.iterdir())) == 1
        look()
        assert len(list(tmp_path.iterdir())) == left


def test_what_is_no_record_is_passed_over(tmp_path):
    """A folder that is just made, or of another version; files of others."""
    (tmp_path / "other").mkdir()
    texts = [
        "{",
        '{"version": 2}',
        '{"x": ' + "[" * 100_000,
        json.dumps(msgspec.to_builtins(process(1)) | {"version": 2}),
    ]
    owned = [make_owned_folder("top", parent=str(tmp_path)) for _ in range(1 + len(texts))]
    for (path, _), text in zip(owned[1:], texts, strict=True):
        (tmp_path / path / "process.json").write_text(text)
    assert published_processes(tmp_path) == []
    for folder in owned:
        remove_owned_folder(*folder)
    with pytest.raises(FileNotFoundError):
        published_processes(tmp_path / "none")


def test_a_family_is_a_process_and_what_it_started():
    """At whatever remove, also where what is between does not publish."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        found = [
            process(10**8),
            process(10**8 + 1, 10**8),
            process(10**8 + 2, child.pid),
            process(10**8 + 3, 10**8 + 1),
        ]
        assert family_of(10**8, found) == [found[0], found[1], found[3]]
        assert family_of(child.pid, found) == [found[2]]
        if os.path.exists("/proc/self/stat"):  # noqa: PTH110 - a file of Linux
            assert family_of(os.getpid(), found) == [found[2]]
        assert family_of(10**8 + 9, found) == []
    finally:
        child.kill()
        child.wait()
