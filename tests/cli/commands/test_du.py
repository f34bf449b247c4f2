"""`aisio du`."""

from __future__ import annotations

import json

import pytest

from aisio.testing.fault_proxy import FaultProxy

SIZES = {"t/a/1": 10, "t/a/2": 20, "t/b/3": 300, "tr": 4000, "t!": 5, "v/1": 600_000}


@pytest.fixture
def objects(bucket):
    """Put a few objects and return their bucket."""
    for name, size_bytes in SIZES.items():
        bucket.object(name).put(bytes(size_bytes))
    return bucket


def rows(done):
    """Return what was printed, by URL."""
    assert done.exit_code == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["url"].removeprefix("ais://cli-data"): tuple(row.values())[1:] for row in found}


def test_totals(run, objects):
    """Of buckets, folders, prefixes, patterns and objects."""
    assert rows(run("du", "--json")) == {"": (6, 604_335)}
    urls = ("/t", "/t/", "/t/*/*", "/t/a/{1,2}", "/v/1")
    done = run("du", "--json", *(f"ais://cli-data{url}" for url in urls))
    expected = [(5, 4335), (3, 330), (3, 330), (2, 30), (1, 600_000)]
    assert rows(done) == dict(zip(urls, expected, strict=True))


def test_levels(run, objects):
    """Each folder once, before what it is in."""
    done = run("du", "--json", "--max-depth", 1, "ais://cli-data")
    assert list(rows(done).items()) == [
        ("/t/", (3, 330)),
        ("/v/", (1, 600_000)),
        ("", (6, 604_335)),
    ]
    done = run("du", "--json", "-d", 9, "ais://cli-data/t/")
    assert list(rows(done)) == ["/t/a/", "/t/b/", "/t/"]
    assert list(rows(run("du", "--json", "-d", 9, "ais://cli-data/t"))) == [
        *("/t/a/", "/t/b/", "/t/", "/t")
    ]
    assert run("du", "-s", "-d", 1, "ais://cli-data").exit_code == 2


def test_it_is_readable(run, objects):
    """Size, number, URL."""
    assert run("du", "ais://cli-data").stdout.split() == ["604,335", "6", "ais://cli-data"]
    assert run("du", "-h", "ais://cli-data").stdout.split()[0] == "590.2K"
    assert "--max-depth" in run("du", "--help").stdout


def test_no_object_is_read(run, objects, endpoint):
    """No data; the listing has the sizes, except of what braces name."""
    with FaultProxy(endpoint) as proxy:
        assert run("-e", proxy.endpoint, "du", "-d", 3, "ais://cli-data/t/**").exit_code == 0
        assert run("-e", proxy.endpoint, "du", "-d", 3, "ais://cli-data").exit_code == 0
        assert run("-e", proxy.endpoint, "du", "ais://cli-data/t/a/{1..2}").exit_code == 0
        asked = [(one.method, one.status) for one in proxy.requests if "/objects/" in one.path]
    # Whether the first pattern is a name, and the two that braces name.
    assert asked == [("HEAD", 404), ("GET", 404), ("HEAD", 200), ("HEAD", 200)]


def test_local_folders(run, tmp_path):
    """An empty one has nothing; one that is missing is an error."""
    (tmp_path / "a").mkdir()
    assert run("du", tmp_path / "a").stdout.split()[:2] == ["0", "0"]
    (tmp_path / "a" / "b").write_bytes(b"123")
    assert run("du", tmp_path).stdout.split()[:2] == ["3", "1"]
    assert run("du", tmp_path / "*" / "b").stdout.split()[:2] == ["3", "1"]
    assert run("du", tmp_path / "no").exit_code == 1


def test_what_does_not_exist(run, bucket):
    """A prefix may be misspelt; an empty bucket is none."""
    assert run("du", "ais://cli-data").stdout.split()[:2] == ["0", "0"]
    for url in ("ais://cli-data/no", "ais://cli-data/no/", "ais://cli-data/*.no", "ais://no-such"):
        assert run("du", url).exit_code == 1


def test_what_is_missing_is_named_and_the_others_are_counted(run, objects):
    """As `du` does, with the status of a failure."""
    done = run("du", "ais://cli-data/v/", "ais://cli-data/no", "ais://cli-data/t/", "--json")
    assert done.exit_code == 1
    assert [json.loads(line)["objects"] for line in done.stdout.splitlines()] == [1, 3]
    first, last = done.stderr.splitlines()
    assert "ais://cli-data/no: " in first
    assert last == "aisio: error: 1 of 3 URLs failed: ais://cli-data/no"
