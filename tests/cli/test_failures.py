"""Errors, interruption and pipes without a reader, as a shell sees them."""

from __future__ import annotations

import signal
import threading

import pytest

from aisio.cli.failures import error_handler
from aisio.errors import AisioError, TruncatedError


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ls", "ais://no-such-bucket"], "404"),
        (["get", "ais://cli-data/none", "-"], "404"),
        (["cat", "ais://cli-data"], "names no object"),
        (["put", "/no/such/file", "ais://cli-data/x"], "/no/such/file: No such file or directory"),
    ],
)
def test_a_failure_is_one_line_and_status_1(run, bucket, words, says):
    """What went wrong, on stderr, and nothing on stdout."""
    done = run(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("aisio: error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Missing command; try 'aisio --help'"),
        (["frobnicate"], "frobnicate"),
        (["ls", "--frobnicate"], "try 'aisio ls --help'"),
        (["ls", "ais:bucket"], "was ais://bucket meant?"),
        (["cat"], "Missing argument 'URL...'"),
        (["get", "ais://b/o", "--stop", "0"], "--stop"),
        (["get", "ais://b/o", "--start", "5", "--stop", "3"], "no byte between"),
        (["cat", "ais://b/o", "--start", "3", "--stop", "3"], "no byte between"),
        (["ls", "--provider", "xyz"], "--provider"),
        (["-e", "nonsense", "ls"], "nonsense"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_status_2(run, words, says):
    """One line too, with the way to the help."""
    done = run(*words, prog_name="aisio")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("aisio: error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_an_endpoint_the_error_says_how_to_name_one(run, monkeypatch):
    """The first error that a newcomer meets."""
    monkeypatch.delenv("AIS_ENDPOINT")
    done = run("ls")
    assert done.exit_code == 1
    assert "set AIS_ENDPOINT" in done.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (TruncatedError("cut\nshort"), "aisio: error: cut\\x0ashort\n"),
        (FileNotFoundError(2, "No such file", "a.txt"), "aisio: error: a.txt: No such file\n"),
        (OSError("the disk is gone"), "aisio: error: the disk is gone\n"),
    ],
)
def test_errors_become_one_line(capsys, error, line):
    """Also a TruncatedError, which is an EOFError, which click takes for Ctrl-D."""
    with pytest.raises(SystemExit) as exit_info, error_handler():
        raise error
    assert exit_info.value.code == 1
    assert capsys.readouterr() == ("", line)


def test_a_bug_keeps_its_traceback():
    """An error that nobody foresaw is not dressed up as one that was."""
    with pytest.raises(KeyError), error_handler():
        raise KeyError("bug")
    assert not issubclass(KeyError, AisioError)


def test_a_pipe_without_a_reader_ends_the_command_quietly(start, bucket):
    """As in `aisio cat ... | head`."""
    bucket.object("big").put(bytes(1 << 20))
    program = start("cat", *["ais://cli-data/big"] * 8)
    assert program.stdout.read(1) == b"\0"
    program.stdout.close()
    assert (program.wait(), program.stderr.read()) == (0, b"")


def test_ctrl_c_ends_with_130_and_leaves_nothing_behind(start, stub, tmp_path):
    """No traceback, no half file."""
    begun, ended = threading.Event(), threading.Event()

    def stall(exchange):
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        begun.set()
        ended.wait()

    program = start(
        "-e",
        stub(stall),
        "get",
        "ais://cli-data/big",
        cwd=tmp_path,
        # Where this test runs in the background, a shell has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert begun.wait(30)
    program.send_signal(signal.SIGINT)
    _, told = program.communicate()
    ended.set()
    assert (program.returncode, told.strip()) == (130, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error(start, bucket):
    """Also where the output is a file that the shell has opened."""
    bucket.object("some").put(b"bytes")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        program = start("cat", "ais://cli-data/some", stdout=full)
        _, told = program.communicate()
    assert program.returncode == 1
    assert told.startswith(b"aisio: error: ")
    assert b"No space left" in told
