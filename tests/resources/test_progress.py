"""The bar of a download: on a terminal, and nowhere else."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from aisio.resources.progress import progress_bar


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def test_a_terminal_shows_the_title() -> None:
    """Once there are bytes; the bar is erased at the end."""
    terminal = Terminal()
    with redirect_stderr(terminal), progress_bar("team/file", enabled=True) as on_progress:
        assert on_progress is not None
        assert terminal.getvalue() == ""
        on_progress(2_000, 4_000)
        on_progress(4_000, 4_000)
    text = terminal.getvalue()
    assert "team/file" in text
    assert text.split("\r")[-1].strip() == ""


def test_control_characters_of_a_title_are_not_sent_to_the_terminal() -> None:
    """The catalog may be another team's."""
    terminal = Terminal()
    with redirect_stderr(terminal), progress_bar("a\x1b[2Jb", enabled=True) as on_progress:
        assert on_progress is not None
        on_progress(1, None)
    assert r"a\x1b[2Jb" in terminal.getvalue()


@pytest.mark.parametrize(("stderr", "enabled"), [(Terminal(), False), (io.StringIO(), True)])
def test_no_bar_is_shown_where_nobody_sees_it(stderr: io.StringIO, enabled: bool) -> None:
    """It is not wanted, or stderr is a file."""
    with redirect_stderr(stderr), progress_bar("file", enabled=enabled) as on_progress:
        assert on_progress is None
    assert stderr.getvalue() == ""
