"""SafeOpener: opens what is below a folder, also by links that stay inside, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aisio.gateway.storage.private_folder import remove_tree
from aisio.gateway.storage.safe_opener import (
    FOLDER_FLAGS,
    PathEscapesError,
    SafeOpener,
    open_stepwise,
    open_without_links,
    remove_empty_folders,
)

TO_READ = os.O_RDONLY | os.O_CLOEXEC


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with files and links; a secret is next to it."""
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
def opener(root: Path) -> Iterator[SafeOpener]:
    """Return an opener of that folder."""
    with contextlib.closing(SafeOpener(str(root), excluded=".own")) as opener:
        yield opener


def read(opener: SafeOpener, path: str) -> str:
    """Return the text of a file."""
    with os.fdopen(opener.open(path, TO_READ).fd) as file:
        return file.read()


@pytest.mark.parametrize(
    "path", ["a/b/file", "relative/file", "absolute/file", "a/chain", "a//b/file"]
)
def test_links_that_stay_inside_are_followed(opener: SafeOpener, path: str) -> None:
    """Relative and absolute ones, and chains of them."""
    assert read(opener, path) == "inside"
    assert opener.status(path).st_size == len("inside")


@pytest.mark.parametrize("path", ["out", "out/file", "own", "own/file"])
def test_paths_that_lead_out_are_refused(opener: SafeOpener, path: str) -> None:
    """By a link out of the folder, or to the excluded name."""
    with pytest.raises(PathEscapesError):
        opener.open(path, TO_READ)
    with pytest.raises(PathEscapesError):
        opener.status(path)
    with pytest.raises(PathEscapesError), opener.open_or_make_folder(f"{path}/new"):
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
def test_a_missing_path_is_an_os_error(opener: SafeOpener, path: str, number: int) -> None:
    """With the errno that os.open has."""
    for look in (lambda: opener.open(path, TO_READ), lambda: opener.status(path)):
        with pytest.raises(OSError, match=".") as caught:
            look()
        assert caught.value.errno == number


@pytest.mark.parametrize("way", [open_without_links, open_stepwise])
def test_openat2_and_stepwise_opening_agree(
    opener: SafeOpener, way: Callable[[int, str, int], int], root: Path
) -> None:
    """Linux has one call for it, other systems need steps."""
    handle = way(opener.root_fd, "a/b/file", TO_READ)
    assert os.read(handle, 10) == b"inside"
    os.close(handle)
    os.close(way(opener.root_fd, "a/b", FOLDER_FLAGS))
    for path, number in (
        ("relative/file", errno.ELOOP),
        ("a/chain", errno.ELOOP),
        ("relative", errno.ELOOP),
        ("none/file", errno.ENOENT),
        ("a/b/file/x", errno.ENOTDIR),
    ):
        for flags in (TO_READ, FOLDER_FLAGS):
            with pytest.raises(OSError, match=".") as caught:
                way(opener.root_fd, path, flags)
            assert caught.value.errno == number, path


def test_very_many_missing_folders_are_made(opener: SafeOpener, root: Path) -> None:
    """Without recursion."""
    path = "d/" * 1100 + "last"
    with opener.open_or_make_folder(path) as place:
        assert place.path == path
    remove_tree(opener.root_fd, "d")  # what Python and pytest remove folders with gives up here
    with opener.open_or_make_folder("relative/new/er") as place:
        assert place.path == "a/b/new/er"
    with pytest.raises(NotADirectoryError), opener.open_or_make_folder("a/b/file/new"):
        pass


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ("n", []),
        ("n/o/p/q/r", []),
        ("n/o/p/q/r/s", []),
        ("n/full/p/q/r", ["n", "n/full", "n/full/file"]),
        ("n/o/p/full", ["n", "n/o", "n/o/p", "n/o/p/full", "n/o/p/full/file"]),
        ("d/" * 1100 + "last", []),
    ],
)
def test_nested_folders_are_removed_as_far_as_they_are_empty(
    opener: SafeOpener, root: Path, names: str, left: list[str]
) -> None:
    """From the innermost; also below very many folders."""
    with opener.open_or_make_folder(names):
        pass
    for path in left:
        if path.endswith("file"):
            (root / path).write_text("stays")
    with contextlib.suppress(OSError), opener.open_folder("") as place:
        remove_empty_folders(place.fd, names.split("/"))
    top = root / names.partition("/")[0]
    found = [top, *top.rglob("*")] if top.exists() else []
    assert sorted(str(path.relative_to(root)) for path in found) == left


def test_folders_below_a_link_are_not_removed(opener: SafeOpener, root: Path) -> None:
    """A link in place of a folder leads elsewhere."""
    (root / "to").symlink_to("a/b")
    (root / "a" / "b" / "empty").mkdir()
    with opener.open_folder("") as place, pytest.raises(OSError, match="."):
        remove_empty_folders(place.fd, ["to", "empty"])
    assert (root / "a" / "b" / "empty").is_dir()


@pytest.mark.parametrize("way", [open_without_links, open_stepwise])
def test_a_folder_that_is_swapped_for_a_link_is_safe(
    opener: SafeOpener, root: Path, way: Callable[[int, str, int], int]
) -> None:
    """At any moment, the file inside is opened, or none."""
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
            with contextlib.suppress(OSError, PathEscapesError):
                handle = way(opener.root_fd, "a/b/file", TO_READ)
                try:
                    assert os.read(handle, 10) == b"inside"
                finally:
                    os.close(handle)
            with contextlib.suppress(OSError, PathEscapesError):
                assert read(opener, "a/b/file") == "inside"
    finally:
        done.set()
        thread.join()
