"""The bar of an upload: on a terminal, and nowhere else."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from aisio.cli.upload_progress import upload_progress


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def test_a_terminal_shows_one_bar_with_gb_per_s():
    """From the first bytes on; it is erased at the end."""
    terminal = Terminal()
    with redirect_stderr(terminal), upload_progress("data set") as show:
        assert terminal.getvalue() == ""
        assert show is not None
        show(0, 4_000)
        show(2_000, 4_000)
        show(4_000, 4_000)
    text = terminal.getvalue()
    assert "data set" in text
    assert "GB/s" in text
    assert text.split("\r")[-1].strip() == ""


def test_no_terminal_no_bar():
    """Nor a function to call."""
    with redirect_stderr(io.StringIO()), upload_progress("data set") as show:
        assert show is None
