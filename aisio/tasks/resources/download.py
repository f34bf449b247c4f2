"""Downloading a resource: its files into a folder, each piece verified."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from aisio.errors import ConfigError
from aisio.file_locks import acquire, release
from aisio.resources.unpack.archives import write_members
from aisio.resources.unpack.compressed import Limits
from aisio.resources.unpack.unpack import kind_of
from aisio.tasks.resources.local_pieces import read_pieces
from aisio.tasks.resources.mounted_files import check_files, files_list, record_files
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.tree import Tree, TreeFile

__all__ = ["mount", "write_files"]

THREADS = 4
_FILE, _PROGRAM = 0o666, 0o777
_WRITABLE = 0o222


def write_files(
    tree: Tree,
    store: PieceStore,
    folder: Path,
    on_progress: Callable[[int, int], object] | None = None,
    *,
    local: Path | None = None,
) -> None:
    """Write the files of a resource below a folder that is new or empty.

    Args:
        tree: The files.
        store: Where they are.
        folder: The folder.
        on_progress: Reports progress.
        local: A folder of this machine that may have the same files: what it has is copied from
            there, and not read from the store.

    Raises:
        ConfigError: The folder has files.
        NotFoundError: The store has lost a piece.
        IntegrityError: A piece has other bytes.
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: give a new or empty folder")
    done, total = 0, tree.size
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="aisio-download")
    try:
        for size in pool.map(partial(_write_file, store, folder, local), tree.files):
            done += size
            if on_progress:
                on_progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _write_file(store: PieceStore, folder: Path, local: Path | None, file: TreeFile) -> int:
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = _PROGRAM if file.executable else _FILE
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "wb") as out:
        for data in read_pieces(file, store, local and local / file.name):
            out.write(data)
    return file.size


def mount(
    tree: Tree,
    store: PieceStore,
    folder: Path,
    *,
    read_only: bool = False,
    local: Path | None = None,
) -> Path:
    """Return the folder with the files of a resource; it is made once.

    One that is there is complete: it gets its name last. Processes that want the same one wait for
    the one that makes it. A single archive (.zip, .tar, .tar.gz ...) is unpacked.

    Args:
        tree: The files.
        store: Where they are.
        folder: The folder to make.
        read_only: Take the right to write its files from everybody, as several tasks read them.
        local: A folder of this machine that may have the same files: see `write_files`.

    Raises:
        ArchiveError: The archive is damaged, or not safe to unpack.
        IntegrityError: The folder is there, and a program has changed what is in it.
        StorageError: As `write_files`.
    """
    if folder.is_dir():
        check_files(folder)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = acquire(folder.with_name(f".{folder.name}.lock"), on_wait=lambda: None)
    partial_folder = folder.with_name(f".{folder.name}.partial")
    try:
        if not folder.is_dir():
            shutil.rmtree(partial_folder, ignore_errors=True)  # of a process that was killed
            _fill(tree, store, partial_folder, local)
            if read_only:
                _protect(partial_folder)
                record_files(partial_folder, files_list(folder))
            partial_folder.rename(folder)
    finally:
        release(lock)
    return folder


def _protect(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_WRITABLE)


def _fill(tree: Tree, store: PieceStore, folder: Path, local: Path | None) -> None:
    kind = kind_of(tree.files[0].name) if tree.kind == "file" else "none"
    if kind not in ("zip", "tar"):
        write_files(tree, store, folder, local=local)
        return
    download = folder.with_name(f"{folder.name}.archive")
    shutil.rmtree(download, ignore_errors=True)
    try:
        write_files(tree, store, download, local=local)
        folder.mkdir()
        write_members(download / tree.files[0].name, kind, folder, Limits())
    finally:
        shutil.rmtree(download, ignore_errors=True)
