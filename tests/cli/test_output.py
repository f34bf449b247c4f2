"""Lines, JSON and progress."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import click
import pytest

from aisio.cli import main
from aisio.cli.output import (
    exact_size_text,
    human_size_text,
    json_line,
    time_text,
    write_lines,
    write_note,
)


def test_json_is_ascii_and_exact():
    """It fits through any locale, also with a local name that is not UTF-8."""
    assert json_line({"name": "\udcff ä\n"}) == '{"name": "\\udcff \\u00e4\\n"}'


def test_sizes_are_written_with_thousands_apart():
    """And none is a dash."""
    assert [exact_size_text(0), exact_size_text(1234567), exact_size_text(None)] == [
        "0",
        "1,234,567",
        "-",
    ]


def test_the_first_line_is_written_at_once(capfdbinary):
    """The others wait for the buffer: a write call a line would be slow."""
    seen = []

    def lines():
        for number in range(4):
            yield f"line {number}"
            seen.append(capfdbinary.readouterr().out)

    write_lines(lines())
    assert seen == [b"line 0\n", b"", b"", b""]
    assert capfdbinary.readouterr().out == b"line 1\nline 2\nline 3\n"


def test_lines_can_be_written_at_once_each(capfdbinary):
    """For lines that take long to come."""
    seen = []

    def lines():
        for number in range(3):
            yield f"line {number}"
            seen.append(capfdbinary.readouterr().out)

    write_lines(lines(), flush=True)
    assert seen == [b"line 0\n", b"line 1\n", b"line 2\n"]


def test_lines_cannot_steer_a_terminal(capfdbinary):
    """Whoever made them; tabs are between columns, a name's bytes go out as they came in."""
    write_lines(["a\tb", "\x1b[2J", "caf\udce9"])
    assert capfdbinary.readouterr().out == b"a\tb\n\\x1b[2J\ncaf\xe9\n"


def test_a_terminal_is_not_shown_bytes_that_are_no_text(start, files):
    """Some take 0x9b for the beginning of a command."""
    folder = files({"a": b""})
    (folder / "x\udc9b2J").write_bytes(b"")
    primary, secondary = pty.openpty()
    program = start("ls", folder, stdout=secondary)
    os.close(secondary)
    shown = b""
    while part := read_terminal(primary):
        shown += part
    os.close(primary)
    assert program.wait() == 0
    assert shown.endswith(b"/x\\x9b2J\r\n")


def test_notes_are_single_lines_without_credentials(capsys):
    """Only the further arguments start new lines."""
    write_note("two\nlines of s3://KEY:s3cr3t@b/x", "\x1b[2J")
    assert capsys.readouterr().err == "aisio: two\\nlines of s3://***@b/x\n  \\x1b[2J\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "1970-01-01T00:00:00+00:00"),
        (3e11, "300000000000 s since 1970"),
        (-1e18, "-1000000000000000000 s since 1970"),
    ],
)
def test_times_are_shown_as_far_as_there_is_a_calendar(seconds, shown):
    """File systems go on after the year 9999."""
    assert time_text(seconds) == shown


def test_progress_on_a_terminal_is_on_stderr_alone(start, bucket, tmp_path):
    """A bar for people, nothing for pipes; it is gone at the end."""
    bucket.object("a.bin").put(bytes(1000))
    primary, secondary = pty.openpty()
    # 25 lines of 80: a terminal without a size shows no bar.
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
    program = start("get", "ais://cli-data/a.bin", tmp_path / "a.bin", stderr=secondary)
    os.close(secondary)
    shown = b""
    while part := read_terminal(primary):
        shown += part
    os.close(primary)
    assert (program.wait(), program.stdout.read()) == (0, b"")
    assert b"a.bin: " in shown
    assert b"1.00k" in shown
    assert shown.endswith(b"\r")


def read_terminal(descriptor: int) -> bytes:
    """Read what was written to a terminal; b"" once all writers have gone."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def test_what_the_library_warns_of_is_a_note(environ):
    """On one line and without credentials, whether it is a warning or logged."""
    program = (
        "import logging, warnings\n"
        "from aisio.cli import main\n"
        "from aisio.cli.commands.bench import command\n"
        "def work(**_):\n"
        "    warnings.warn('two\\nlines')\n"
        "    logging.getLogger('aisio.x').warning('s3://KEY:s3cr3t@b/x')\n"
        "command.callback = work\n"
        "main(['bench', '.'])"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True)
    assert done.returncode == 0
    assert done.stderr == b"aisio: warning: two\\nlines\naisio: s3://***@b/x\n"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "-"),
        (0, "0"),
        (1023, "1023"),
        (1024, "1.0K"),
        (1536, "1.5K"),
        (1024**2 - 1, "1.0M"),
        (3 * 1024**3, "3.0G"),
        (1024**7, "1024.0E"),
    ],
)
def test_readable_sizes(size_bytes, text):
    """In the largest unit below the size, rounded."""
    assert human_size_text(size_bytes) == text


def test_quiet_is_an_option_of_all_commands():
    """Before the command's name and behind it; it leaves out summaries."""

    def leaves(command):
        for other in command.commands.values():
            yield from leaves(other) if isinstance(other, click.Group) else [other]

    assert all(
        any("--quiet" in option.opts for option in command.params) for command in leaves(main)
    )
