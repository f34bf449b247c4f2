"""ShardFolder: what a text stands for, and which objects are its shards."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.integrations.lightning.shard_folder import ShardFolder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with shards in a/b, and a catalog that is empty."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("x-1.tar", "x-0.tar", "y-0.tar"):
        (tmp_path / "a" / "b" / name).write_bytes(b"")
    (tmp_path / "catalog").mkdir()
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_catalog(here: Path, text: str) -> None:
    """Write the catalog `a`."""
    (here / "catalog" / "a.yaml").write_text(text.format(here=here))


@pytest.mark.parametrize("where", ["a/b", "a/b/", "./a/b", "{here}/a/b", "a/../a/b"])
def test_a_text_without_a_scheme_is_a_path(here: Path, where: str) -> None:
    """Its shards are paths, too."""
    folder = ShardFolder(where.format(here=here))
    assert list(folder.shards("x")) == [f"{here}/a/b/x-0.tar", f"{here}/a/b/x-1.tar"]
    assert folder.is_local


def test_a_path_and_a_file_url_are_the_same_folder(here: Path) -> None:
    """The URL's shards are URLs."""
    assert list(ShardFolder(Path("a/b")).shards("y")) == [f"{here}/a/b/y-0.tar"]
    assert list(ShardFolder(f"file://{here}/a/b").shards("y")) == [f"file://{here}/a/b/y-0.tar"]
    assert ShardFolder("a/b").files.url == ShardFolder(f"file://{here}/a/b").files.url


def test_a_name_in_the_catalog_is_one_where_there_is_no_such_folder(here: Path) -> None:
    """A folder is what the text says first; catalog:// leaves no doubt."""
    write_catalog(
        here, "- tag: b\n  prefix: file://{here}/other/\n- tag: c\n  prefix: file://{here}/a/b/\n"
    )
    assert list(ShardFolder("a/b").shards("y")) == [f"{here}/a/b/y-0.tar"]
    assert list(ShardFolder("a/c").shards("y")) == ["catalog://a/c/y-0.tar"]
    with pytest.raises(NotFoundError, match="other"):
        ShardFolder("catalog://a/b").shards("y")


def test_an_entry_may_list_its_shards(here: Path) -> None:
    """Wherever they are; but nothing can be written there."""
    write_catalog(
        here,
        "- tag: u\n  urls: ['file://{here}/a/b/x-1.tar', 'file://{here}/a/b/y-0.tar']\n"
        "- tag: t\n  template: file://{here}/a/b/x-{{0..1}}.tar\n",
    )
    assert len(ShardFolder("a/u").shards("x")) == 1
    assert len(ShardFolder("a/t").shards("x")) == 2
    with pytest.raises(ConfigError, match="a/u: expected a folder to read or write"):
        _ = ShardFolder("a/u").files


def test_a_pinned_entry_is_read_but_not_written(here: Path) -> None:
    """New shards would not have its digest."""
    write_catalog(here, f"- tag: p\n  prefix: file://{{here}}/a/b/\n  digest: sha256:{'0' * 64}\n")
    with pytest.raises(ConfigError, match="without digest and ETL"):
        _ = ShardFolder("a/p").files


def test_no_character_of_a_folder_or_prefix_is_a_pattern(here: Path) -> None:
    """A folder may be called so."""
    odd = here / "a[1]*"
    odd.mkdir()
    (odd / "x?-0.tar").write_bytes(b"")
    (odd / "xy-0.tar").write_bytes(b"")
    assert list(ShardFolder("a[1]*").shards("x?")) == [f"{odd}/x?-0.tar"]
    with pytest.raises(NotFoundError, match=r"a/b/\*-\*\.tar: there is no such shard"):
        ShardFolder("a/b").shards("*")


def test_a_set_that_is_being_replaced_is_not_read(here: Path) -> None:
    """Other prefixes are."""
    (here / "a" / "b" / "x.incomplete").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"a/b/x-\*\.tar: these shards are not complete"):
        ShardFolder("a/b").shards("x")
    assert len(ShardFolder("a/b").shards("y")) == 1


def test_what_is_no_folder_is_refused(here: Path) -> None:
    """An empty text would be the root."""
    with pytest.raises(ConfigError, match="the folder of the shards is ''"):
        ShardFolder("")
    with pytest.raises(UrlError, match="unknown scheme"):
        ShardFolder("as://bucket/train")


def test_its_source_pickles(here: Path) -> None:
    """It goes to workers."""
    folder = ShardFolder("a/b")
    source = pickle.loads(pickle.dumps(folder.source))
    assert source.get(folder.shards("y")[f"{here}/a/b/y-0.tar"]).readall() == b""
