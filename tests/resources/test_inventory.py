"""The entries of a cache, by the names, sizes and times of its files."""

from __future__ import annotations

import pytest

from aisio.resources.inventory import (
    digest_in_name,
    find_entry,
    is_abandoned,
    list_entries,
    size_of,
)
from tests.resources.cache_entries import TAR, add, marker_of


def test_an_entry_has_the_size_of_all_its_files(cache):
    """The size is that of the download, its result and the marker; locks are not listed."""
    path = add(cache, TAR, "x.tar", used=77)
    (entry,) = list_entries(cache)
    assert (entry.path, entry.last_used, entry.state) == (path, 77, "verified")
    assert entry.size_bytes == len(TAR) + 6 + marker_of(path).stat().st_size


def test_entries_have_states(cache):
    """From a verified entry to the leftovers of one."""
    add(cache, b"1", "verified")
    stale = add(cache, b"2", "unverified")
    stale.write_bytes(b"22")
    bionemo = cache.folder / ("0" * 64 + "-bionemo")
    bionemo.write_bytes(b"")
    (cache.folder / ("." + "1" * 64 + "-partial.aisio-partial")).write_bytes(b"begin")
    (cache.folder / ("." + "1" * 64 + "-partial.json.aisio-partial")).write_bytes(b"{}")
    (cache.folder / ("2" * 64 + "-x.tar.untar")).mkdir()
    states = {entry.path.name.partition("-")[2]: entry.state for entry in list_entries(cache)}
    assert states == {
        "verified": "verified",
        "unverified": "unverified",
        "bionemo": "unverified",
        "partial": "partial",
        "x.tar": "leftover",
    }


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("0" * 64 + "-x", "0" * 64),
        ("md5:" + "0" * 32 + "-x", "md5:" + "0" * 32),
        ("None-0123456789abcdef-x", None),
        ("notes.txt", None),
    ],
)
def test_a_name_may_have_the_digest(name, digest):
    """As a catalog writes it."""
    assert digest_in_name(name) == digest


def test_an_entry_is_found_by_its_name(cache):
    """As it is now; nothing without any of its files."""
    path = add(cache, b"1", used=7)
    entry = find_entry(cache, path.name)
    assert entry is not None
    assert (entry.path, entry.last_used) == (path, 7)
    path.unlink()
    marker_of(path).unlink()
    assert find_entry(cache, path.name) is None


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path):
    """What does not exist, as it was removed meanwhile, has none."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "1").write_bytes(b"1")
    (tmp_path / "a" / "b" / "2").write_bytes(b"22")
    assert size_of(tmp_path / "a") == 3
    assert size_of(tmp_path / "a" / "1") == 1
    assert size_of(tmp_path / "none") == 0


def test_only_files_that_aisio_writes_under_a_random_name_are_abandoned():
    """They are written anywhere in the folder; a download has its own name."""
    assert is_abandoned(".0123456789abcdef.aisio-partial")
    assert not is_abandoned(f".{'0' * 64}-x.aisio-partial")
    assert not is_abandoned(".0123456789abcdef")


def test_a_link_that_cannot_be_followed_may_be_a_file(cache):
    """Such an entry is no leftover."""
    path = cache.folder / ("0" * 64 + "-x")
    path.symlink_to(path)
    assert [entry.state for entry in list_entries(cache)] == ["unverified"]
