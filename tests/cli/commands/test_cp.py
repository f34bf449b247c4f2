"""`aisio cp`."""

from __future__ import annotations

import json
import os
import signal

import pytest

from aisio.testing.fault_proxy import Corrupt, FaultProxy, Stall


def tree(folder):
    """Return the files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    """Keep checksums in a folder of the test's own."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


def test_files_go_up_down_and_across(run, bucket, files, tmp_path):
    """One command for all; a summary for many, none for one."""
    folder = files({"a.jpg": b"1", "deep/b.jpg": b"22"})
    up = run("cp", "-r", folder, "ais://cli-data/x")
    across = run("cp", "-r", "ais://cli-data/x", "ais://cli-data/y/")
    down = run("cp", "ais://cli-data/**/*.jpg", tmp_path / "out/")
    assert tree(tmp_path / "out") == {
        f"{top}/{name}": data for top in "xy" for name, data in tree(folder).items()
    }
    for done, count in ((up, 2), (across, 2), (down, 4)):
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr.startswith(f"aisio: {count} copied: ")
    one = run("cp", "ais://cli-data/x/a.jpg", "ais://cli-data/z.jpg")
    assert (one.exit_code, one.output) == (0, "")
    assert bucket.object("z.jpg").get() == b"1"


def test_a_dry_run_prints_commands(run, bucket, files):
    """And changes nothing."""
    folder = files({"a.jpg": b"1"})
    done = run("cp", "--dry-run", "-r", folder, "ais://cli-data")
    assert done.stdout == f"cp file://{folder}/a.jpg ais://cli-data/a.jpg\n"
    assert done.stderr == "aisio: 1 to copy: 1 byte\n"
    assert list(bucket.list()) == []


def test_json_has_one_object_for_each_file(run, bucket, files):
    """Also for those that failed, beside the errors on stderr."""
    folder = files({"a": b"1", "b": b"2"})
    (folder / "c").symlink_to("nowhere")
    bucket.object("a").put(b"1")
    done = run("cp", "--json", "--skip-unchanged", "-r", folder, "ais://cli-data")
    assert done.exit_code == 1
    rows = {
        row["source"].rpartition("/")[2]: row
        for row in map(json.loads, done.stdout.split("\n")[:-1])
    }
    assert {name: (row["action"], row["error"] is None) for name, row in rows.items()} == {
        "a": ("skip", True),
        "b": ("copy", True),
        "c": ("copy", False),
    }
    assert rows["b"] == {
        "action": "copy",
        "source": f"file://{folder}/b",
        "destination": "ais://cli-data/b",
        "size_bytes": 1,
        "dry_run": False,
        "error": None,
    }
    assert "1 of 3 objects failed" in done.stderr


def test_one_failure_does_not_stop_the_others(run, bucket, endpoint, tmp_path):
    """It is told, and the status is 1."""
    for name in "abc":
        bucket.object(name).put(name.encode() * 100)
    with FaultProxy(endpoint) as proxy:
        proxy.add(Corrupt(10), path="*/cli-data/b")
        done = run("-e", proxy.endpoint, "cp", "-r", "ais://cli-data", tmp_path / "out/")
    assert done.exit_code == 1
    assert sorted(tree(tmp_path / "out")) == ["a", "c"]
    first, last = done.stderr.splitlines()
    assert "checksum" in first
    assert last.endswith("1 of 3 objects failed: ais://cli-data/b")


def test_what_does_not_exist_is_told_in_one_line(run, bucket, files, tmp_path):
    """With what may be meant."""
    folder = files({"a": b"1"})
    bucket.object("object").put(b"1")
    for words, hint in (
        (["-r", "ais://cli-data/none", tmp_path], "begins with this"),
        (["-r", "ais://cli-data/object", tmp_path], "`aisio cp` without --recursive takes it"),
        ([f"{folder}/none/", "ais://cli-data"], f"{folder}/none/: there is no such folder"),
        (["ais://cli-data/none", tmp_path], "ais://cli-data/none"),
        ([f"{folder}/none", "ais://cli-data"], "no such file"),
        (["-r", folder, "ais://cli-none"], "--create-bucket creates the bucket"),
        (["ais://cli-none/x", tmp_path], "ais://cli-none"),
    ):
        done = run("cp", *words)
        assert done.exit_code == 1, words
        (line,) = done.stderr.splitlines()
        assert hint in line
    assert run("cp", "-r", folder, "ais://cli-new", "--create-bucket").exit_code == 0
    bucket.client.bucket("cli-new").delete()


def test_a_destination_that_is_no_folder_ends_the_work_at_once(run, bucket, tmp_path):
    """That is said once, not for each object."""
    for name in "ab":
        bucket.object(name).put(b"bytes")
    (tmp_path / "out").write_bytes(b"a file")
    done = run("cp", "-r", "ais://cli-data", tmp_path / "out")
    assert done.exit_code == 1
    assert done.stderr == f"aisio: error: {tmp_path}/out: Not a directory\n"


def test_an_interrupt_leaves_no_half_of_a_file(start, bucket, endpoint, tmp_path):
    """The status is that of Ctrl-C."""
    for number in range(8):
        bucket.object(f"{number}").put(os.urandom(3 << 20))
    with FaultProxy(endpoint) as proxy:
        proxy.add(Stall(1 << 20), path="*/cli-data/*", method="GET", skip=3, times=None)
        program = start("-e", proxy.endpoint, "cp", "-r", "ais://cli-data", f"{tmp_path}/out")
        while not any(request.fault for request in proxy.requests):
            assert program.poll() is None
        program.send_signal(signal.SIGINT)
        assert program.wait() == 130
    whole = tree(tmp_path / "out") if (tmp_path / "out").exists() else {}
    assert all(len(data) == 3 << 20 for data in whole.values())


def test_a_path_without_its_first_folder_may_lack_a_scheme(run, bucket, files, monkeypatch):
    """Not where the source has one: then it is a new folder."""
    folder = files({"a": b"1"})
    monkeypatch.chdir(folder)
    done = run("cp", "a", "cli-data/")
    assert done.exit_code == 2
    assert "ais://cli-data/" in done.stderr
    bucket.object("b").put(b"2")
    assert run("cp", "ais://cli-data/b", "new/").exit_code == 0
    assert (folder / "new/b").read_bytes() == b"2"
