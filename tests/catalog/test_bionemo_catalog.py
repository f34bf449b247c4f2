"""BioNeMo's own catalog files, and its own reader as the reference for what is right."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import bionemo.core.data.resource as upstream
import pydantic
import pytest
import yaml

from aisio.catalog import Resource, read_catalog
from aisio.errors import CatalogError

RIGHT = {
    "tag": "x",
    "ngc": "org/team/name:1.0",
    "ngc_registry": "model",
    "pbss": "s3://bucket/folder/name.tar.gz",
    "sha256": "0" * 64,
    "owner": "Some One <some.one@host.org>",
    "description": "What it is.",
    "unpack": False,
    "decompress": None,
}
GONE = object()
PACKAGED = Path(upstream.__file__).parent / "resources"


def entry(**changes: object) -> dict[str, object]:
    """Return a valid entry with some fields changed, or removed by GONE."""
    return {name: said for name, said in {**RIGHT, **changes}.items() if said is not GONE}


def written(folder: Path, *entries: object) -> Path:
    """Write a catalog file and return its folder."""
    (folder / "team.yaml").write_text(yaml.safe_dump(list(entries)))
    return folder


def upstream_reads(folder: Path) -> dict[str, upstream.Resource] | None:
    """Return the entries that BioNeMo reads; None if it refuses."""
    try:
        return upstream.get_all_resources(folder)
    except (ValueError, TypeError, KeyError, ArgumentTypeError, yaml.YAMLError):
        return None


def ours(folder: Path) -> dict[str, Resource] | None:
    """Return the entries that aisio reads; None if it refuses."""
    try:
        return read_catalog(folder).resources
    except CatalogError:
        return None


def same(one: Resource, other: upstream.Resource) -> bool:
    """Compare all fields that BioNeMo has."""
    names = [name for name in RIGHT if name not in ("pbss", "owner")]
    return (
        all(getattr(one, name) == getattr(other, name) for name in names)
        and one.pbss == str(other.pbss)
        and pydantic.NameEmail._validate(one.owner) == other.owner
    )


def test_ngc_07_the_packaged_catalog_is_read_unchanged():
    """Every field of every entry is as BioNeMo reads it."""
    expected = upstream.get_all_resources()
    found = read_catalog(PACKAGED).resources
    assert len(expected) == 31
    assert found.keys() == expected.keys()
    assert all(same(found[tag], expected[tag]) for tag in expected)


def test_ngc_07_the_default_catalog_has_it(monkeypatch, tmp_path):
    """If bionemo-core is installed, its entries are in the default catalog."""
    from aisio.catalog import default_catalog

    monkeypatch.setenv("AISIO_CATALOG", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_catalog(reload=True).resources.keys() == upstream.get_all_resources().keys()


SAME: dict[str, Any] = {
    "as it is": entry(),
    "least": {"tag": "x", "pbss": "s3://b/n", "sha256": None, "owner": "a@host.org"},
    "number as tag": entry(tag=7),
    "real number as tag": entry(tag=1.5),
    "date as tag": entry(tag="2024-01-01"),
    "no tag": entry(tag=GONE),
    "empty tag": entry(tag=""),
    "colon in tag": entry(tag="650m:2.0"),
    "slash in tag": entry(tag="a/b"),
    "registry, no target": entry(ngc=None),
    "no registry, no target": entry(ngc=GONE, ngc_registry=GONE),
    "target, no registry": entry(ngc_registry=GONE),
    "target, null registry": entry(ngc_registry=None),
    "other registry": entry(ngc_registry="container"),
    "number as registry": entry(ngc_registry=1),
    "number as target": entry(ngc=1.0),
    "bare target": entry(ngc="name"),
    "org and name": entry(ngc="org/name"),
    "empty version": entry(ngc="org/team/name:"),
    "empty team": entry(ngc="org//name:1"),
    "glob version": entry(ngc="org/name:[1-5]"),
    "two colons": entry(ngc="org/team/name:1:2"),
    "four parts": entry(ngc="a/b/c/d"),
    "leading slash": entry(ngc="/name"),
    "no name but a version": entry(ngc=":1"),
    "empty target": entry(ngc=""),
    "no pbss": entry(pbss=GONE),
    "null pbss": entry(pbss=None),
    "https pbss": entry(pbss="https://host/name"),
    "no URL": entry(pbss="name"),
    "number as pbss": entry(pbss=1),
    "no digest": entry(sha256=GONE),
    "null digest": entry(sha256=None),
    "md5": entry(sha256="md5:" + "0" * 32),
    "upper case": entry(sha256="AB" * 32),
    "digits unquoted": entry(sha256=int("1" * 64)),
    "list as digest": entry(sha256=["0" * 64]),
    "no owner": entry(owner=GONE),
    "null owner": entry(owner=None),
    "list as owner": entry(owner=["a@host.org"]),
    "true unpack": entry(unpack=True),
    "true decompress": entry(decompress=True),
    "text unpack": entry(unpack="false"),
    "zero unpack": entry(unpack=0),
    "null unpack": entry(unpack=None),
    "number as description": entry(description=1),
    "list as description": entry(description=["a"]),
    "null description": entry(description=None),
    "unknown key": entry(colour="red"),
    "key of sources": entry(prefix="ais://b/p"),
    "number as key": {**entry(), 7: "seven"},
    "no mapping": "text",
    "list in list": [entry()],
    **{
        f"owner {owner}": entry(owner=owner)
        for owner in (
            "nobody",
            "",
            " ",
            "@host.org",
            "a@",
            "a@host",
            "a@host.org",
            "a.b+c@sub.host.org",
            "a..b@host.org",
            ".a@host.org",
            "a.@host.org",
            "a@-host.org",
            "a@host-.org",
            "a@host..org",
            "a@host.org.",
            "a b@host.org",
            "a@host.org b",
            "A <a@host.org>",
            "A B-C <a@host.org>",
            "A<a@host.org>",
            "A  B   <a@host.org>  ",
            " A <a@host.org>",
            "<a@host.org>",
            '"A. B." <a@host.org>',
            "A. B. <a@host.org>",
            "A, B <a@host.org>",
            "A (B) <a@host.org>",
            "O'Neil <a@host.org>",
            "Zoë Ünal <a@host.org>",
            "A <a@host.org",
            "A a@host.org>",
            "A <a@host>",
            "A <>",
            "A <a@host.org> <b@host.org>",
            "a@host.org, b@host.org",
            "a@b@host.org",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@host.o",
            "a@host.123",
            "a@host_x.org",
            "ä@host.org",
            "a@höst.org",
            f"{'a' * 64}@host.org",
            f"{'a' * 250}@host.org",
            f"a@{'h' * 63}.org",
            f"a@{'h' * 64}.org",
            "a@host.org\n",
            "A\n<a@host.org>",
            "A\tB <a@host.org>",
            "A: B <a@host.org>",
            'A "B" <a@host.org>',
            '"a"@host.org',
            "a@host.ORG",
            "a@1host.org",
            "a@host.o-g",
            "a@host.o1",
            " a@host.org ",
        )
    },
}


@pytest.mark.parametrize("said", SAME.values(), ids=SAME)
def test_ngc_07_what_bionemo_refuses_is_refused_and_nothing_else(tmp_path, said):
    """Entry by entry: both read the same, or neither reads it."""
    folder = written(tmp_path, said)
    expected, found = upstream_reads(folder), ours(folder)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found.keys() == expected.keys()
        assert all(same(found[tag], expected[tag]) for tag in found)


DIFFERENT = {
    "half a digest": (entry(sha256="0" * 63), "sha256: '000"),
    "no hexadecimal digit": (entry(sha256="g" * 64), "sha256: 'ggg"),
    "unknown algorithm": (entry(sha256="crc:00"), "sha256: no algorithm 'crc'"),
    "bucket alone": (entry(pbss="s3://bucket/"), "pbss: 's3://bucket' names no object"),
    "folder": (entry(pbss="s3://bucket/folder/"), "pbss: "),
    "empty folder": (entry(pbss="s3://bucket//name"), "pbss: 's3://bucket//name': a name cannot"),
    "slash in version": (entry(ngc="org/name:1/2"), "ngc: 'org/name:1/2'"),
    "target without a name": (entry(ngc="org/"), "ngc: 'org/'"),
    "null tag": (entry(tag=None), "tag: is null"),
    "switch as tag": (entry(tag=True), "tag: is true"),
    "list as tag": (entry(tag=["a"]), "tag: is a list"),
    "dots as version": (entry(ngc="org/name:.."), "ngc: 'org/name:..'"),
}


@pytest.mark.parametrize(("said", "problem"), DIFFERENT.values(), ids=DIFFERENT)
def test_ngc_07_what_bionemo_could_never_load_is_refused(tmp_path, said, problem):
    """BioNeMo reads them, and fails, or uses the wrong file, when the resource is loaded."""
    folder = written(tmp_path, said)
    assert upstream_reads(folder) is not None
    with pytest.raises(CatalogError) as caught:
        read_catalog(folder)
    assert problem in caught.value.problems[0]


def test_ngc_04_a_malformed_target_is_a_problem_like_any_other(tmp_path):
    """BioNeMo raises argparse's error, which is no ValueError."""
    folder = written(tmp_path, entry(ngc="org/name:1:2"))
    with pytest.raises(ArgumentTypeError) as theirs:
        upstream.get_all_resources(folder)
    with pytest.raises(CatalogError) as caught:
        read_catalog(folder)
    assert "[org/[team/]]name[:version]" in str(theirs.value)
    assert "[org/[team/]]name[:version]" in caught.value.problems[0]


def test_ngc_05_duplicates_are_told_in_the_same_words(tmp_path):
    """The message begins as BioNeMo's."""
    (tmp_path / "foo.yaml").write_text(yaml.safe_dump([entry(tag="bar"), entry(tag="bar")]))
    with pytest.raises(ValueError, match="Duplicate") as theirs:
        upstream.get_all_resources(tmp_path)
    with pytest.raises(CatalogError) as caught:
        read_catalog(tmp_path)
    assert str(caught.value).splitlines()[0] == str(theirs.value)


def test_ngc_05_an_empty_file_is_told_clearly(tmp_path):
    """BioNeMo raises a bare TypeError for it."""
    (tmp_path / "foo.yaml").write_text("# nothing yet\n")
    with pytest.raises(TypeError):
        upstream.get_all_resources(tmp_path)
    with pytest.raises(CatalogError, match="foo.yaml:1: the file has no entry: expected a list"):
        read_catalog(tmp_path)


def test_ngc_01_both_read_the_same_files(tmp_path):
    """Files with both endings, in the folder itself; other files are no catalog files."""
    for name in ("a.yaml", "b.yml", "c.txt", "d.yaml.bak", "deep/e.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump([entry()]))
    expected, found = upstream_reads(tmp_path), ours(tmp_path)
    assert expected is not None
    assert found is not None
    assert list(found) == list(expected) == ["a/x", "b/x"]


def test_aliases_and_merged_mappings_are_read_as_bionemo_reads_them(tmp_path):
    """An owner that many share may be written once."""
    (tmp_path / "team.yaml").write_text(
        "- &base\n  tag: a\n  pbss: s3://b/a\n  sha256: null\n  owner: &me Me <me@host.org>\n"
        "- {tag: b, pbss: s3://b/b, sha256: null, owner: *me}\n"
        "- {<<: *base, tag: c}\n- {tag: d, <<: [{pbss: s3://b/d}, *base]}\n"
        "- &more {<<: *base, tag: e, pbss: s3://b/e}\n- {<<: *more, tag: f}\n"
    )
    expected, found = upstream_reads(tmp_path), ours(tmp_path)
    assert expected is not None
    assert found is not None
    assert found.keys() == expected.keys() == {f"team/{tag}" for tag in "abcdef"}
    # Of several mappings YAML has the first win, and PyYAML did so before 6.0.4.
    assert found["team/d"].pbss == "s3://b/d"
    assert all(same(found[tag], expected[tag]) for tag in expected.keys() - {"team/d"})
