"""ReadFileSystem: what fsspec's file system of objects tells and reads of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
from fsspec.callbacks import DEFAULT_CALLBACK

from aisio.errors import AccessError, NotFoundError, UrlError
from aisio.integrations.fsspec.object_tree import Entry, ObjectTree, within
from aisio.integrations.fsspec.ranges import MAX_GAP_BYTES, cut, merge, parse_ranges
from aisio.integrations.fsspec.threaded import ThreadedFileSystem
from aisio.limits import is_whole

__all__ = ["ReadFileSystem"]


class ReadFileSystem(ThreadedFileSystem):
    """The half of `AisFileSystem` that changes nothing.

    Args:
        tree: The buckets and objects.
        concurrency: How many requests are under way at once.
        options: fsspec's own.
    """

    def __init__(self, tree: ObjectTree, concurrency: int, **options: Any) -> None:
        super().__init__(concurrency, **options)
        self._tree = tree
        self._changes = 0

    async def _info(self, path: str, **_: Any) -> Entry:
        return await self._run(self._tree.info, self._strip_protocol(path))

    async def _isfile(self, path: str) -> bool:
        return await self._type(path) == "file"

    async def _isdir(self, path: str) -> bool:
        try:
            return await self._type(path) == "directory"
        except AccessError:  # fsspec asks this before it writes, which may be all that is allowed
            return False

    async def _type(self, path: str) -> str:
        """Return what is at a path; "" for nothing. fsspec takes any error for that."""
        try:
            entry = await self._info(path)
        except NotFoundError:
            return ""
        return str(entry["type"])

    def walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, **options: Any
    ) -> Iterator[Any]:
        """Yield each folder with its folders and files; see `fsspec.AbstractFileSystem.walk`.

        By default a folder that cannot be listed is an error, and not empty, unless it is gone.
        """
        yield from super().walk(path, maxdepth, topdown, **_on_errors(options))

    def _walk(self, path: str, maxdepth: int | None = None, **options: Any) -> AsyncIterator[Any]:
        walked: AsyncIterator[Any] = super()._walk(path, maxdepth, **_on_errors(options))
        return walked

    async def _ls(
        self, path: str, detail: bool = True, refresh: bool = False, **_: Any
    ) -> list[Entry] | list[str]:
        path = self._strip_protocol(path)
        entries: list[Entry]
        if path in self.dircache and not refresh:
            entries = self.dircache[path]
        else:
            changes = self._changes
            entries = await self._run(self._tree.level, path)
            if changes == self._changes:  # else it may be older than what was written
                self.dircache[path] = entries
        return entries if detail else [entry["name"] for entry in entries]

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **_: Any,
    ) -> list[str] | dict[str, Entry]:
        """Find what is below a path, by one listing; with a depth of 1 by that of one level.

        With a prefix, as of s3fs and of patterns: only what has a name there that begins so.
        """
        if maxdepth is not None and not is_whole(maxdepth, 1):
            raise ValueError(f"maxdepth={maxdepth!r}: a whole number from 1 on is needed")
        path = self._strip_protocol(path)
        if not path:
            found = await super()._find(path, maxdepth, withdirs, detail=True)
            found = {name: entry for name, entry in found.items() if name.startswith(prefix)}
        else:
            find = partial(self._tree.find, path, prefix=prefix, is_level=maxdepth == 1)
            entries = await self._run(lambda: list(find()))
            found = dict(sorted(within(path, entries, maxdepth, withdirs).items()))
        return found if detail else list(found)

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        return await self._run(self._tree.read, self._strip_protocol(path), start, end)

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Sequence[int | None] | int | None,
        ends: Sequence[int | None] | int | None,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[bytes | BaseException]:
        """Read ranges of objects; those of one object that are near come by one request."""
        wanted = parse_ranges(paths, starts, ends)
        spans, owners = merge(wanted, MAX_GAP_BYTES if max_gap is None else max_gap)
        read = await fsspec.asyn._run_coros_in_chunks(
            [self._cat_file(*span) for span in spans],
            batch_size or self.batch_size,
            nofiles=True,
            return_exceptions=True,
        )
        parts: list[bytes | BaseException] = []
        for one, owner in zip(wanted, owners, strict=True):
            data = read[owner]
            if not isinstance(data, BaseException):
                parts.append(cut(one, spans[owner], data))
            elif on_error == "return":
                parts.append(data)
            else:
                raise data
        return parts

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        path = self._strip_protocol(rpath)
        if not isinstance(lpath, (str, os.PathLike)):
            data = await self._cat_file(path)
            callback.set_size(len(data))
            await self._run(lpath.write, data)
            callback.absolute_update(len(data))
            return

        def show(count: int, size: int | None) -> None:
            callback.set_size(size)
            callback.absolute_update(count)

        try:
            await self._run(self._tree.download, path, os.fspath(lpath), show)
        except (NotFoundError, UrlError):
            if not await self._isdir(path):
                raise
            Path(lpath).mkdir(parents=True, exist_ok=True)

    def modified(self, path: str) -> datetime:
        """Return when an object was last changed, in UTC.

        Raises:
            FileNotFoundError: Nothing is there.
            IsADirectoryError: It is a folder, or a bucket.
            NotImplementedError: The store does not tell.
        """
        seconds: float = fsspec.asyn.sync(self.loop, self._modified_s, path)
        if not seconds:
            raise NotImplementedError(f"modified {path!r}: the store does not tell")
        return datetime.fromtimestamp(seconds, timezone.utc)

    async def _modified_s(self, path: str) -> float:
        return await self._run(self._tree.modified_s, self._strip_protocol(path))

    def created(self, path: str) -> datetime:
        """Refuse: an object is replaced as a whole, and no store tells when the first was made.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"created {path!r}: object stores tell the last change only; call modified()"
        )


def _on_errors(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a walk with what is done about errors, for all folders.

    fsspec passes on what `ls` gets to the walks through folders, but not `on_error`.
    """
    of_all = options.get("on_error") or options.get("_on_error") or _raise_unless_missing
    return {**options, "on_error": of_all, "_on_error": of_all}


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, NotFoundError):
        raise error
