"""Replacing the shards `{prefix}-NNNNNN.tar` of a folder by others, all together.

A store replaces one object at a time. So a set of shards is replaced like this:

1. Shards that are stored already, byte for byte, are left alone. If that is all, nothing happens.
2. The old shards that will be replaced or deleted are saved on this machine.
3. The object `{prefix}.incomplete` is written: a data module refuses to read beside it.
4. The new shards are written, old ones that have no successor are deleted, and then the object.

If a step fails, what was changed is undone. If the program is killed, or the undoing fails, the
object of step 3 stays, and the next replacement, if it succeeds, deletes it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.errors import NotFoundError, StorageError
from aisio.formats.checksums import HASHERS
from aisio.integrations.lightning.shard_folder import INCOMPLETE
from aisio.records import ObjectInfo
from aisio.stores import LocalStore, Store
from aisio.urls import ObjectUrl

__all__ = ["ShardSet"]

_CHUNK_BYTES = 1024 * 1024
_NOTE = b"The shards of this prefix are being replaced, or were: then write them again.\n"


class ShardSet:
    """The shards of one prefix in one folder.

    Args:
        store: The store.
        folder: The folder; an existing one if it is of this machine.
        prefix: What the shards' names begin with.
    """

    def __init__(self, store: Store, folder: ObjectUrl, prefix: str) -> None:
        self._store = store
        self._folder = folder
        self._prefix = prefix
        self._note = folder.join(prefix + INCOMPLETE)

    def replace(self, new: Mapping[str, Path], workspace: Path) -> None:
        """Replace the shards.

        Args:
            new: Files of this machine by the names that they get; they may be moved.
            workspace: A folder for the old shards; of the same file system if the store is local.

        Raises:
            StorageError: The store failed. The old shards are as before, unless the text says that
                they are not complete.
        """
        listed = list(self._store.list(self._folder.join(self._prefix)))
        old = self._old_shards(listed)
        was_incomplete = any(info.name == self._note.name for info in listed)
        changed = [name for name, file in new.items() if not self._has(old.get(name), file)]
        stale = [name for name in old if name not in new]
        if not (changed or stale or was_incomplete):
            return
        saved = self._save([name for name in (*changed, *stale) if name in old], workspace)
        touched: list[str] = []
        try:
            self._store.put(self._note, _NOTE)
            for name in changed:
                touched.append(name)
                self._put(name, new[name])
            for name in stale:
                touched.append(name)
                self._store.delete(self._folder.join(name), missing_ok=True)
            self._store.delete(self._note, missing_ok=True)
        except BaseException as error:
            self._undo(touched, saved, error, keep_note=was_incomplete)
            raise

    def _old_shards(self, listed: Iterable[ObjectInfo]) -> dict[str, ObjectInfo]:
        start = len(self._folder.join(self._prefix).name) - len(self._prefix)
        own = re.compile(re.escape(self._prefix) + r"-[0-9]{6,}\.tar")
        return {info.name[start:]: info for info in listed if own.fullmatch(info.name, start)}

    def _has(self, old: ObjectInfo | None, new: Path) -> bool:
        """Tell whether the store has these bytes already: by its checksum, else by reading them."""
        if old is None or old.size_bytes != new.stat().st_size:
            return False
        url = self._folder.with_name(old.name)
        try:
            checksum = old.checksum or self._store.head(url).checksum
            if checksum is not None and checksum.kind in HASHERS:
                return _digest(new, checksum.kind) == checksum.value.lower()
            with new.open("rb") as file, closing(self._store.get(url)) as body:
                while data := body.read(_CHUNK_BYTES):
                    if file.read(len(data)) != data:
                        return False
                return not file.read(1)
        except NotFoundError:  # another program has deleted it since
            return False

    def _save(self, names: Iterable[str], workspace: Path) -> dict[str, Path]:
        """Save shards in the workspace; return their files by name."""
        saved: dict[str, Path] = {}
        for name in names:
            url, path = self._folder.join(name), workspace / f"{name}.old{PARTIAL_SUFFIX}"
            if not (isinstance(self._store, LocalStore) and _try_link(Path("/", url.name), path)):
                try:
                    body = self._store.get(url)
                except NotFoundError:  # another program has deleted it since
                    continue
                with closing(body), path.open("xb") as file:
                    shutil.copyfileobj(body, file, _CHUNK_BYTES)
            saved[name] = path
        return saved

    def _put(self, name: str, path: Path) -> None:
        url = self._folder.join(name)
        if isinstance(self._store, LocalStore):
            path.replace(Path("/", url.name))
        else:
            self._store.put(url, path)

    def _undo(
        self,
        names: Iterable[str],
        saved: Mapping[str, Path],
        error: BaseException,
        *,
        keep_note: bool,
    ) -> None:
        """Restore shards that were changed, and delete those that are new.

        Raises:
            StorageError: That failed too.
        """
        try:
            for name in names:
                if name in saved:
                    self._put(name, saved[name])
                else:
                    self._store.delete(self._folder.join(name), missing_ok=True)
            if not keep_note:
                self._store.delete(self._note, missing_ok=True)
        except (StorageError, OSError) as undo_error:
            raise StorageError(
                f"{self._folder.join(self._prefix)}-*.tar: replacing these shards failed "
                f"({error}), and so did restoring the old ones ({undo_error}): they are not "
                f"complete, as {self._note} says; write them again"
            ) from error


def _digest(path: Path, kind: str) -> str:
    hasher = HASHERS[kind]()
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            hasher.update(data)
    return hasher.hexdigest()


def _try_link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        return False
    return True
