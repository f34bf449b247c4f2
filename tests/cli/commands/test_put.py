"""`aisio put`."""

from __future__ import annotations

import os
import threading


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
    assert done.exit_code == 2
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
    assert done.exit_code == 2
    assert "--recursive" in done.stderr


def test_a_bucket_is_created_with_the_option(run, bucket, files):
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


def test_a_pipe_by_its_path_is_stored(start, bucket, tmp_path):
    """As the shell's <(command) gives one; it has no name for the object."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"through a pipe"))
    writer.start()
    program = start("put", pipe, "ais://cli-data/x")
    assert program.wait() == 0, program.stderr.read()
    writer.join()
    assert bucket.object("x").get() == b"through a pipe"
    program = start("put", pipe, "ais://cli-data/")
    assert program.wait() == 2
    assert b"say which object" in program.stderr.read()


def test_one_file_that_cannot_be_stored_does_not_stop_the_rest(run, bucket, files):
    """It is reported, counted at the end, and the status is 1."""
    folder = files({"b.txt": b"2", "z.txt": b"3"})
    (folder / "caf\udce9.txt").write_bytes(b"1")
    done = run("put", "-r", folder, "ais://cli-data/")
    assert done.exit_code == 1
    assert names(bucket) == ["b.txt", "z.txt"]
    line, summary = done.stderr.splitlines()
    assert line.startswith("aisio: error: ")
    assert "not UTF-8" in line
    assert summary.startswith("aisio: error: 1 of 3 files failed: file://")


def test_a_missing_bucket_ends_the_work_at_once(run, bucket, files):
    """All files would fail alike; the error says what creates it."""
    done = run("put", "-r", files({"a": b"", "b": b""}), "ais://cli-none/")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("--create-bucket creates the bucket")


def test_a_forgotten_scheme_is_no_new_folder(run, files, monkeypatch):
    """The data would stay on this machine, with status 0."""
    folder = files({"a": b"bytes", "out/b": b""})
    monkeypatch.chdir(folder)
    for words in (["put", "a", "bucket/a"], ["put", "-r", "out", "bucket/"]):
        done = run(*words)
        assert done.exit_code == 2
        assert "ais://bucket/" in done.stderr
    assert not (folder / "bucket").exists()
    assert run("put", "a", "./bucket/a").exit_code == 0
    assert run("put", "a", "out/a").exit_code == 0
    assert (folder / "bucket/a").read_bytes() == (folder / "out/a").read_bytes() == b"bytes"


def test_an_empty_folder_is_an_error(run, bucket, tmp_path):
    """Nothing was stored."""
    (tmp_path / "empty").mkdir()
    done = run("put", "-r", tmp_path / "empty", "ais://cli-data/")
    assert done.exit_code == 1
    assert "there are no files" in done.stderr


def test_a_local_file_may_be_a_url(run, bucket, files):
    """Other URLs are no files."""
    folder = files({"a": b"bytes"})
    assert run("put", f"file://{folder}/a", "ais://cli-data/").exit_code == 0
    assert bucket.object("a").get() == b"bytes"
    done = run("put", "ais://cli-data/a", "ais://cli-data/b")
    assert done.exit_code == 2
    assert "aisio cp URL URL" in done.stderr


def test_a_device_is_written_into(run, files, null_device):
    """It stays a device."""
    assert run("put", files({"a": b"bytes"}) / "a", null_device).exit_code == 0
    assert null_device.is_char_device()


def test_several_files_go_into_a_bucket(run, bucket, files, monkeypatch):
    """As a shell expands a pattern, or aisio itself does."""
    monkeypatch.chdir(files({"a.jpg": b"1", "b.jpg": b"2", "c.txt": b"3"}))
    assert run("put", "a.jpg", "b.jpg", "ais://cli-data/one/").exit_code == 0
    assert run("put", "*.jpg", "ais://cli-data/two").exit_code == 0
    assert names(bucket) == ["one/a.jpg", "one/b.jpg", "two/a.jpg", "two/b.jpg"]
    for words in (["a.jpg", "-"], ["-r", "-"]):
        assert run("put", *words, "ais://cli-data/").exit_code == 2


def test_what_is_unchanged_is_skipped_on_request(run, bucket, files):
    """By size and checksum."""
    folder = files({"a": b"1", "b": b"2"})
    bucket.object("a").put(b"1")
    done = run("put", "-r", folder, "ais://cli-data", "--skip-unchanged")
    assert done.stderr.startswith("aisio: 1 copied, 1 skipped: 1 byte in ")
    assert run("put", "-r", "-q", folder, "ais://cli-data").stderr == ""
