"""`aisio diff`."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def trees(bucket, tmp_path):
    """Make a folder, and a bucket that differs from it."""
    files = {"same": b"1", "changed": b"2", "deep/size": b"33", "new": b"4"}
    for name, data in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    for name, data in {"same": b"1", "changed": b"X", "deep/size": b"3", "extra": b""}.items():
        bucket.object(name).put(data)
    return str(tmp_path / "tree"), "ais://cli-data"


@pytest.fixture(autouse=True)
def cache(environ, monkeypatch, tmp_path):
    """Keep the checksums of files in a folder of the test."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


def test_what_differs_is_printed(run, trees):
    """The status is that of diff."""
    done = run("diff", *trees)
    assert done.exit_code == 1
    assert sorted(done.stdout.splitlines()) == ["* changed", "* deep/size", "+ new", "- extra"]
    assert done.stderr == "aisio: 1 the same, 2 changed, 1 only in SRC, 1 only in DST\n"
    done = run("diff", "-q", *reversed(trees))
    assert sorted(done.stdout.splitlines()) == ["* changed", "* deep/size", "+ extra", "- new"]
    assert done.stderr == ""


def test_equal_trees(run, trees):
    """Also between buckets, and of a tree with itself."""
    for url in trees:
        done = run("diff", "-r", url, url)
        assert (done.exit_code, done.stdout) == (0, "")
    assert "= same" in run("diff", "--all", *trees).stdout.splitlines()
    assert run("diff", "--include", "same", *trees).exit_code == 0
    assert run("diff", "--exclude", "*", *trees).exit_code == 2  # nothing to compare


def test_sizes_alone(run, trees):
    """Equal sizes are taken for equal bytes."""
    assert "* changed" not in run("diff", "--size-only", *trees).stdout


def test_json(run, trees):
    """One object a name."""
    done = run("diff", "--json", *trees)
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["new"] == {
        "name": "new",
        "kind": "new",
        "source": {"url": f"file://{trees[0]}/new", "size_bytes": 1},
        "destination": None,
    }
    assert rows["extra"]["source"] is None
    assert {name: row["kind"] for name, row in rows.items()} == {
        **{"changed": "changed", "deep/size": "changed"},
        **{"new": "new", "extra": "extra"},
    }


def test_single_objects(run, trees):
    """Of different names, or below a bucket."""
    folder, url = trees
    assert run("diff", f"{folder}/same", f"{url}/same").exit_code == 0
    assert run("diff", f"{folder}/same", url).exit_code == 0
    assert run("diff", f"{folder}/same", f"{url}/changed").stdout == "* same\n"
    done = run("diff", f"{folder}/same", f"{url}/no")
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize(
    "urls",
    [
        ("ais://cli-data/no", "ais://cli-data"),
        ("ais://cli-data", "ais://cli-data/no"),
        ("ais://cli-data", "ais://no-such-bucket"),
        ("ais://cli-data", "no-such-folder"),
    ],
)
def test_a_misspelt_url_is_a_failure(run, trees, urls):
    """It does not pass for an empty tree."""
    done = run("diff", *urls)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("aisio: error: ")
