"""WrittenFile: stored when it is closed, or when a transaction ends, or not at all."""

from __future__ import annotations

import gc
from pathlib import Path

import fsspec  # noqa: F401 - the package imports it
import pytest

from aisio.integrations.fsspec.object_files import WrittenFile
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl


def written(path: Path, stored: list[str], *, is_deferred: bool = False) -> WrittenFile:
    """Return a file that four bytes were written to."""
    writer = LocalStore().writer(ObjectUrl.parse(f"file://{path}"))
    file = WrittenFile(
        writer, str(path), is_deferred=is_deferred, on_stored=lambda: stored.append(path.name)
    )
    assert (file.writable(), file.write(b"1234"), file.tell()) == (True, 4, 4)
    return file


def write_and_forget(path: Path) -> None:
    """Drop a file without closing it."""
    written(path, [])
    gc.collect()


def test_it_is_stored_once(tmp_path: Path) -> None:
    """By the first close."""
    stored: list[str] = []
    file = written(tmp_path / "a", stored)
    file.close()
    file.close()
    assert ((tmp_path / "a").read_bytes(), stored) == (b"1234", ["a"])
    with pytest.raises(ValueError, match="write to a closed file"):
        file.write(b"5")


def test_a_deferred_one_waits(tmp_path: Path) -> None:
    """For the end of the transaction; one that is dropped is not stored by it."""
    stored: list[str] = []
    files = [written(tmp_path / name, stored, is_deferred=True) for name in "ab"]
    for file in files:
        file.close()
    assert list(tmp_path.iterdir()) == []
    files[0].discard()
    for file in files:
        file.commit()
    assert ([one.name for one in tmp_path.iterdir()], stored) == (["b"], ["b"])


def test_one_that_is_not_closed_is_not_stored(tmp_path: Path) -> None:
    """The writer warns of it."""
    with pytest.warns(ResourceWarning, match="nothing was stored"):
        write_and_forget(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
