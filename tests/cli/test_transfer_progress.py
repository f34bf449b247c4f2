"""The progress of a transfer."""

from __future__ import annotations

import pytest

from aisio.cli.transfer_progress import TransferProgress, amount_text, transfer_progress


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now_s


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (99_949, "99.9 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (1_234_567_890, "1.23 GB"),
        (12_345_678_900_000, "12,346 GB"),
    ],
)
def test_an_amount_has_three_digits(size, text):
    """Units are powers of 1,000."""
    assert amount_text(size) == text


def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then(capsys):
    """Not for each piece."""
    clock = Clock()
    progress = TransferProgress(None, now=clock)
    progress.begin(4, 4000)
    for second in range(25):
        clock.now_s = float(second)
        progress.add(100)
    progress.finish_file()
    assert capsys.readouterr().err.splitlines() == [
        "aisio: 0 of 4 files, 1.10 kB of 4.00 kB, 110 B/s, 26 s left",
        "aisio: 0 of 4 files, 2.10 kB of 4.00 kB, 105 B/s, 18 s left",
    ]
    assert progress.rate_text == "24.0 s, 104 B/s"


def test_sizes_that_are_not_known_are_left_out(capsys):
    """Nobody knows how long it will take."""
    clock = Clock()
    progress = TransferProgress(None, now=clock)
    progress.begin(4, None)
    clock.now_s = 20.0
    progress.add(100)
    assert capsys.readouterr().err == "aisio: 0 of 4 files, 100 B, 5 B/s\n"


def test_a_quiet_one_shows_nothing(capsys):
    """It still counts."""
    clock = Clock()
    progress = TransferProgress(None, is_quiet=True, now=clock)
    progress.begin(1, 100)
    clock.now_s = 100.0
    progress.add(100)
    assert capsys.readouterr().err == ""
    assert progress.rate_text == "100.0 s, 1 B/s"


def test_a_terminal_gets_one_bar(monkeypatch, capsys):
    """With files, bytes and speed; it goes away at the end."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with transfer_progress(quiet=False) as progress:
        progress.begin(2, 2_000_000)
        progress.add(1_000_000)
        progress.finish_file()
        progress.add(1_000_000)
        progress.add(-1_000_000)
        progress.finish_file()
    shown = capsys.readouterr().err
    assert "files" in shown
    assert "GB/s" in shown
    assert "1.00M/2.00M" in shown
