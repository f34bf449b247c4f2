"""`aisio rm`."""

from __future__ import annotations

import json

import pytest

from aisio.client.client import Client
from aisio.testing.fault_proxy import FaultProxy

NAMES = ("t/a/1", "t/a/2", "t/b/3", "tr", "u", "{0..9}")


@pytest.fixture
def objects(bucket):
    """Put a few objects and return their bucket."""
    for name in NAMES:
        bucket.object(name).put(name.encode())
    return bucket


def names(bucket):
    """Return the names that are left."""
    return [info.name for info in bucket.list()]


def test_objects_are_deleted_and_printed(run, objects):
    """Without asking."""
    done = run("rm", "ais://cli-data/u", "ais://cli-data/t/a/1")
    assert done.exit_code == 0
    assert done.stdout == "deleted ais://cli-data/u\ndeleted ais://cli-data/t/a/1\n"
    assert done.stderr == "aisio: 2 objects deleted\n"
    assert names(objects) == ["t/a/2", "t/b/3", "tr", "{0..9}"]


def test_a_missing_object_is_an_error_after_all_others(run, objects):
    """With --force it is none."""
    done = run("rm", "ais://cli-data/no", "ais://cli-data/u")
    assert (done.exit_code, done.stdout) == (1, "deleted ais://cli-data/u\n")
    assert "error: rm ais://cli-data/no: there is no such object\n" in done.stderr
    assert "1 of 2 URLs failed: ais://cli-data/no" in done.stderr
    assert run("rm", "-f", "ais://cli-data/no", "ais://cli-data/no/*").exit_code == 0
    done = run("rm", "ais://cli-data/{u,tr}")
    assert (done.exit_code, done.stdout) == (1, "deleted ais://cli-data/tr\n")
    assert "rm ais://cli-data/u: there is no such object" in done.stderr


def test_a_folder_needs_recursive(run, objects):
    """The error says what to type."""
    for url in ("ais://cli-data", "ais://cli-data/", "ais://cli-data/t/"):
        done = run("rm", url)
        assert done.exit_code == 2
        assert "aisio rm -r ais://cli-data" in done.stderr
    assert "aisio rb ais://cli-data" in run("rm", "ais://cli-data").stderr
    done = run("rm", "ais://cli-data/t")
    assert done.exit_code == 1
    assert "`aisio rm -r ais://cli-data/t` takes them all" in done.stderr
    assert names(objects) == [*NAMES]


def test_a_folder_is_deleted_and_not_what_begins_so(run, objects):
    """So is an object of the folder's name; a bucket stays."""
    assert run("rm", "-r", "ais://cli-data/t").exit_code == 0
    assert names(objects) == ["tr", "u", "{0..9}"]
    assert run("rm", "-r", "ais://cli-data/u").stdout == "deleted ais://cli-data/u\n"
    assert run("rm", "-r", "ais://cli-data/t").exit_code == 1
    assert run("rm", "-r", "ais://cli-data").exit_code == 0
    assert names(objects) == []
    assert run("rm", "-r", "ais://cli-data").exit_code == 0
    assert objects.exists()


def test_patterns(run, objects):
    """One that matches nothing is an error; one that is a name is that object."""
    assert run("rm", "-q", "ais://cli-data/t/*/[12]").stdout == ""
    assert names(objects) == ["t/b/3", "tr", "u", "{0..9}"]
    done = run("rm", "ais://cli-data/t/*")
    assert done.exit_code == 1
    assert "'**/' for any folders" in done.stderr
    assert "as text" not in done.stderr
    assert run("rm", "ais://cli-data/**/*", "--json").exit_code == 0
    assert names(objects) == []


def test_dry_run_deletes_nothing(run, objects):
    """It tells what is missing all the same."""
    done = run("rm", "--dry-run", "-r", "ais://cli-data/t", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows == [
        {"action": "would_delete", "url": f"ais://cli-data/{name}"} for name in NAMES[:3]
    ]
    assert "3 objects would be deleted" in done.stderr
    assert run("rm", "-n", "ais://cli-data/no").exit_code == 1
    assert run("rm", "--dryrun", "ais://cli-data/u").stdout == "would delete ais://cli-data/u\n"
    assert names(objects) == [*NAMES]


def test_what_it_does_not_delete(run, tmp_path):
    """Local files, and buckets that do not exist."""
    (tmp_path / "file").write_bytes(b"")
    done = run("rm", tmp_path / "file")
    assert done.exit_code == 2
    assert "a path of this machine" in done.stderr
    assert (tmp_path / "file").exists()
    for options in ((), ("-r",), ("-f",)):
        done = run("rm", *options, "ais://no-such-bucket/a")
        assert done.exit_code == 1
        assert "no-such-bucket" in done.stderr


def test_many_objects_are_deleted_by_a_few_requests(run, bucket, endpoint):
    """The cluster deletes them by a job."""
    for number in range(120):
        bucket.object(f"m/{number:03d}").put(b"")
    with FaultProxy(endpoint) as proxy:
        done = run("-e", proxy.endpoint, "rm", "-r", "ais://cli-data/m/")
        assert not [one for one in proxy.requests if "/objects/" in one.path]
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 120
    assert names(Client(endpoint).bucket("cli-data")) == []
