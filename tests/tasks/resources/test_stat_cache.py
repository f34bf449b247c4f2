"""StatCache: the pieces of files that have not changed."""

from __future__ import annotations

import os

from aisio.tasks.resources.stat_cache import StatCache, stat_key
from aisio.tasks.resources.tree import Piece

PIECES = (Piece("ab" * 32, 8), Piece("cd" * 32, 3))


LATER = 1 << 62
"""A time at which files of this test have settled."""


def test_a_file_is_known_until_it_changes(tmp_path):
    """By its size, times and inode."""
    cache, file = StatCache(tmp_path / "home"), tmp_path / "a"
    file.write_bytes(b"one")
    cache.save([(str(file), file.stat(), (PIECES, "sum"))], read_since_ns=LATER)
    assert cache.find(file, file.stat()) == (PIECES, "sum")
    assert StatCache(tmp_path / "home").load(tmp_path) == {
        str(file): (stat_key(file.stat()), (PIECES, "sum"))
    }
    stat = file.stat()
    file.unlink()
    file.write_bytes(b"two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file.stat().st_mtime_ns == stat.st_mtime_ns
    assert cache.find(file, file.stat()) is None


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path):
    """A later change could get the same time, however long the upload of all files takes."""
    file, cache = tmp_path / "a", StatCache(tmp_path / "home")
    file.write_bytes(b"one")
    read_since_ns = file.stat().st_ctime_ns + 10**9
    cache.save([(str(file), file.stat(), (PIECES, None))], read_since_ns=read_since_ns)
    assert cache.find(file, file.stat()) is None


def test_a_folder_has_its_own_files_only(tmp_path):
    """And not those of a folder whose name begins with its name."""
    cache = StatCache(tmp_path / "home")
    names = ["data/a", "data/b/c", "data2/a", "data.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
        cache.save(
            [(str(tmp_path / name), (tmp_path / name).stat(), ((), None))], read_since_ns=LATER
        )
    assert set(cache.load(tmp_path / "data")) == {str(tmp_path / name) for name in names[:2]}
