"""The progress of a command."""

from __future__ import annotations

import io
import os
import threading
from contextlib import redirect_stderr
from select import select

import pytest

from aisio.cli.progress import Progress, show_progress


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now_s


@pytest.fixture
def clock():
    """A clock at 0."""
    return Clock()


def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then(clock, capsys):
    """Not for each piece."""
    progress = Progress(is_terminal=False, now=clock)
    progress.begin(4, 4000)
    for second in range(25):
        clock.now_s = float(second)
        progress.add(100)
    progress.finish_file()
    assert capsys.readouterr().err.splitlines() == [
        "aisio: 0 of 4 files, 1.1 kB of 4.0 kB, 110 bytes/s, 26 s left",
        "aisio: 0 of 4 files, 2.1 kB of 4.0 kB, 105 bytes/s, 18 s left",
    ]
    assert (progress.elapsed_s, progress.rate_text) == (24.0, "104 bytes/s")


def test_what_is_not_known_is_left_out(clock, capsys):
    """Nobody knows how long it will take."""
    progress = Progress("index", is_terminal=False, now=clock)
    progress.begin(None, None)
    clock.now_s = 20.0
    progress.add(100)
    clock.now_s = 40.0
    progress.add(100, 3)
    assert capsys.readouterr().err.splitlines() == [
        "aisio: index: 100 bytes, 5 bytes/s",
        "aisio: index: 3 files, 200 bytes, 5 bytes/s",
    ]


def test_a_silent_one_shows_nothing(clock, capsys):
    """It still counts."""
    for is_terminal in (False, True):
        progress = Progress(is_terminal=is_terminal, is_silent=True, now=clock)
        progress.begin(1, 100)
        clock.now_s += 100.0
        progress.add(100, 1)
        assert (progress.files, progress.size_bytes, progress.rate_text) == (1, 100, "1 byte/s")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_one_bar(clock, capsys):
    """With files, bytes and speed, some times a second; it goes away at the end."""
    progress = Progress("photos", is_terminal=True, now=clock)
    progress.begin(2, 2_000_000)
    for size_bytes, files in ((1_000_000, 0), (0, 1), (1_000_000, 0), (-1_000_000, 0)):
        progress.add(size_bytes, files)
    first = capsys.readouterr().err
    assert "photos: 0/2 files" in first
    assert "1/2 files" not in first
    clock.now_s = 0.1
    progress.finish_file()
    progress.close()
    shown = capsys.readouterr().err
    assert "photos: 2/2 files" in shown
    assert "1.00M/2.00M" in shown
    assert "0.01 GB/s" in shown
    assert shown.split("\r")[-1].strip() == ""


def test_the_total_may_come_with_the_first_bytes(clock, capsys):
    """As from an upload that first finds out what has changed."""
    progress = Progress("data set", is_terminal=False, now=clock)
    progress.update_to(0, 4_000)
    clock.now_s = 10.0
    progress.update_to(2_000, 4_000)
    assert capsys.readouterr().err == (
        "aisio: data set: 2.0 kB of 4.0 kB, 200 bytes/s, 10 s left\n"
    )


def test_threads_add_up():
    """Files and bytes."""
    with show_progress("folder", 4000) as progress:

        def work():
            for _ in range(100):
                progress.add(5)
                progress.add(5, 1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (progress.files, progress.size_bytes) == (400, 4000)


def test_a_command_that_is_soon_done_shows_nothing():
    """No line where stderr is no terminal: logs stay readable."""
    with redirect_stderr(io.StringIO()) as stderr, show_progress("a.bin", 100) as progress:
        progress.update_to(100)
    assert stderr.getvalue() == ""


def test_a_terminal_without_a_size_shows_the_bar(clock):
    """A pseudo-terminal has none before a program sets it."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", 0) as terminal, os.fdopen(theirs, "w") as stderr:
        assert tuple(os.get_terminal_size(theirs)) == (0, 0)
        with redirect_stderr(stderr):
            progress = Progress(is_terminal=True, now=clock)
            progress.begin(None, 1000)
            progress.add(500)
            stderr.flush()
            shown = ""
            while "50%" not in shown and select([terminal], [], [], 10)[0]:
                shown += terminal.read(4096).decode(errors="replace")
            progress.close()
    assert "500/1.00k" in shown
