"""Beneath: what is below a folder, by links that stay inside, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aisio.gateway.storage.beneath import (
    FOLDER,
    Beneath,
    LeadsOutError,
    open_by_steps,
    open_without_links,
)
from aisio.gateway.storage.own_files import remove_tree

TO_READ = os.O_RDONLY | os.O_CLOEXEC


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with files and links; beside it there is a secret."""
    root = tmp_path.resolve() / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / ".own").mkdir()
    (root / ".own" / "file").write_text("own")
    (root / "a" / "b" / "file").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("secret")
    (root / "relative").symlink_to("a/b")
    (root / "absolute").symlink_to(root / "a" / "b")
    (root / "a" / "chain").symlink_to("../relative/file")
    (root / "out").symlink_to("../outside")
    (root / "own").symlink_to(".own")
    (root / "nowhere").symlink_to("a/nothing")
    (root / "loop").symlink_to("loop")
    return root


@pytest.fixture
def beneath(root: Path) -> Iterator[Beneath]:
    """Return that folder, opened."""
    with contextlib.closing(Beneath(str(root), barred=".own")) as beneath:
        yield beneath


def read(beneath: Beneath, path: str) -> str:
    """Return what a file has."""
    with os.fdopen(beneath.open(path, TO_READ).handle) as file:
        return file.read()


@pytest.mark.parametrize(
    "path", ["a/b/file", "relative/file", "absolute/file", "a/chain", "a//b/file"]
)
def test_links_that_stay_inside_are_followed(beneath: Beneath, path: str) -> None:
    """Relative ones, absolute ones, and several after one another."""
    assert read(beneath, path) == "inside"
    assert beneath.status(path).st_size == len("inside")


@pytest.mark.parametrize("path", ["out", "out/file", "own", "own/file"])
def test_what_leads_out_is_refused(beneath: Beneath, path: str) -> None:
    """By a link to beside the folder, or to what is barred."""
    with pytest.raises(LeadsOutError):
        beneath.open(path, TO_READ)
    with pytest.raises(LeadsOutError):
        beneath.status(path)
    with pytest.raises(LeadsOutError), beneath.made_folder(f"{path}/new"):
        pass


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("nowhere", errno.ENOENT),
        ("a/b/nothing", errno.ENOENT),
        ("a/b/file/x", errno.ENOTDIR),
        ("loop", errno.ELOOP),
        ("a\0", errno.ENOENT),
    ],
)
def test_what_is_not_there_is_an_os_error(beneath: Beneath, path: str, number: int) -> None:
    """As of os.open."""
    for look in (lambda: beneath.open(path, TO_READ), lambda: beneath.status(path)):
        with pytest.raises(OSError, match=".") as caught:
            look()
        assert caught.value.errno == number


@pytest.mark.parametrize("way", [open_without_links, open_by_steps])
def test_both_ways_to_open_agree(
    beneath: Beneath, way: Callable[[int, str, int], int], root: Path
) -> None:
    """The one call of Linux, and the steps that others need."""
    handle = way(beneath.handle, "a/b/file", TO_READ)
    assert os.read(handle, 10) == b"inside"
    os.close(handle)
    os.close(way(beneath.handle, "a/b", FOLDER))
    for path, number in (
        ("relative/file", errno.ELOOP),
        ("a/chain", errno.ELOOP),
        ("relative", errno.ELOOP),
        ("none/file", errno.ENOENT),
        ("a/b/file/x", errno.ENOTDIR),
    ):
        for flags in (TO_READ, FOLDER):
            with pytest.raises(OSError, match=".") as caught:
                way(beneath.handle, path, flags)
            assert caught.value.errno == number, path


def test_missing_folders_are_made_however_many(beneath: Beneath, root: Path) -> None:
    """Nothing is called once for each of them, inside the one before."""
    path = "d/" * 1100 + "last"
    with beneath.made_folder(path) as place:
        assert place.path == path
    remove_tree(beneath.handle, "d")  # what Python and pytest remove folders with gives up here
    with beneath.made_folder("relative/new/er") as place:
        assert place.path == "a/b/new/er"
    with pytest.raises(NotADirectoryError), beneath.made_folder("a/b/file/new"):
        pass


@pytest.mark.parametrize("way", [open_without_links, open_by_steps])
def test_a_folder_that_is_swapped_for_a_link_leads_nowhere_else(
    beneath: Beneath, root: Path, way: Callable[[int, str, int], int]
) -> None:
    """At whatever moment: the file inside is opened, or none."""
    done = threading.Event()

    def swap() -> None:
        folder, aside = root / "a" / "b", root / "a" / "aside"
        while not done.is_set():
            folder.rename(aside)
            folder.symlink_to(root.parent / "outside")
            folder.unlink()
            aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(500):
            with contextlib.suppress(OSError, LeadsOutError):
                handle = way(beneath.handle, "a/b/file", TO_READ)
                try:
                    assert os.read(handle, 10) == b"inside"
                finally:
                    os.close(handle)
            with contextlib.suppress(OSError, LeadsOutError):
                assert read(beneath, "a/b/file") == "inside"
    finally:
        done.set()
        thread.join()
