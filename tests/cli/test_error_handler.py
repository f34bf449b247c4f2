"""Errors, interruption and pipes without a reader, as a shell sees them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

import pytest

from aisio.cli.error_handler import error_handler
from aisio.errors import TruncatedError

HUGE = "9" * 5000

HOSTILE = [
    [""],
    ["-e", "", "ls"],
    ["-e", "http://", "ls"],
    ["ls", ""],
    ["ls", "ais://"],
    ["ls", "ais:///x"],
    ["ls", "://"],
    ["ls", "\udce9"],
    ["ls", "x" * 5000],
    ["ls", "ais://" + "b" * 5000],
    ["get", ""],
    ["get", "a", ""],
    ["get", "a", "x" * 5000],
    ["get", "a", "b", "--start", "-1"],
    ["get", "a", "b", "--start", HUGE],
    ["get", "a", "b", "--start", "9" * 40],
    ["get", "a", "b", "--start", "1e3"],
    ["get", "a", "b", "--stop", "0"],
    ["get", "a", "b", "--stop", "-" + HUGE],
    ["cat", "a", "--start", "9" * 40],
    ["cat", "ais://cli-data/a", "--start", "9" * 40],
    ["put", "", "ais://cli-data/x"],
    ["put", "a", ""],
    ["put", "-", "ais://cli-data"],
    ["put", "-r", "-", "ais://cli-data"],
    ["put", "a", "ais://cli-data/" + "x" * 5000],
    ["info", ""],
    ["info", "ais://cli-data/" + "x" * 5000],
    ["pack", "", "./out"],
    ["pack", ".", "./out", "--samples", HUGE],
    ["pack", ".", "./out", "--samples", "-1"],
    ["pack", ".", "./out", "--bytes", "1e400"],
    ["pack", ".", "./out", "--bytes", HUGE],
    ["pack", ".", "./out", "--bytes", "-1"],
    ["pack", ".", "./out", "--bytes", ""],
    ["pack", ".", "./out", "--prefix", ""],
    ["bench", ""],
    ["bench", ".", "--turns", "0"],
    ["bench", ".", "--turns", HUGE],
    ["bench", ".", "--objects", "-1"],
    ["bench", ".", "--bytes", "1e400"],
    ["serve", ""],
    ["serve", "none"],
    ["serve", ".", "--port", "65536"],
    ["serve", ".", "--port", "-1"],
    ["serve", ".", "--host", "", "--token", "t", "--token-file", "a"],
    ["serve", ".", "--tls-cert", "none"],
    ["serve", ".", "--host", "no such host"],
    ["serve", ".", "--host", "x" * 300],
    ["serve", ".", "--token-file", "none"],
    ["load", ""],
    ["load", "\udce9"],
    ["load", "x" * 5000],
    ["load", "--source", ""],
    ["cache", "--cache-dir", "a", "list"],
    ["cache", "prune", "--max-size", "1e400"],
    ["cache", "prune", "--max-size", HUGE],
    ["cache", "prune", "--max-size", "-1"],
    ["catalog", "show", ""],
    ["catalog", "check", ""],
    ["catalog", "list", "-c", "none"],
    ["catalog", "pin", "--update"],
]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ls", "ais://no-such-bucket"], "404"),
        (["get", "ais://cli-data/none", "-"], "404"),
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
def test_an_invalid_command_line_is_status_2(run, words, says):
    """One line too, with the command that shows help."""
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
        (TruncatedError("cut\nshort"), "aisio: error: cut\\nshort\n"),
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


def test_a_bug_is_one_line_that_says_where_to_find_out_more(capsys):
    """Most users can do nothing with a traceback; an option shows it."""
    with pytest.raises(SystemExit) as exit_info, error_handler():
        raise KeyError("bug")
    assert exit_info.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("aisio: error: KeyError in test_error_handler.py, line ")
    assert "aisio --traceback" in line


def test_a_traceback_is_shown_where_it_is_wanted(run, bucket):
    """Before the line, and without the credentials of URLs."""
    done = run("--traceback", "get", "ais://cli-data/none?x")
    assert done.exit_code == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.splitlines()[-1].startswith("aisio: error: ais://cli-data/none?x: no object")
    assert "Traceback" not in run("get", "ais://cli-data/none").stderr


def test_no_credential_is_shown(run, bucket):
    """In a URL's place for a password, or its query; in an endpoint's."""
    for words in (
        ["cat", "s3://KEY:s3cr3t@bucket/key"],
        ["ls", "ais://user:s3cr3t@bucket/"],
        ["get", "HTTPS://user:s3cr3t@host/x"],
        ["get", "-r", "ais://cli-data/", "s3://KEY:s3cr3t@bucket/"],
        ["put", "s3://KEY:s3cr3t@bucket/key", "ais://cli-data/x"],
        ["s3://KEY:s3cr3t@bucket/key"],
        ["-e", "user:s3cr3t@host:8080", "ls"],
        ["-e", "http://user:s3cr3t@host:8080", "ls"],
        ["--traceback", "ls", "http://127.0.0.1:1/x?X-Amz-Signature=s3cr3t"],
    ):
        done = run(*words)
        assert done.exit_code in (1, 2)
        assert "s3cr3t" not in done.output


def test_a_pipe_without_a_reader_ends_the_command_quietly(start, bucket):
    """As in `aisio cat ... | head`."""
    bucket.object("big").put(bytes(1 << 20))
    program = start("cat", *["ais://cli-data/big"] * 8)
    assert program.stdout.read(1) == b"\0"
    program.stdout.close()
    assert (program.wait(), program.stderr.read()) == (0, b"")


def test_another_pipe_that_breaks_is_an_error(start, bucket, tmp_path):
    """What was to be written somewhere was not; only stdout's reader may have had enough."""
    bucket.object("big").put(bytes(1 << 20))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = start("get", "ais://cli-data/big", pipe)
    with pipe.open("rb", buffering=0) as reader:
        assert reader.read(1) == b"\0"
    assert program.wait() == 1
    assert b"Broken pipe" in program.stderr.read()


def test_help_without_a_reader_is_no_failure(start):
    """The same where the text comes from the parser of the command line."""
    reader, writer = os.pipe()
    os.close(reader)
    program = start("--help", stdout=writer)
    os.close(writer)
    assert (program.wait(), program.stderr.read()) == (0, b"")


@pytest.mark.parametrize(
    ("closed", "words", "status", "says"),
    [
        (1, ["ls", "{}"], 1, b"stdout: it is closed"),
        (1, ["cat", "{}/a"], 1, b"stdout: it is closed"),
        (1, ["get", "{}/a", "{}/b"], 0, b""),
        (1, ["serve", "{}"], 1, b"stdout: it is closed"),
        (0, ["put", "-", "{}/b"], 1, b"stdin: it is closed"),
        (2, ["get", "{}/a", "{}/b"], 0, b""),
        (2, ["get", "{}/none", "{}/b"], 1, b""),
    ],
)
def test_closed_streams_are_missed_only_where_they_are_needed(
    start, files, closed, words, status, says
):
    """As by `>&-`: an error on one line, and no file takes their place."""
    folder = files({"a": b"bytes"})
    words = [word.format(folder) for word in words]
    program = start(*words, stdin=subprocess.DEVNULL, preexec_fn=lambda: os.close(closed))
    assert program.wait() == status
    stderr = program.stderr.read()
    assert says in stderr
    assert stderr.count(b"\n") == bool(says)
    if words[0] == "get" and not status:
        assert (folder / "b").read_bytes() == b"bytes"


def test_errors_that_nobody_reads_keep_the_status(start, files):
    """Where stderr has no reader either."""
    reader, writer = os.pipe()
    os.close(reader)
    program = start("ls", files({}) / "none", stderr=writer)
    os.close(writer)
    assert (program.wait(), program.stdout.read()) == (1, b"")


@pytest.mark.parametrize("words", HOSTILE, ids=" ".join)
def test_hostile_arguments_are_one_line(run, bucket, files, monkeypatch, words):
    """Whatever is typed: an error of the command line, or of the work, and no traceback."""
    monkeypatch.chdir(files({"a": b"bytes", "0.txt": b"text"}))
    done = run(*words)
    assert done.exit_code in (1, 2), done.output
    assert done.stderr.startswith("aisio: ")
    assert "should not happen" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1


def test_ctrl_c_ends_with_130_and_leaves_nothing_behind(start, stub, tmp_path):
    """No traceback, no half file."""
    begun, ended = threading.Event(), threading.Event()

    def stall(exchange):
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        begun.set()
        ended.wait()

    program = start("-e", stub(stall), "get", "ais://cli-data/big", cwd=tmp_path)
    assert begun.wait(30)
    program.send_signal(signal.SIGINT)
    _, stderr = program.communicate()
    ended.set()
    assert (program.returncode, stderr.strip()) == (130, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error(start, bucket):
    """Also where the output is a file that the shell has opened."""
    bucket.object("some").put(b"bytes")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        program = start("cat", "ais://cli-data/some", stdout=full)
        _, stderr = program.communicate()
    assert program.returncode == 1
    assert stderr.startswith(b"aisio: error: ")
    assert b"No space left" in stderr
