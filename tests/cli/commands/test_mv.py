"""`aisio mv`."""

from __future__ import annotations

from aisio.testing.fault_proxy import FaultProxy, Status


def names(bucket):
    """Return the names of all objects."""
    return [info.name for info in bucket.list()]


def test_the_source_is_gone_once_the_copy_is_there(run, bucket, files, tmp_path):
    """Up, down and inside the cluster; what is skipped stays."""
    folder = files({"a": b"1", "deep/b": b"2"})
    done = run("mv", "-r", folder, "ais://cli-data/x/")
    assert done.stderr.startswith("aisio: 2 moved: 2 bytes in ")
    assert not list(folder.iterdir())
    assert run("mv", "ais://cli-data/x/a", "ais://cli-data/y").exit_code == 0
    assert names(bucket) == ["x/deep/b", "y"]
    (tmp_path / "y").write_bytes(b"old")
    assert run("mv", "-n", "ais://cli-data/y", f"{tmp_path}/").exit_code == 0
    assert names(bucket) == ["x/deep/b", "y"]
    assert run("mv", "ais://cli-data/y", f"{tmp_path}/").exit_code == 0
    assert (tmp_path / "y").read_bytes() == b"1"
    assert names(bucket) == ["x/deep/b"]


def test_nothing_is_deleted_where_the_copy_failed(run, bucket, endpoint, files):
    """The status is 1."""
    folder = files({"a": b"1"})
    with FaultProxy(endpoint) as proxy:
        proxy.add(Status(400), method="PUT", times=None)
        done = run("-e", proxy.endpoint, "mv", folder / "a", "ais://cli-data/")
    assert done.exit_code == 1
    assert (folder / "a").read_bytes() == b"1"
    assert names(bucket) == []


def test_a_dry_run_moves_nothing(run, bucket):
    """It prints what would be done."""
    bucket.object("a").put(b"1")
    done = run("mv", "--dry-run", "ais://cli-data/a", "ais://cli-data/b")
    assert done.stdout == "mv ais://cli-data/a ais://cli-data/b\n"
    assert names(bucket) == ["a"]


def test_a_folder_needs_recursive(run, bucket):
    """The error says what moves it: this command, not another one."""
    bucket.object("t/a").put(b"1")
    done = run("mv", "ais://cli-data/t", "ais://cli-data/u")
    assert "objects below ais://cli-data/t/: `aisio mv --recursive` takes them all" in done.stderr
    assert names(bucket) == ["t/a"]
    done = run("mv", "--dry-run", "-r", "ais://cli-data/t", "ais://cli-data/u")
    assert done.stderr == "aisio: 1 to move: 1 byte\n"
