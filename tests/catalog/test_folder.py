"""Catalog: folders of files, read once, by default from where people and BioNeMo have them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import aisio.catalog
from aisio.catalog import Catalog, default_catalog, read_catalog
from aisio.catalog.fields import RESOURCE_FIELDS, SOURCE_FIELDS
from aisio.catalog.folder import check_catalog
from aisio.errors import CatalogError
from tests.call_counts import count_calls

ENTRY = "- {tag: x, url: ais://b/n, sha256: null, owner: a@host.org}\n"


def test_ngc_01_every_yaml_file_directly_in_a_folder_is_read(write, tmp_path):
    """`*.yaml` and then `*.yml`, in the order of their names; the stem comes before the tag."""
    (tmp_path / "deep").mkdir()
    for name in (
        "b.yml",
        "c.yaml",
        "a.b.yaml",
        "a.yml",
        "d.txt",
        "e.yaml~",
        "f.YAML",
        "deep/g.yml",
    ):
        write(ENTRY, name)
    assert list(read_catalog(tmp_path)) == ["a.b/x", "c/x", "a/x", "b/x"]


def test_several_folders_are_one_catalog(tmp_path):
    """In their order; a folder that is passed twice is read once."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yaml").write_text(ENTRY)
    folders = (tmp_path / "two", tmp_path / "one", tmp_path / "one" / ".." / "two")
    assert list(read_catalog(*folders)) == ["two/x", "one/x"]


def test_ngc_05_a_missing_or_empty_folder_is_an_empty_catalog(tmp_path):
    """So is a file with an empty list."""
    assert dict(read_catalog(tmp_path / "none")) == {}
    assert dict(read_catalog(tmp_path)) == {}
    (tmp_path / "a.yaml").write_text("[]\n")
    assert dict(read_catalog(tmp_path, reload=True)) == {}


def test_ngc_05_an_empty_file_is_told(problems):
    """The problem says what to write instead."""
    assert problems("") == [
        "team.yaml:1: the file has no entry: expected a list of mappings, or [] for none"
    ]


def test_ngc_05_duplicates_head_the_message(write):
    """In BioNeMo's words; the lines below say where."""
    folder = write(ENTRY * 3 + ENTRY.replace("x", "bar") * 2, "foo.yaml")
    with pytest.raises(ValueError, match="Duplicate") as caught:
        read_catalog(folder)
    first, *lines = str(caught.value).splitlines()
    assert first == "Duplicate resource tags found!: ['foo/x', 'foo/bar']"
    assert [line.split(": ")[0].rpartition(":")[2] for line in lines] == ["2", "3", "5"]


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path):
    """The path of a file is passed as a folder."""
    (tmp_path / "a.yaml").write_text(ENTRY)
    with pytest.raises(CatalogError, match=r"a\.yaml: cannot be read: Not a directory; expected a"):
        read_catalog(tmp_path / "a.yaml")


def test_ngc_06_a_catalog_is_read_once_and_again_when_told(write):
    """For any path of its folder."""
    folder = write(ENTRY)
    first = read_catalog(folder)
    write(ENTRY.replace("tag: x", "tag: y"))
    assert read_catalog(folder / ".." / folder.name) is first
    again = read_catalog(folder, reload=True)
    assert list(again) == ["team/y"]
    assert read_catalog(folder) is again


def test_ngc_06_what_was_wrong_is_read_anew(write):
    """An error is not kept."""
    folder = write("tag: x\n")
    with pytest.raises(CatalogError):
        read_catalog(folder)
    write(ENTRY)
    assert list(read_catalog(folder)) == ["team/x"]


def test_a_catalog_is_a_mapping(write):
    """From full tags to entries, each with its file and line."""
    folder = write(f"# note\n{ENTRY}\n- tag: s\n  prefix: ais://b/\n")
    catalog = read_catalog(folder)
    assert isinstance(catalog, Mapping)
    assert list(catalog.resources) == ["team/x"]
    assert list(catalog.sources) == ["team/s"]
    assert catalog.where("team/s") == (folder / "team.yaml", 4)
    assert catalog.folders == (folder,)
    with pytest.raises(KeyError):
        catalog["team/none"]
    assert dict(pickle.loads(pickle.dumps(catalog))) == dict(catalog)


def test_the_error_for_an_unknown_tag_has_similar_ones(write, tmp_path):
    """It also has the folders that were read."""
    catalog = read_catalog(write(ENTRY.replace("tag: x", "tag: imagenet")), tmp_path / "none")
    assert catalog.find("team/imagenet") is catalog["team/imagenet"]
    with pytest.raises(CatalogError, match="did you mean 'team/imagenet'") as caught:
        catalog.find("team/imgenet")
    assert (
        f"is not in the catalog (read from {tmp_path}, {tmp_path}/none (missing)); did you"
        in str(caught.value)
    )
    with pytest.raises(CatalogError, match=r"'zzz' is not in the catalog \(read from .*\)$"):
        catalog.find("zzz")


def test_the_default_folders_are_those_of_the_environment(write, tmp_path, monkeypatch):
    """The folders are separated as in PATH; the variable is not read at import."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "other.yaml").write_text(ENTRY)
    monkeypatch.setenv("AISIO_CATALOG", f"{write(ENTRY)}{os.pathsep}{tmp_path / 'other'}")
    assert list(default_catalog()) == ["team/x", "other/x"]
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path / "other"))
    assert list(default_catalog()) == ["other/x"]
    assert default_catalog() is default_catalog()
    assert default_catalog(reload=True) is not read_catalog(tmp_path)


def test_the_users_own_folder_comes_first_by_default(tmp_path, monkeypatch):
    """Below the configuration folder of the platform."""
    folder = tmp_path / "aisio" / "catalog"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(ENTRY)
    monkeypatch.setenv("AISIO_CATALOG", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert next(iter(default_catalog())) == "mine/x"


def test_without_a_home_folder_there_is_no_folder_of_the_user():
    """As in a container whose user has no name."""
    code = (
        "import os, yaml; from aisio.catalog.folder import default_folders; default_folders()\n"
        "os.environ.pop('HOME', None); os.environ.pop('XDG_CONFIG_HOME', None)\n"
        "os.getuid() or os.setuid(54321)\n"
        "print(default_folders())"
    )
    environ = {**os.environ, "AISIO_CATALOG": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    )
    assert "~" not in done.stdout


def test_a_loop_of_links_is_an_error(tmp_path):
    """Like any folder that cannot be read."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(CatalogError, match="loop: cannot be read: Too many levels"):
        read_catalog(tmp_path / "loop")


def test_importing_the_package_is_light():
    """The YAML parser is loaded with the first catalog."""
    code = (
        "import sys, aisio.catalog; dir(aisio.catalog); "
        "print(*{'yaml', 'msgspec', 'platformdirs', 'bionemo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    for name in aisio.catalog.__all__:
        assert getattr(aisio.catalog, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        aisio.catalog.nothing  # noqa: B018


def test_reading_costs_the_same_for_each_entry(write):
    """Ten times the entries take ten times the calls, not a hundred times."""
    calls = []
    for count in (100, 1000):
        folder = write("".join(ENTRY.replace("tag: x", f"tag: x{n}") for n in range(count)))
        calls.append(count_calls(partial(read_catalog, folder)).total())
    assert calls[1] < 11 * calls[0]


def test_unknown_keys_of_resources_are_noted(write):
    """`read_catalog` ignores them, as BioNeMo does; a check may warn."""
    text = ENTRY.replace("tag: x", "tag: x, unpck: false, prefix: y")
    found = check_catalog(write(text))
    assert found.problems == []
    assert [str(one).rpartition("team/x: ")[2] for one in found.unknown] == [
        "unpck: is no key that aisio knows: it is ignored",
        "prefix: is a key of sources: it is ignored",
    ]


def catalog_or_error(folder: Path) -> Catalog | CatalogError:
    """Read a folder."""
    try:
        return read_catalog(folder)
    except CatalogError as error:
        return error


_NAMES = st.sampled_from([*RESOURCE_FIELDS, *SOURCE_FIELDS, "tag", "tag", "<<", "other"])
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=4)
    | st.text(max_size=8)
    | st.sampled_from(
        f"a b team/a ais://b/x s3://b/x ais://b/x-{{0..9}} a@host.org o/n:1 {'0' * 64} "
        f"sha256:{'0' * 64} http://host model s3:// :// {{ @ %".split()
    )
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_SCALARS, inner, max_size=3),
)
_ENTRIES = st.dictionaries(_NAMES | _SCALARS, _VALUES, max_size=8) | _VALUES


@given(tree=st.lists(_ENTRIES, max_size=4) | _ENTRIES, flow=st.booleans())
def test_any_tree_gives_a_catalog_or_a_catalog_error(tree, flow, tmp_path_factory):
    """No YAML raises another error."""
    folder = tmp_path_factory.mktemp("catalog")
    text = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True)
    (folder / "team.yaml").write_text(text, "utf-8")
    answer = catalog_or_error(folder)
    if isinstance(answer, CatalogError):
        assert answer.problems
        assert all(str(folder) in problem for problem in answer.problems)
        assert "\n" not in "".join(answer.problems)
    else:
        assert len(answer) == len(tree)
        assert all(entry.filename for entry in answer.resources.values())
