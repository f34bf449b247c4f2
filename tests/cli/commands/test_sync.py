"""`aisio sync`."""

from __future__ import annotations

import json

import pytest
import xxhash


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    """Keep checksums in a folder of the test's own."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


def names(bucket):
    """Return the names of all objects."""
    return [info.name for info in bucket.list()]


def test_only_what_differs_is_copied(run, bucket, files):
    """Deletions come with --delete alone; a dry run tells them."""
    folder = files({"a": b"1", "b": b"2"})
    bucket.object("a").put(b"1")
    bucket.object("old").put(b"9")
    done = run("sync", folder, "ais://cli-data")
    assert done.stderr.startswith("aisio: 1 copied, 1 skipped: 1 byte in ")
    assert names(bucket) == ["a", "b", "old"]
    done = run("sync", "--dry-run", "--delete", folder, "ais://cli-data")
    assert done.stdout == "rm ais://cli-data/old\n"
    assert done.stderr == "aisio: 0 to copy, 2 skipped, 1 to delete: 0 bytes\n"
    assert run("sync", "--delete", folder, "ais://cli-data").exit_code == 0
    assert names(bucket) == ["a", "b"]


def test_an_empty_source_deletes_nothing(run, bucket, tmp_path):
    """Unless that is said."""
    bucket.object("old").put(b"9")
    (tmp_path / "empty").mkdir()
    for source in ("ais://cli-none", "ais://cli-data/none", tmp_path / "empty", tmp_path / "none"):
        done = run("sync", "--delete", source, "ais://cli-data/x/")
        assert done.exit_code == 1
        assert len(done.stderr.splitlines()) == 1
    assert run("sync", "--delete", tmp_path / "empty", "ais://cli-data").exit_code == 1
    assert names(bucket) == ["old"]
    words = ("--delete", "--allow-empty", tmp_path / "empty", "ais://cli-data")
    assert run("sync", *words).exit_code == 0
    assert names(bucket) == []


def test_an_object_is_copied_by_another_command(run, bucket, tmp_path):
    """The error says by which one."""
    bucket.object("t/a").put(b"1")
    done = run("sync", "ais://cli-data/t/a", tmp_path / "x")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(" ais://cli-data/t/a is an object, and no folder: `aisio cp` copies it")
    assert not (tmp_path / "x").exists()


def test_ten_thousand_unchanged_files_make_no_request_for_data(run, stub, tmp_path):
    """The listing alone; it also shows the one whose checksum differs."""
    folder = tmp_path / "many"
    folder.mkdir()
    entries = []
    for number in range(10_000):
        name, data = f"{number:05d}", b"%d" % number
        (folder / name).write_bytes(data)
        digest = xxhash.xxh64(data).hexdigest()
        entries.append({"name": name, "size": len(data), "checksum": digest})
    paths = []

    def answer(exchange):
        paths.append(exchange.path.partition("?")[0])
        page = {"uuid": "u", "continuation_token": "", "flags": 0, "entries": entries}
        body = json.dumps(page).encode()
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(len(body)))
        exchange.end_headers()
        exchange.wfile.write(body)

    entries[77]["checksum"] = "0" * 16
    done = run("-e", stub(answer), "sync", "--dry-run", "--delete", "ais://any", folder)
    assert done.stdout == f"cp ais://any/00077 file://{folder}/00077\n"
    assert done.stderr == "aisio: 1 to copy, 9,999 skipped: 2 bytes\n"
    assert set(paths) == {"/v1/buckets/any"}
