"""`aisio top`."""

from __future__ import annotations

import json
import os
import pty
import signal
from pathlib import Path

import pytest

from tests.publishing.publishing_job import started_jobs


@pytest.fixture
def start_job(tmp_path):
    """Return a function that starts a job which publishes in `tmp_path`, and waits until it has."""
    yield from started_jobs(tmp_path)


def test_once_shows_the_processes(run, start_job, tmp_path):
    """Those of a folder."""
    job = start_job()
    done = run("top", tmp_path, "--once")
    assert done.exit_code == 0, done.stderr
    head, columns, row, both = done.stdout.splitlines()
    assert "1 of 8 ranks are seen (3)" in head
    assert columns.split()[:3] == ["rank", "worker", "pid"]
    assert row.split()[:3] == ["3", "-", str(job.pid)]
    assert both.split()[0] == "all"


def test_a_process_is_shown_with_what_it_started(run, start_job, tmp_path, monkeypatch):
    """By its ID, or that of one which started it."""
    jobs = [start_job() for _ in range(2)]
    monkeypatch.setenv("AISIO_TOP", str(tmp_path))

    def shown(*words):
        done = run("top", "--once", "--json", *words)
        assert done.exit_code == 0, done.stderr
        return sorted(one["pid"] for one in json.loads(done.stdout)["processes"])

    both = sorted(job.pid for job in jobs)
    assert shown() == both
    assert shown(jobs[1].pid) == [jobs[1].pid]
    if Path("/proc/self/stat").exists():
        assert shown(os.getpid()) == both


def test_it_ends_with_the_job(start, start_job, tmp_path):
    """A look is a line of JSON; not on a terminal there is no screen."""
    job = start_job()
    program = start("top", tmp_path, "--json", "--interval", 0.1)
    assert json.loads(program.stdout.readline())["processes"][0]["pid"] == job.pid
    job.communicate("\n")
    _, notes = program.communicate(timeout=120)
    assert program.returncode == 0
    assert notes == b"aisio: the job has ended\n"


def test_a_viewer_that_is_killed_leaves_the_job_alone(start, start_job, tmp_path):
    """It only reads."""
    job = start_job()
    program = start("top", tmp_path)
    assert program.stdout.readline()
    program.kill()
    program.wait()
    assert job.poll() is None
    job.communicate("\n")
    assert job.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_it_is_one_screen(start, start_job, tmp_path):
    """Which Ctrl-C leaves, and what was there before comes back."""
    pytest.importorskip("rich")
    start_job()
    terminal, stdout = pty.openpty()
    program = start("top", tmp_path, stdout=stdout, env={**os.environ, "TERM": "xterm"})
    os.close(stdout)
    seen = b""
    while b"Ctrl-C leaves" not in seen:
        seen += os.read(terminal, 4096)
    program.send_signal(signal.SIGINT)
    while chunk := _read(terminal):
        seen += chunk
    assert program.wait(120) == 0
    assert program.stderr.read() == b""
    assert seen.index(b"\x1b[?1049h") < seen.index(b"\x1b[?1049l")
    os.close(terminal)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the program has closed its side
        return b""


def test_without_a_job_the_error_says_how_to_begin_one(run, tmp_path):
    """For a folder and for a process."""
    for words in ((tmp_path,), (1 << 22,)):
        done = run("top", *words)
        assert done.exit_code == 1
        assert "begin it with AISIO_TOP=1" in done.stderr
    done = run("top", tmp_path / "none")
    assert done.exit_code == 1
    assert "is neither the ID of a process nor a folder" in done.stderr
