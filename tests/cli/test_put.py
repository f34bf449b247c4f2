"""`aisio put`."""

from __future__ import annotations

import os


def names(bucket):
    """Return the names of all objects."""
    return [info.name for info in bucket.list()]


def test_a_file_is_stored_under_the_name_that_is_given(run, bucket, files):
    """Silently, as cp does."""
    folder = files({"a.bin": bytes(range(256))})
    done = run("put", folder / "a.bin", "ais://cli-data/deep/b.bin")
    assert (done.exit_code, done.output) == (0, "")
    assert bucket.object("deep/b.bin").get() == bytes(range(256))


def test_a_folder_like_url_takes_the_name_of_the_file(run, bucket, files):
    """So does a bucket."""
    folder = files({"a.bin": b"bytes"})
    assert run("put", folder / "a.bin", "ais://cli-data").exit_code == 0
    assert run("put", folder / "a.bin", "ais://cli-data/deep/").exit_code == 0
    assert names(bucket) == ["a.bin", "deep/a.bin"]


def test_a_dash_is_stdin(run, bucket):
    """Bytes as they are; the size need not be known before."""
    assert run("put", "-", "ais://cli-data/x", input=b"\xff\x00\n").exit_code == 0
    assert bucket.object("x").get() == b"\xff\x00\n"


def test_stdin_has_no_name(run, bucket):
    """The URL must give one."""
    done = run("put", "-", "ais://cli-data/deep/", input=b"")
    assert done.exit_code == 1
    assert "names no object" in done.stderr


def test_a_pipe_is_stored(start, bucket):
    """A real one, that cannot seek."""
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    program = start("put", "-", "ais://cli-data/x", stdin=reader)
    os.close(reader)
    assert program.wait() == 0, program.stderr.read()
    assert bucket.object("x").get() == b"through a pipe"


def test_a_folder_is_stored_file_by_file(run, bucket, files):
    """Hidden files too: this copies, it does not choose."""
    folder = files({"a/1.jpg": b"1", "b.jpg": b"2", ".hidden": b"3"})
    assert run("put", "-r", folder, "ais://cli-data/all/").exit_code == 0
    assert names(bucket) == ["all/.hidden", "all/a/1.jpg", "all/b.jpg"]
    assert bucket.object("all/a/1.jpg").get() == b"1"


def test_a_folder_needs_recursion(run, bucket, files):
    """As cp wants it."""
    done = run("put", files({"a": b""}), "ais://cli-data/x")
    assert done.exit_code == 1
    assert "directory" in done.stderr


def test_a_bucket_is_created_when_asked_for(run, bucket, files):
    """And only then."""
    folder = files({"a": b"bytes"})
    assert run("put", folder / "a", "ais://cli-new/a").exit_code == 1
    for _ in range(2):
        assert run("put", folder / "a", "ais://cli-new/a", "--create-bucket").exit_code == 0
    new = bucket.client.bucket("cli-new")
    assert new.object("a").get() == b"bytes"
    new.delete()


def test_a_local_folder_is_a_store_too(run, files, tmp_path):
    """One command for all stores."""
    folder = files({"a": b"bytes"})
    assert run("put", folder / "a", f"{tmp_path}/new/", "--create-bucket").exit_code == 0
    assert (tmp_path / "new" / "a").read_bytes() == b"bytes"
