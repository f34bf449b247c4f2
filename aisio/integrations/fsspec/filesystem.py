"""AisFileSystem: fsspec's file system over aisio's stores.

Theory of operation. `ObjectTree` does the work, and blocks. Each coroutine here runs one call of it
in a thread, so that fsspec has many under way at once: see `ThreadedFileSystem`. fsspec itself
makes of the coroutines the methods that block, `get` and `put` of many files, patterns, and the
walk over folders.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.compression import compr
from fsspec.core import get_compression, has_magic

from aisio.client.client import Client
from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.integrations.fsspec.instances import BySettings
from aisio.integrations.fsspec.object_files import CachedFile, CompressedFile, TextFile, WrittenFile
from aisio.integrations.fsspec.object_tree import ObjectTree
from aisio.integrations.fsspec.reads import ReadFileSystem
from aisio.integrations.fsspec.transaction import StoringTransaction
from aisio.records import ObjectInfo
from aisio.stores import DirectSettings
from aisio.transport.writer import PART_BYTES, WriteOptions

__all__ = ["AisFileSystem"]

Copies = dict[str, tuple[ObjectInfo, ObjectInfo]]
"""By the paths of copies: what the store said of each object before, and of its copy."""


class AisFileSystem(ReadFileSystem, metaclass=BySettings):
    """The objects of a cluster as the files of fsspec; made by fsspec for `ais://`.

    What is read is verified, and what is written appears whole or not at all. A folder is there as
    long as an object is below it: `mkdir` of one does nothing. `mkdir` and `rmdir` of a bucket
    create and delete it.

    It pickles, and threads and processes may share one, forked ones too.

    Args:
        endpoint: URL of the cluster; by default AIS_ENDPOINT.
        client: The cluster, in place of its URL.
        direct: Reach a cloud directly even if there is a cluster; settings say how.
        concurrency: How many requests are under way at once.
        part_bytes: Size of the parts of an object that is written.
        use_listings_cache: Keep listings in this process until something is written through this
            file system, or for `listings_expiry_time` seconds. By default none is kept.
        options: fsspec's own, such as `asynchronous`, `batch_size` and `skip_instance_cache`.

    Raises:
        ConfigError: A number is below 1, or an option is not known.
    """

    protocol: ClassVar[str | tuple[str, ...]] = "ais"
    transaction_type = StoringTransaction
    _extra_tokenize_attributes = ("hidden_settings",)

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
        concurrency: int = 16,
        part_bytes: int = PART_BYTES,
        use_listings_cache: bool = False,
        **options: Any,
    ) -> None:
        self._write_options = WriteOptions(part_bytes, concurrency, allow_empty=True)
        # More at once would only wait for a thread, and a program that is stopped for them.
        options = {"batch_size": concurrency, **options}
        scheme = self.protocol if isinstance(self.protocol, str) else self.protocol[0]
        tree = ObjectTree(scheme, client=client, endpoint=endpoint, direct=direct)
        super().__init__(tree, concurrency, use_listings_cache=use_listings_cache, **options)

    @property
    def fsid(self) -> str:
        """What tells this file system from others."""
        return f"aisio-{self._fs_token}"

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        path = self._strip_protocol(path)
        await self._run(self._tree.store, path, value, overwrite=mode != "create")
        self.invalidate_cache(path)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        mode: str = "overwrite",
        callback: Any = DEFAULT_CALLBACK,
        **_: Any,
    ) -> None:
        if Path(lpath).is_dir():
            return  # a folder is there with its first object
        path = self._strip_protocol(rpath)

        def store() -> int:
            with Path(lpath).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                callback.set_size(size)
                self._tree.store(path, file, overwrite=mode != "create")
            return size

        callback.relative_update(await self._run(store))
        self.invalidate_cache(path)

    async def _cp_file(
        self,
        path1: str,
        path2: str,
        copies: Copies | None = None,
        pairs: list[tuple[str, str]] | None = None,
        **_: Any,
    ) -> None:
        """Copy an object.

        Args:
            path1: The object.
            path2: Its copy.
            copies: Gets what the store said of the two.
            pairs: Gets the two paths, and nothing is copied.
        """
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if pairs is not None:
            pairs.append((source, target))
            return
        if source == target:
            raise ConfigError(f"copy {source}: it cannot be copied to itself")
        try:
            if copies is None:
                await self._run(self._tree.copy, source, target)
            else:
                before = await self._run(self._tree.head, source)
                copies[target] = before, await self._run(self._tree.copy, source, target)
        except (NotFoundError, UrlError):
            if not await self._isdir(source):
                raise
        self.invalidate_cache(target)

    async def _copy(
        self,
        path1: str | list[str],
        path2: str | list[str],
        recursive: bool = False,
        on_error: str | None = None,
        copies: Copies | None = None,
        **options: Any,
    ) -> None:
        """Copy objects. By default one that is missing is an error, and so is a missing bucket.

        The copies are made at once, in no order. So all their names are known first.

        Raises:
            ConfigError: One copy would replace another one, or what is to be copied. Nothing is
                copied.
        """
        if isinstance(path1, list) and isinstance(path2, list) and len(path1) != len(path2):
            raise ConfigError(f"copy: {len(path1)} sources and {len(path2)} destinations")
        pairs: list[tuple[str, str]] = []
        await super()._copy(path1, path2, recursive, pairs=pairs, **options)
        _check_apart(pairs)
        sources, targets = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        chosen = {name: value for name, value in options.items() if name == "batch_size"}
        await super()._copy(sources, targets, on_error=on_error or "raise", copies=copies, **chosen)

    def mv(
        self,
        path1: str | list[str],
        path2: str | list[str],
        recursive: bool = False,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """Copy objects, then delete those that were there before; see `_mv`."""
        fsspec.asyn.sync(self.loop, self._mv, path1, path2, recursive, maxdepth)

    async def _mv(
        self,
        path1: str | list[str],
        path2: str | list[str],
        recursive: bool,
        maxdepth: int | None,
    ) -> None:
        """Move objects: copy them, and delete what was copied.

        Raises:
            ConfigError: A folder would be moved into itself, an object to itself or to the name of
                another that is to be moved, or two objects to one name. Nothing is changed.
            NotFoundError: Nothing is there to move.
            IntegrityError: An object was replaced after it was copied; it stays.
        """
        if isinstance(path1, str) and isinstance(path2, str):
            source, target = self._strip_protocol(path1), self._strip_protocol(path2)
            if source == target and not path2.endswith("/"):
                return
            if recursive and f"{target}/".startswith(f"{source}/"):
                raise ConfigError(
                    f"move {source} to {target}: a folder cannot be moved into itself"
                )
        await self._objects(path1, recursive, maxdepth)  # an error, if nothing is there
        copies: Copies = {}
        await self._copy(path1, path2, recursive, maxdepth=maxdepth, copies=copies)
        await self._in_chunks([self._delete_copied(*one) for one in copies.values()])

    async def _delete_copied(self, before: ObjectInfo, copy: ObjectInfo) -> None:
        await self._run(self._tree.delete_copied, before, copy)
        self.invalidate_cache(self._tree.path(before.url))

    async def _rm_file(self, path: str, **_: Any) -> None:
        path = self._strip_protocol(path)
        await self._run(self._tree.delete, path)
        self.invalidate_cache(path)

    async def _rm(
        self,
        path: str | list[str],
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """Delete objects; with `recursive` also those below folders. Buckets stay.

        Raises:
            ConfigError: It would be all buckets of the cluster.
            NotFoundError: Nothing is there to delete.
        """
        paths = await self._objects(path, recursive, maxdepth)
        await self._in_chunks([self._rm_file(one) for one in paths])

    async def _in_chunks(self, coros: list[Coroutine[Any, Any, None]]) -> None:
        await fsspec.asyn._run_coros_in_chunks(coros, self.batch_size, nofiles=True)

    async def _objects(
        self, path: str | list[str], recursive: bool, maxdepth: int | None
    ) -> list[str]:
        """Return the objects to delete; of a pattern without `recursive` not those in folders."""
        given = [path] if isinstance(path, str) else path
        if recursive and "" in map(self._strip_protocol, given):
            raise ConfigError(f"{path!r} stands for all buckets of the cluster: name a bucket")
        paths: list[str] = await self._expand_path(path)
        if recursive:
            found = [await self._find(one, maxdepth=maxdepth) for one in paths]
            paths = [*dict.fromkeys(name for names in found for name in names)]
        elif any(map(has_magic, given)):
            paths = [one for one in paths if not await self._isdir(one)]
        if not paths:
            raise NotFoundError(f"{path!r}: no such object")
        return paths

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        path = self._strip_protocol(path)
        await self._run(self._tree.create_bucket, path, exist_ok=False)
        self.invalidate_cache(path)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        # fsspec calls this with exist_ok before it writes: a misspelt bucket is not to be created.
        if not exist_ok:
            await self._mkdir(path)

    async def _rmdir(self, path: str, **_: Any) -> None:
        path = self._strip_protocol(path)
        await self._run(self._tree.delete_bucket, path)
        self.invalidate_cache(path)

    def rmdir(self, path: str) -> None:
        """Delete a bucket, which must be empty; a folder is gone with its last object."""
        fsspec.asyn.sync(self.loop, self._rmdir, path)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the listings of a path and of the folders that it is in; without one, all."""
        self._changes += 1
        if path is None:
            self.dircache.clear()
            return
        path = self._strip_protocol(path)
        while True:
            self.dircache.pop(path, None)
            if not path:
                break
            path = self._parent(path)

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """Open an object as a file; see `fsspec.AbstractFileSystem.open`.

        A file that is written appears when it is closed. If the block of a `with` statement raises,
        nothing is stored: also of text and of compressed files.
        """
        is_binary = "b" in mode
        if "r" in mode or (is_binary and compression is None):
            return super().open(path, mode, block_size, cache_options, compression, **options)
        names = () if is_binary else ("encoding", "errors", "newline")
        as_text = {name: options.pop(name) for name in names if name in options}
        kind = get_compression(path, compression)
        file = super().open(path, mode.replace("t", "").replace("b", "") + "b", **options)
        try:
            if kind:
                file = CompressedFile(file, compr[kind])
            return file if is_binary else TextFile(file, **as_text)
        except BaseException:  # such as an encoding that there is not
            file.abort()
            raise

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_type: str | None = None,
        cache_options: dict[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        if mode == "rb":
            if cache_type or cache_options or block_size:
                return self._open_cached(path, block_size, cache_type, cache_options)
            file = self._tree.open(path)
            # fsspec reads them of any file.
            file.fs, file.path, file.size = self, path, file.raw.info.size_bytes
            return file
        if mode not in ("wb", "xb"):
            raise NotImplementedError(
                f"open {path!r} with mode {mode!r}: an object is read, or written anew"
            )
        writer = self._tree.writer(path, overwrite=mode != "xb", options=self._write_options)
        on_stored = partial(self.invalidate_cache, path)
        return WrittenFile(writer, path, is_deferred=not autocommit, on_stored=on_stored)

    def _open_cached(
        self,
        path: str,
        block_size: int | None,
        cache_type: str | None,
        cache_options: dict[str, Any] | None,
    ) -> CachedFile:
        version = self._tree.head(path)
        return CachedFile(
            self,
            path,
            partial(self._tree.read, version=version),
            block_size=block_size or "default",
            cache_type=cache_type or "readahead",
            cache_options=cache_options,
            size=version.size_bytes,
        )


def _check_apart(pairs: list[tuple[str, str]]) -> None:
    """Check that no copy replaces another one, or what is to be copied.

    Args:
        pairs: Sources and copies. Folders may be among them, which are not copied themselves.

    Raises:
        ConfigError: One would.
    """
    sources = {source for source, _ in pairs}
    folders = {one[:end] for one in sources for end, mark in enumerate(one) if mark == "/"}
    by_target: dict[str, str] = {}
    for source, target in pairs:
        if source in folders:
            continue
        if source == target:
            raise ConfigError(f"copy {source}: it cannot be copied to itself; nothing was changed")
        other = by_target.setdefault(target, source)
        if other != source:
            raise ConfigError(
                f"copy {source} to {target}: {other} would be copied there, too; nothing was "
                f"changed"
            )
        if target in sources and target not in folders:
            raise ConfigError(
                f"copy {source} to {target}: this is itself to be copied; nothing was changed: "
                f"copy to names apart from the sources"
            )
