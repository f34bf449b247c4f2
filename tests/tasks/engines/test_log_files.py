"""Reading what the processes of a task print."""

from __future__ import annotations

import pytest

from aisio.tasks.engines.log_files import follow_lines, read_lines


def test_lines_of_several_files(tmp_path):
    """One file after the other; a file that is not there yet is empty."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1\n2\r\n")
    second.write_bytes(b"3\n\xff no end")
    files = [first, tmp_path / "missing", second]
    assert read_lines(files) == ["1", "2", "3", "\ufffd no end"]
    assert read_lines(files, last=2) == ["3", "\ufffd no end"]
    assert read_lines(files, last=0) == []
    assert read_lines(files, last=99) == read_lines(files)


def test_a_negative_number_of_lines_is_refused(tmp_path):
    """It has no meaning."""
    with pytest.raises(ValueError, match="last=-1"):
        read_lines([tmp_path / "a"], last=-1)


def test_following_reads_whole_lines_until_the_end(tmp_path):
    """A line comes when it is whole, or when nothing more will be written."""
    file, later = tmp_path / "a", tmp_path / "b"
    states = iter([False, False, True])

    def advance() -> bool:
        finished = next(states)
        with file.open("a") as out:
            out.write("he" if not file.stat().st_size else "llo\nla")
        if finished:
            later.write_text("other\n")
        return finished

    file.touch()
    assert list(follow_lines(lambda: [file, later], advance)) == [
        "hello",
        "lallo",
        "other",
        "la",
    ]
