"""Names of the catalog on the command line: ls, get, cat, info and bench."""

from __future__ import annotations

import json

import pytest

from aisio.catalog import read_catalog
from tests.tars import pack

FILES = {"train/a.jpg": b"one", "train/sub/b.jpg": b"four", "val/c.jpg": b"three"}


@pytest.fixture
def named(bucket, tmp_path, monkeypatch):
    """Return a function that makes a catalog with one source, of a bucket with three objects."""
    for name, data in FILES.items():
        bucket.object(name).put(data)
    bucket.object("all.tar").put(pack(*FILES.items()))
    folder = tmp_path / "catalog"
    folder.mkdir()
    monkeypatch.setenv("AISIO_CATALOG", str(folder))

    def write(text):
        (folder / "team.yaml").write_text(f"- tag: x\n  description: pictures\n  {text}\n", "utf-8")
        read_catalog(folder, reload=True)

    return write


def read_files(folder):
    """Return name -> bytes of all files below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_ls_lists_a_source(run, named):
    """As URLs; or as JSON, with sizes."""
    named("prefix: ais://cli-data/train/")
    done = run("ls", "catalog://team/x")
    urls = ["ais://cli-data/train/a.jpg", "ais://cli-data/train/sub/b.jpg"]
    assert (done.exit_code, done.stdout.splitlines()) == (0, urls)
    rows = map(json.loads, run("ls", "--json", "catalog://team/x").stdout.splitlines())
    assert [row["size_bytes"] for row in rows] == [3, 4]
    assert run("ls", "-l", "catalog://team/x").exit_code == 0


def test_ls_has_no_levels_for_a_name(run, named):
    """Its objects may be anywhere."""
    named("prefix: ais://cli-data/train/")
    done = run("ls", "--no-recursion", "catalog://team/x")
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("name", ["catalog://team/y", "catalog://nothing"])
def test_an_unknown_name_is_an_error(run, named, name):
    """One line, with the near ones."""
    named("prefix: ais://cli-data/train/")
    done = run("ls", name)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "is not in the catalog" in done.stderr


@pytest.mark.parametrize("command", ["ls", "info", "cat"])
def test_an_empty_source_does_not_name_arguments_of_python(run, named, command):
    """The error says which part is missing; a command has no `allow_empty` to set."""
    named("prefix: ais://cli-data/{train,vall}/")
    done = run(command, "catalog://team/x")
    assert done.exit_code == 1
    assert "prefix 'vall/': there is no such object" in done.stderr
    assert "allow_empty" not in done.stderr


def test_a_plain_text_is_still_a_path(run, named, tmp_path, monkeypatch):
    """Only catalog:// makes it a name."""
    named("prefix: ais://cli-data/train/")
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "x").write_bytes(b"file")
    monkeypatch.chdir(tmp_path)
    assert run("cat", "team/x").stdout_bytes == b"file"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("prefix: ais://cli-data/train/", {"a.jpg": b"one", "sub/b.jpg": b"four"}),
        ("tar: ais://cli-data/all.tar", FILES),
        ("urls: ['ais://cli-data/val/c.jpg']", {"val/c.jpg": b"three"}),
    ],
)
def test_get_writes_a_source_into_a_folder(run, named, tmp_path, entry, expected):
    """Names count from the source's folder; objects of a list of URLs have their whole name."""
    named(entry)
    assert run("get", "-r", "catalog://team/x", tmp_path / "out").exit_code == 0
    assert read_files(tmp_path / "out") == expected


def test_get_of_a_name_needs_recursion(run, named):
    """A source is no object."""
    named("prefix: ais://cli-data/train/")
    done = run("get", "catalog://team/x")
    assert done.exit_code == 2
    assert "--recursive" in done.stderr


def test_get_writes_no_file_twice(run, named, tmp_path):
    """Objects of two buckets may have one name."""
    other = tmp_path / "val"
    other.mkdir()
    (other / "c.jpg").write_bytes(b"other")
    name = f"{other}/c.jpg".removeprefix("/")
    named(f"urls: ['file:///{name}', 'memory://scratch/{name}']")
    done = run("get", "-r", "catalog://team/x", tmp_path / "out")
    assert done.exit_code == 1
    assert f"memory://scratch/{name}" in done.stderr


def test_a_listing_that_is_not_the_pinned_one_is_an_error(run, named):
    """At its end."""
    named("prefix: ais://cli-data/train/\n  digest: 'sha256:" + "0" * 64 + "'")
    done = run("ls", "catalog://team/x")
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 2
    assert "aisio catalog pin --update team/x" in done.stderr


def test_cat_writes_all_objects(run, named):
    """One after the other, in the order of the listing; a range is of an object."""
    named("tar: ais://cli-data/all.tar")
    assert run("cat", "catalog://team/x").stdout_bytes == b"onefourthree"
    assert run("cat", "--start", "1", "catalog://team/x").exit_code == 2


def test_info_counts_and_shows_the_digest(run, named):
    """What it has now beside what it should have."""
    named("tar: ais://cli-data/all.tar")
    facts = json.loads(run("info", "--json", "catalog://team/x").stdout)
    digest = facts.pop("digest")
    assert digest.startswith("sha256:")
    assert facts == {
        "name": "team/x",
        "kind": "tar",
        "owner": None,
        "description": "pictures",
        "objects": 3,
        "size_bytes": 12,
        "expected_digest": None,
    }
    named("urls: ['ais://cli-data/val/c.jpg']")
    assert json.loads(run("info", "--json", "catalog://team/x").stdout)["size_bytes"] is None
    assert "team/x" in run("info", "catalog://team/x").stdout


def test_bench_reads_a_source(run, named):
    """Listing and objects are timed, as for a URL."""
    named("tar: ais://cli-data/all.tar")
    done = run("bench", "--turns", "1", "--json", "catalog://team/x")
    trials = {row["work"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert (trials["list"]["items"], trials["objects"]["items"]) == (3, 3)
    assert trials["objects"]["size_bytes"] == 12
    named("prefix: ais://cli-data/absent/")
    assert "catalog://team/x" in run("bench", "catalog://team/x").stderr
