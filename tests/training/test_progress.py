"""Progress bars: off by default, and on a terminal only."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import torch  # noqa: F401 - the datasets need it

_READ = """
import sys
from aisio import AISIterDataset, AISShardReader
from torch.utils.data import DataLoader
cls = {"objects": AISIterDataset, "shards": AISShardReader}[sys.argv[1]]
dataset = cls(sys.argv[2], show_progress=sys.argv[3] == "yes")
print(sum(1 for _ in DataLoader(dataset, batch_size=None, num_workers=int(sys.argv[4]))))
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a folder with three objects, as the URL of a prefix."""
    for number in range(3):
        (tmp_path / f"{number}.txt").write_bytes(b"x")
    return f"file://{tmp_path}/"


def read_on_a_terminal(*words: str) -> str:
    """Run the program with a terminal as stderr and return what that shows."""
    ours, theirs = pty.openpty()
    # A new terminal has no rows and no columns, and bars keep to what there is.
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", _READ, *words], stdout=subprocess.PIPE, stderr=theirs
    ) as program:
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the last writer has gone
                break
            if not data:
                break
            shown += data
    os.close(ours)
    assert program.returncode == 0, shown.decode()
    return shown.decode()


def test_the_bar_names_class_and_worker(folder: str) -> None:
    """AIS-10: so that several bars can be told apart."""
    shown = read_on_a_terminal("objects", folder, "yes", "2")
    assert "AISIterDataset (Worker 0)" in shown
    assert "AISIterDataset (Worker 1)" in shown
    assert " object" in shown


def test_nothing_is_shown_by_default(folder: str) -> None:
    """AIS-10: show_progress is off."""
    assert read_on_a_terminal("objects", folder, "no", "0") == ""


def test_nothing_is_shown_where_there_is_no_terminal(folder: str) -> None:
    """A log file is no place for a bar."""
    done = subprocess.run(
        [sys.executable, "-c", _READ, "objects", folder, "yes", "1"], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("3\n", "", 0)
