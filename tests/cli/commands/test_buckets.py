"""`aisio mb` and `aisio rb`."""

from __future__ import annotations

import json

import pytest

from aisio.client.client import Client


@pytest.fixture
def client(endpoint):
    """Return a client, and remove what the tests have made."""
    client = Client(endpoint)
    yield client
    for bucket in client.buckets():
        bucket.delete()


def buckets(client):
    """Return the names of the buckets."""
    return [bucket.name for bucket in client.buckets()]


def test_buckets_are_created_and_removed(run, client):
    """Each is printed, unless --quiet."""
    assert run("mb", "ais://one", "ais://two").stdout == "created ais://one\ncreated ais://two\n"
    assert buckets(client) == ["one", "two"]
    assert run("rb", "ais://one/").stdout == "removed ais://one\n"
    done = run("rb", "--json", "ais://two")
    assert json.loads(done.stdout) == {"action": "removed", "url": "ais://two"}
    assert run("-q", "mb", "ais://one").stdout == run("rb", "ais://one", "-q").stdout == ""
    assert buckets(client) == []


def test_a_bucket_that_exists_is_an_error(run, client):
    """All others are created."""
    client.bucket("one").create()
    done = run("mb", "ais://one", "ais://two")
    assert (done.exit_code, done.stdout) == (1, "created ais://two\n")
    assert "1 of 2 buckets failed: ais://one" in done.stderr
    assert run("mb", "--exist-ok", "ais://one").exit_code == 0
    done = run("mb", "ais://one")
    assert (
        done.stderr == "aisio: error: ais://one exists already; with --exist-ok that is no error\n"
    )


def test_a_bucket_with_objects_needs_force(run, client):
    """The error says what to type."""
    client.bucket("one").create().object("deep/a").put(b"")
    done = run("rb", "ais://one")
    assert done.exit_code == 1
    assert "not empty, it has deep/a for one" in done.stderr
    assert "aisio rb --force ais://one" in done.stderr
    assert run("rb", "-f", "-n", "ais://one").stdout == "would remove ais://one\n"
    assert buckets(client) == ["one"]
    assert run("rb", "--force", "ais://one").exit_code == 0
    assert buckets(client) == []


def test_what_is_no_bucket(run, client):
    """The error says what may have been meant."""
    assert "was ais://data meant?" in run("mb", "data").stderr
    assert "expected ais://data" in run("rb", "ais://data/x").stderr
    for url in ("file:///tmp", "memory://data", "https://host"):
        assert "was ais:// meant?" in run("rb", url).stderr
    done = run("rb", "--force", "ais://no-such-bucket")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no such bucket" in done.stderr
