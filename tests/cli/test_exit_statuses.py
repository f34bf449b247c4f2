"""One rule for the exit statuses of all commands: docs/commands.md, under "Errors"."""

from __future__ import annotations

import os

import pytest

from aisio.cli import main
from aisio.client.client import Client

B, NONE = "ais://cli-data", "ais://cli-none"

INVALID = [
    # What is not written as an object must be where one is needed.
    f"get {B}",
    f"get {B}/train/",
    f"get --dry-run {B}/train/",
    f"cat {B}",
    f"cat {B}/a {B}/train/",
    "cat folder",
    f"cp {B} new",
    f"cp {B}/a {B}/train/ new/",
    f"cp folder {B}",
    f"mv {B} new",
    f"mv {B}/train/ new",
    f"mv folder {B}",
    f"put folder {B}",
    f"put - {B}",
    f"put - {B}/train/",
    f"rm {B}",
    f"rm {B}/train/",
    f"mb {B}/a",
    f"rb {B}/a",
    f"index --output {B} {B}/a",
    f"tar --source-path folder --tar-path {B} --index-path {B}/i",
    f"tar --index-only --tar-path {B}/t --index-path {B}/train/",
    # Braces and wildcards that are not valid.
    *(f"{command} {B}/{{1.." for command in ("ls", "get", "cat", "rm", "du", "info", "bench")),
    f"index {B}/{{1..",
    f"verify {B}/{{1..",
    *(f"{command} {B}/{{1.. new" for command in ("cp", "mv", "sync", "diff")),
    f"put no{{1.. {B}",
    *(f"{command} --include a**b folder {B}" for command in ("cp -r", "mv -r", "sync", "put -r")),
    f"get -r --exclude a**b {B} new",
    f"diff --include a**b folder {B}",
    # Options.
    *(f"{name} --no-such-option" for name in main.commands),
    f"cp --no-clobber --skip-unchanged {B}/a new",
    "load",
    "completion tcsh",
]

NOT_FOUND = [
    *(f"{command} {B}/none" for command in ("ls", "get", "cat", "rm", "du", "info", "bench")),
    *(f"{command} {NONE}/a" for command in ("ls", "get", "cat", "rm", "du", "info", "bench")),
    *(f"{command} {NONE}" for command in ("ls", "get -r", "rm -r", "rb", "du", "info", "bench")),
    *(f"{command} {B}/none*" for command in ("ls", "get", "cat", "rm", "du", "info", "bench")),
    *(f"{command} {B}/none.tar" for command in ("index", "verify")),
    *(f"{command} {B}/none new" for command in ("cp", "cp -r", "mv", "mv -r", "sync")),
    *(f"{command} {B}/none* new" for command in ("cp", "mv", "sync")),
    *(f"{command} {NONE}/a new" for command in ("cp", "cp -r", "mv", "mv -r", "sync")),
    *(f"{command} none {B}" for command in ("cp", "cp -r", "mv", "sync", "put", "put -r")),
    *(f"{command} file {NONE}" for command in ("cp", "mv", "put")),
    *(f"{command} folder {NONE}" for command in ("cp -r", "mv -r", "sync", "put -r")),
    f"pack none {B}/p",
    f"pack folder {B}/p --list none",
    f"tar --source-path none --tar-path {B}/t --index-path {B}/i",
    "cat none",
    "serve none",
    "load none",
    "catalog show none",
    "catalog check none",
    "catalog list -c none",
    "tasks show none",
    "tasks run --algorithm-dir none python x.py",
]

PARTIAL = [
    # A line of which a part fails, and an object that is then there, or with "-" not any more.
    (f"cat {B}/a {B}/none", f"{B}/a"),
    (f"ls {B}/a {B}/none", f"{B}/a"),
    (f"du {B}/a {B}/none", f"{B}/a"),
    (f"rm {B}/a {B}/none", f"-{B}/a"),
    (f"mv {B}/a {B}/none new/", f"-{B}/a"),
    (f"cp {B}/a {B}/none {B}/new/", f"{B}/new/a"),
    (f"cp -r broken {B}", f"{B}/file"),
    (f"mv -r broken {B}", f"{B}/file"),
    (f"put -r broken {B}", f"{B}/file"),
    (f"sync broken {B}", f"{B}/file"),
]


@pytest.fixture
def place(run, bucket, files, tasks_home, monkeypatch):
    """Go to a folder with a file and a folder, beside a bucket with a few objects."""
    monkeypatch.chdir(files({"file": b"1", "folder/file": b"2"}))
    monkeypatch.setenv("AISIO_CATALOG", os.fspath(files({}, "catalog")))
    for name in ("a", "b", "train/1"):
        bucket.object(name).put(b"bytes")


@pytest.mark.parametrize("line", INVALID)
def test_an_invalid_command_line_is_2(run, place, line):
    """Nothing was asked of a store; one line says which command shows its help."""
    done = run(*line.split(), prog_name="aisio")
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert len(done.stderr.splitlines()) == 1
    assert " --help'" in done.stderr or line.startswith("diff")


@pytest.mark.parametrize("line", NOT_FOUND)
def test_what_does_not_exist_is_1(run, place, line):
    """An object, a bucket, a file or a name. Of `diff`, whose 1 says that something differs, 2."""
    done = run(*line.split())
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("aisio: ")


@pytest.mark.parametrize(
    "line", [f"diff {B}/none folder", f"diff {NONE} folder", f"diff {B} none", f"diff none {B}"]
)
def test_a_comparison_that_failed_is_2(run, place, line):
    """As of the program diff."""
    assert run(*line.split()).exit_code == 2


@pytest.mark.parametrize(("line", "done"), PARTIAL)
def test_a_partial_failure_is_1(run, place, files, endpoint, line, done):
    """The rest is done, and the last line says how many failed."""
    (files({"file": b"3"}, "files/broken") / "link").symlink_to("nowhere")
    status = run(*line.split())
    assert status.exit_code == 1, status.output
    assert status.stderr.splitlines()[-1].startswith("aisio: error: ")
    assert Client(endpoint).object(done.lstrip("-")).exists() is not done.startswith("-")


def test_buckets_are_made_and_removed_beside_those_that_fail(run, place):
    """The same for whole buckets."""
    assert run("mb", f"{B}-more", B).exit_code == 1
    assert run("rb", f"{B}-more", NONE).exit_code == 1
    assert run("ls").stdout.split() == [B]


@pytest.mark.parametrize(
    "line", ["cp file file", "mv file .", "put file file", "get file", "get file ."]
)
def test_a_file_is_not_copied_onto_itself(run, place, line):
    """A slip of the hand, and no success; the file stays."""
    done = run(*line.split())
    assert done.exit_code == 1
    assert "file: source and destination are the same" in done.stderr
