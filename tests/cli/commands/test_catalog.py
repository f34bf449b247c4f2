"""`aisio catalog`."""

from __future__ import annotations

import hashlib
import json
import os
import stat

import pytest
import yaml

import aisio
from aisio.catalog import default_catalog
from aisio.catalog.schema import catalog_schema

H = "0123456789abcdef" * 4
TEXT = f"""\
# What the team reads.

- tag: notes        # one file
  url: ais://cli-data/notes.txt
  sha256: null      # not pinned yet
  owner: Team <team@host.org>

- tag: images
  prefix: ais://cli-data/images/

- tag: known
  mirrors: [ais://cli-data/notes.txt, s3://b/notes.txt]
  sha256: {H}
  owner: Team <team@host.org>
  ngc: org/notes:1
  ngc_registry: resource
  pbss: s3://pbss/notes.txt

- {{tag: few, urls: [ais://cli-data/1, ais://cli-data/2, ais://cli-data/3]}}
"""


@pytest.fixture
def folder(files):
    """Return a folder with a catalog file."""
    return files({"team.yaml": TEXT.encode()}, "catalog")


@pytest.fixture
def filled(bucket):
    """Return the bucket with what the catalog names."""
    bucket.object("notes.txt").put(b"notes")
    for name in ("images/a", "images/b"):
        bucket.object(name).put(name.encode())
    return bucket


def lines(done):
    """Return what a command printed that went well."""
    assert done.exit_code == 0, done.stderr
    return done.stdout.splitlines()


def test_a_right_catalog_is_counted(run, folder):
    """Nothing on stderr, status 0."""
    done = run("catalog", "check", folder)
    assert lines(done) == ["2 resources, 2 sources: all right"]
    assert done.stderr == ""


def test_all_problems_are_reported_on_stderr(run, files):
    """A line each, with status 1 and nothing on stdout."""
    folder = files({"a.yaml": b"- tag: x\n  prefix: y\n- 7\n", "b.yml": b""}, "catalog")
    done = run("catalog", "check", folder)
    assert (done.exit_code, done.stdout) == (1, "")
    assert [line.split(": ")[0].rpartition("/")[2] for line in done.stderr.splitlines()] == [
        "a.yaml:2",
        "a.yaml:3",
        "b.yml:1",
    ]


def test_keys_that_are_ignored_are_warned_of(run, files):
    """They may be misspelt; that alone is no failure."""
    text = b"- {tag: x, url: ais://b/n, sha256: null, owner: a@b.org, unpck: false}\n"
    done = run("catalog", "check", files({"a.yaml": text}, "catalog"))
    assert lines(done) == ["1 resource, 0 sources: all right"]
    assert done.stderr.startswith("warning: ")
    assert "a.yaml:1: a/x: unpck: is no key that aisio knows: it is ignored" in done.stderr


def test_several_folders_are_checked_as_one_catalog(run, files, folder):
    """What is in one may extend what is in the other, and tags differ over all."""
    other = files({"more.yaml": b"- {tag: x, extends: team/images}\n"}, "more")
    assert lines(run("catalog", "check", folder, other)) == ["2 resources, 3 sources: all right"]
    done = run("catalog", "check", other)
    assert done.exit_code == 1
    assert "extends: 'team/images' is in no catalog file that is read" in done.stderr


def test_without_a_folder_the_default_catalog_is_used(run, folder, monkeypatch):
    """Here the one that AISIO_CATALOG names."""
    monkeypatch.setenv("AISIO_CATALOG", str(folder))
    assert lines(run("catalog", "check")) == ["2 resources, 2 sources: all right"]
    assert len(lines(run("catalog", "list"))) == 4


def test_a_folder_of_the_environment_that_is_missing_is_warned_of(run, folder, monkeypatch):
    """It counts as empty, and may be misspelt."""
    monkeypatch.setenv("AISIO_CATALOG", os.pathsep.join([str(folder), f"{folder}-none"]))
    done = run("catalog", "check")
    assert lines(done) == ["2 resources, 2 sources: all right"]
    assert done.stderr == f"warning: {folder}-none: there is no such folder\n"


def test_a_folder_that_is_missing_is_an_error(run, tmp_path):
    """It would be an empty catalog to a program, and a misspelt path in CI."""
    for words in (["check", tmp_path / "none"], ["list", "-c", tmp_path / "none"]):
        done = run("catalog", *words)
        assert done.exit_code == 1
        assert "none: No such file or directory" in done.stderr


def test_entries_are_listed_by_tag(run, folder):
    """Tag, kind and where from, with tabs between them."""
    assert lines(run("catalog", "list", "--catalog", folder)) == [
        "team/few\turls\tais://cli-data/1 and 2 more",
        "team/images\tprefix\tais://cli-data/images/",
        "team/known\tresource\tais://cli-data/notes.txt s3://b/notes.txt ngc:org/notes:1 "
        "s3://pbss/notes.txt",
        "team/notes\tresource\tais://cli-data/notes.txt",
    ]


def test_an_entry_is_shown_as_yaml(run, files):
    """With its place, its full tag and what it takes over."""
    text = (
        b"- {tag: a, tar: ais://b/a.tar, owner: a@b.org}\n- {tag: b, extends: a, owner: c@b.org}\n"
    )
    folder = files({"team.yaml": text}, "catalog")
    shown = run("catalog", "show", "team/b", "-c", folder).stdout
    assert shown.splitlines()[0] == f"# {folder}/team.yaml:2"
    expected = {"tag": "team/b", "tar": "ais://b/a.tar", "owner": "c@b.org"}
    assert yaml.safe_load(shown) == [expected]


def test_a_resource_is_shown_with_its_missing_digest(run, folder):
    """That sha256 is null is worth seeing; other fields that say nothing are not."""
    shown = yaml.safe_load(run("catalog", "show", "team/notes", "-c", folder).stdout)
    assert list(shown[0]) == ["tag", "sha256", "owner", "url"]


def test_an_unknown_entry_is_an_error(run, folder):
    """With near ones."""
    done = run("catalog", "show", "team/note", "-c", folder)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "'team/note' is not in the catalog (" in done.stderr
    assert "did you mean 'team/notes'" in done.stderr


def test_a_wrong_catalog_is_an_error_of_every_command(run, files):
    """With all that is wrong."""
    folder = files({"a.yaml": b"- 7\n- 8\n"}, "catalog")
    for words in (["list", "-c", folder], ["show", "x", "-c", folder], ["pin", "-c", folder]):
        done = run("catalog", *words)
        assert (done.exit_code, done.stdout) == (1, "")
        title, *problems = done.stderr.splitlines()
        assert title == "aisio: error: 2 problems in catalog files:"
        assert [line[:2] for line in problems] == ["  ", "  "]
        assert "entry 1 is" in problems[0]
        assert "entry 2 is" in problems[1]


def test_the_schema_is_printed(run):
    """As JSON."""
    assert json.loads(run("catalog", "schema").stdout) == catalog_schema()


def test_without_a_command_there_is_a_hint(run):
    """As everywhere."""
    done = run("catalog")
    assert done.exit_code == 2
    assert "Missing command; try " in done.stderr


def test_pin_writes_what_it_sees(run, folder, filled, monkeypatch):
    """Digests where there are none, and nothing else; then there is nothing left to write."""
    done = run("catalog", "pin", "-c", folder)
    rows = [line.split("\t") for line in lines(done)]
    assert [row[:2] for row in rows] == [
        ["team/notes", "sha256"],
        ["team/images", "digest"],
        ["team/few", "digest"],
    ]
    found = {row[0]: row[2] for row in rows}
    assert found["team/notes"] == hashlib.sha256(b"notes").hexdigest()
    assert (folder / "team.yaml").read_text() == TEXT.replace(
        "sha256: null ", f"sha256: {found['team/notes']} "
    ).replace("tag: images\n", f"tag: images\n  digest: {found['team/images']}\n").replace(
        "{tag: few,", f"{{tag: few, digest: {found['team/few']},"
    )
    monkeypatch.setenv("AISIO_CATALOG", str(folder))
    assert lines(run("catalog", "check")) == ["2 resources, 2 sources: all right"]
    assert lines(run("catalog", "pin", "team/notes")) == []
    default_catalog(reload=True)
    with_digest = aisio.source("team/images")
    assert [info.name for info in with_digest.list()] == ["images/a", "images/b"]


def test_pin_takes_tags_and_update(run, folder, filled, monkeypatch):
    """One entry alone; a digest is replaced only with --update, and only if it differs."""
    monkeypatch.setenv("AISIO_CATALOG", str(folder))
    (first,) = lines(run("catalog", "pin", "team/images"))
    filled.object("images/c").put(b"new")
    assert lines(run("catalog", "pin", "team/images")) == []
    (second,) = lines(run("catalog", "pin", "--update", "team/images"))
    assert first != second
    assert second.split("\t")[2] in (folder / "team.yaml").read_text()
    assert lines(run("catalog", "pin", "--update", "team/images")) == []
    assert "sha256: null " in (folder / "team.yaml").read_text()


def test_pin_replaces_a_resources_digest_in_its_own_algorithm(run, files, filled):
    """Though what is there is not what the old one says."""
    text = f"- {{tag: x, url: ais://cli-data/notes.txt, sha256: md5:{'0' * 32}, owner: a@b.org}}\n"
    folder = files({"a.yaml": text.encode()}, "catalog")
    assert lines(run("catalog", "pin", "-c", folder)) == []
    digest = f"md5:{hashlib.md5(b'notes').hexdigest()}"
    assert lines(run("catalog", "pin", "--update", "-c", folder)) == [f"a/x\tsha256\t{digest}"]
    assert (folder / "a.yaml").read_text() == text.replace(f"md5:{'0' * 32}", digest)


def test_an_archive_is_pinned_as_it_is_downloaded(run, files, filled):
    """Not by what is in it."""
    import gzip

    data = gzip.compress(b"notes")
    filled.object("notes.gz").put(data)
    text = b"- {tag: x, url: ais://cli-data/notes.gz, sha256: null, owner: a@b.org}\n"
    folder = files({"a.yaml": text}, "catalog")
    assert lines(run("catalog", "pin", "-c", folder)) == [
        f"a/x\tsha256\t{hashlib.sha256(data).hexdigest()}"
    ]


def test_pin_goes_on_where_one_entry_fails(run, folder, filled):
    """What could be had is written; the status says that not all was."""
    filled.object("notes.txt").delete()
    done = run("catalog", "pin", "-c", folder)
    assert done.exit_code == 1
    assert "notes.txt" in done.stderr
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["team/images", "team/few"]
    assert "sha256: null " in (folder / "team.yaml").read_text()


def test_pin_leaves_a_file_alone_that_it_cannot_edit(run, files, filled):
    """And says what to write by hand."""
    text = b"- {tag: x, url: ais://cli-data/notes.txt, sha256: &n null, owner: a@b.org, ngc: *n}\n"
    folder = files({"a.yaml": text}, "catalog")
    done = run("catalog", "pin", "-c", folder)
    assert done.exit_code == 1
    assert f"set it by hand to {hashlib.sha256(b'notes').hexdigest()}" in done.stderr
    assert (folder / "a.yaml").read_bytes() == text
    assert [path.name for path in folder.iterdir()] == ["a.yaml"]


def test_pin_keeps_the_files_permissions(run, folder, filled):
    """A catalog that a group may read stays one."""
    (folder / "team.yaml").chmod(0o640)
    assert len(lines(run("catalog", "pin", "-c", folder))) == 3
    assert stat.S_IMODE((folder / "team.yaml").stat().st_mode) == 0o640


def test_entries_that_are_pinned_at_once_are_all_written(start, files, filled):
    """Each process waits for the file that another one edits, and edits that."""
    tags = [f"t{number}" for number in range(20)]
    text = "".join(f"- tag: {tag}\n  urls: [ais://cli-data/{tag}]\n" for tag in tags)
    folder = files({"a.yaml": text.encode()}, "catalog")
    split_target = ([f"a/{tag}" for tag in tags[part::2]] for part in range(2))
    pins = [start("catalog", "pin", "-c", folder, *half) for half in split_target]
    assert [one.wait() for one in pins] == [0, 0]
    assert (folder / "a.yaml").read_text().count("digest: sha256:") == len(tags)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_reported_before_anything_is_read(run, folder):
    """There is no such bucket, and nobody asks for it."""
    folder.chmod(0o555)
    done = run("catalog", "pin", "-c", folder, "team/notes")
    folder.chmod(0o755)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "team/notes: " in done.stderr
    assert "Permission denied" in done.stderr


def test_pin_follows_a_link(run, folder, filled, tmp_path):
    """The file it leads to is edited, and the link stays one."""
    (folder / "team.yaml").rename(tmp_path / "real.yaml")
    (folder / "team.yaml").symlink_to(tmp_path / "real.yaml")
    done = run("catalog", "pin", "-c", folder)
    assert done.exit_code == 0
    assert (folder / "team.yaml").is_symlink()
    assert "sha256: null" not in (tmp_path / "real.yaml").read_text()


def test_a_folder_with_the_name_of_a_tag_is_not_used(run, folder, filled, monkeypatch):
    """What TAG says does not depend on the folder that one stands in."""
    monkeypatch.chdir(folder.parent)
    (folder.parent / "team" / "images").mkdir(parents=True)
    (line,) = lines(run("catalog", "pin", "-c", folder, "team/images"))
    assert line.startswith("team/images\tdigest\t")


def test_update_wants_to_know_what(run):
    """All of BioNeMo's catalog would be downloaded."""
    done = run("catalog", "pin", "--update")
    assert done.exit_code == 2
    assert "say which tags" in done.stderr


def test_pin_of_an_unknown_tag_is_an_error(run, folder, filled, monkeypatch):
    """Before anything is written."""
    monkeypatch.setenv("AISIO_CATALOG", str(folder))
    done = run("catalog", "pin", "team/images", "team/none")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "'team/none' is not in the catalog" in done.stderr
