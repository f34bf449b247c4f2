"""Sources by name: what a name is, and where it is looked up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aisio.catalog import read_catalog
from aisio.errors import CatalogError, ConfigError, UrlError
from aisio.sources.named import is_catalog_name
from aisio.sources.resolve import source
from aisio.sources.source_set import SourceSet
from tests.sources.files import NAMES, last_names

HERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("name", ["team/x", "catalog://team/x"])
def test_both_spellings(catalog, data, name):
    """catalog:// is for places where a plain text is a path."""
    catalog(f"- {{tag: x, prefix: '{data}/all/'}}\n")
    assert len(list(source(name).list())) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("team/x", True),
        ("team/x:1.0", True),
        ("catalog://team/x", True),
        ("catalog://x", True),
        ("ais://team", False),
        ("file:///x", False),
        ("aws:bucket/x", False),
        ("team/x/", False),
        ("a/b/c", False),
        ("/x", False),
        ("./x", False),
        ("../x", False),
        ("~/x", False),
        ("x", False),
        ("", False),
    ],
)
def test_what_can_be_a_name(text, expected):
    """A name has no scheme and exactly one slash; it is no path, and no URL without its slashes."""
    assert is_catalog_name(text) is expected


def test_an_unknown_name_may_be_a_wrong_url(catalog, data):
    """The error is a UrlError that has similar names, and says what a URL looks like."""
    folder = catalog(f"- {{tag: train, prefix: '{data}/all/'}}\n")
    with pytest.raises(UrlError, match="'team/train'") as caught:
        source("team/trian")
    assert str(folder) in str(caught.value)
    assert "a right URL looks like ais://bucket/name" in str(caught.value)
    assert "pathlib.Path" in str(caught.value)


def test_an_unknown_name_with_its_scheme_is_no_url(catalog, data):
    """With catalog:// the text can only be a name."""
    catalog(f"- {{tag: train, prefix: '{data}/all/'}}\n")
    with pytest.raises(CatalogError, match="did you mean 'team/train'"):
        source("catalog://team/trian")


def test_errors_in_catalog_files_are_reported(tmp_path):
    """The error does not say that the name is missing."""
    (tmp_path / "team.yaml").write_text("- {tag: x, prefix: 3}\n", "utf-8")
    with pytest.raises(CatalogError, match="prefix") as caught:
        source("team/x", catalog=tmp_path)
    assert not isinstance(caught.value, UrlError)


def test_a_resource_is_no_source(catalog):
    """The error says how to load it."""
    catalog(
        "- {tag: model, url: 'ais://b/m.bin', sha256: null, owner: 'A B <a@example.com>'}\n",
    )
    with pytest.raises(ConfigError, match=r"aisio\.load\('team/model'\)"):
        source("team/model")


def test_a_catalog_can_be_passed(catalog, data, tmp_path, monkeypatch):
    """As a folder or as a Catalog; then the default folders are not read."""
    folder = catalog(f"- {{tag: x, prefix: '{data}/all/'}}\n")
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path / "absent"))
    with pytest.raises(UrlError):
        source("team/x")
    read = read_catalog(folder)
    for catalog_like in (folder, str(folder), read):
        assert len(list(source("team/x", catalog=catalog_like).list())) == 4
    assert len(list(source(read.sources["team/x"]).list())) == 4


def test_names_among_the_sources_of_a_dataset(catalog, data, tmp_path):
    """A name may stand alone, in a list, and as a key of a prefix map."""
    catalog(f"- {{tag: x, prefix: '{data}/all/'}}\n- {{tag: t, tar: '{data}/all.tar'}}\n")
    prefix = f"{data}/all/s".removeprefix("file:///")
    sources = SourceSet(["team/t", "team/x"], {"team/x": prefix}, owner="X")
    assert last_names(info for _, info in sources.list()) == [*NAMES, "s-0", "s-1", "s-2"]
    assert len(SourceSet("team/x", owner="X")) == 1
    assert len(SourceSet(read_catalog(tmp_path / "catalog")["team/x"], owner="X")) == 1


def test_catalogs_are_loaded_with_the_first_name():
    """Programs that use no names do not load a YAML parser."""
    code = "import sys, aisio; aisio.source(['file:///a']); assert 'yaml' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
