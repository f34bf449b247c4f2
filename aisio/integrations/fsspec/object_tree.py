"""ObjectTree: buckets and objects as the folders and files that fsspec knows.

Paths are URLs without their scheme: "bucket/folder/name". A folder is there as long as an object is
below it. What is returned of an object is a dict of `name`, `size` in bytes and `type`, with
`checksum`, `etag`, `version` and `mtime` (seconds since 1970) where the store tells them. Where
there are no entity tags, `etag` is the checksum, or the version. AIStore tells the last change of
one object on request, and otherwise the last access, which is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from aisio.atomic_write import atomic_write
from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import (
    ConfigError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    RangeError,
)
from aisio.records import ByteRange, ObjectInfo
from aisio.stores import AisStore, DirectSettings, Store, store_for
from aisio.transport.body import Body, read_with_retries
from aisio.transport.parallel import read_into
from aisio.transport.retries import Attempts
from aisio.transport.targets import FileTarget
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ALIASES, ObjectUrl

__all__ = ["Entry", "ObjectTree", "within"]

Entry = dict[str, Any]


class ObjectTree:
    """The buckets of one scheme; pickles, and threads and processes may share one.

    Args:
        scheme: Of the URLs, such as "ais".
        client: The cluster; by default that of `endpoint`, or of AIS_ENDPOINT.
        endpoint: URL of the cluster.
        direct: Reach a cloud directly even if there is a cluster; settings say how.
    """

    def __init__(
        self,
        scheme: str,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
    ) -> None:
        self._scheme = scheme
        self._client = explicit_client(client, endpoint)
        self._direct = direct

    def url(self, path: str) -> ObjectUrl:
        """Return the URL of a path.

        Raises:
            UrlError: It has no bucket, or a name that no store accepts.
        """
        return ObjectUrl.parse(f"{self._scheme}://{path}")

    def path(self, url: str) -> str:
        """Return the path of a URL."""
        return url.partition("://")[2].rstrip("/")

    def info(self, path: str) -> Entry:
        """Return what there is at a path: an object, a folder or a bucket.

        Raises:
            NotFoundError: Nothing is there.
        """
        if not path:
            return _folder("")
        url, store = self._find(path)
        if url.name:
            with suppress(NotFoundError):
                return self._entry(store, store.head(url))
        if self._has_any(store, url):
            return _folder(path)
        raise NotFoundError(f"{url}: there is no such object, folder or bucket", url=str(url))

    def level(self, path: str) -> list[Entry]:
        """List a folder or bucket; a path of nothing lists the buckets, one of an object itself.

        Raises:
            NotFoundError: Nothing is there.
            ConfigError: The store does not list its buckets.
        """
        if not path:
            return self._buckets()
        url, store = self._find(path)
        entries = [self._entry(store, one) for one in self._below(store.list_level, url)]
        if entries or (not url.name and self._has_any(store, url)):
            return entries
        return [self._entry(store, store.head(url))]

    def find(self, path: str, *, prefix: str = "", is_level: bool = False) -> Iterator[Entry]:
        """Yield all objects below a path, in bytewise order of their names; else that at it.

        Nothing is yielded where there are none.

        Args:
            path: A folder, a bucket or an object.
            prefix: Yield only objects whose names below it begin so.
            is_level: Yield only objects directly below it, and its folders.

        Raises:
            NotFoundError: The bucket was deleted while it was listed.
        """
        url, store = self._find(path)
        found = False
        try:
            for info in self._below(store.list_level if is_level else store.list, url, prefix):
                found = True
                yield self._entry(store, info)
        except NotFoundError:
            if found:  # not all of them
                raise
        if not found and url.name and not prefix:
            with suppress(NotFoundError):
                yield self._entry(store, store.head(url))

    def head(self, path: str) -> ObjectInfo:
        """Return what the store says of an object.

        Raises:
            NotFoundError: No such object.
        """
        url, store = self._find(path)
        return store.head(url.require_object())

    def modified_s(self, path: str) -> float:
        """Return when an object was last changed; see `Store.modified_s`.

        Raises:
            NotFoundError: Nothing is there.
            IsADirectoryError: It is a folder, or a bucket.
        """
        url, store = self._find(path)
        if url.name:
            with suppress(NotFoundError):
                return store.modified_s(url)
        self.info(path)  # an error, if nothing is there
        raise IsADirectoryError(f"{url} is a folder: only objects have a time of their last change")

    def read(
        self,
        path: str,
        start: int | None = None,
        stop: int | None = None,
        *,
        version: ObjectInfo | None = None,
    ) -> bytes:
        """Return an object, or bytes [start, stop) of it as of a slice, by one request.

        Args:
            path: The object.
            start: The first byte; below 0 it counts from the object's end, and costs a HEAD before.
            stop: One past the last; as `start`.
            version: What `head` said of the version that is to be read; None for any.

        Raises:
            NotFoundError: No such object.
            RangeError: The store has no such bytes, but says that the object is large enough.
            IntegrityError: It has been replaced since `version`, or between HEAD and GET; or it has
                no known end to count from.
        """
        url, store = self._find(path)
        url.require_object()
        if not start and stop is None and version is None:
            return store.read(url)
        if (start or 0) < 0 or (stop or 0) < 0:
            version = version or store.head(url)
            if version.size_bytes is None:
                raise IntegrityError(
                    f"HEAD {url}: the store does not say how many bytes it has, so none can be "
                    f"counted from its end",
                    url=str(url),
                )
            start, stop, _ = slice(start, stop).indices(version.size_bytes)
        start = start or 0
        if stop is not None and stop <= start:
            return b""

        def read(body: Body) -> bytes:
            if version is not None and not store.is_same(url, version, body.info):
                raise _replaced(url)
            return body.readall()

        opened = partial(store.get, url, ByteRange(start, stop))
        try:
            return read_with_retries(opened, read, Attempts(store.retry_policy))
        except RangeError:
            if start < ((version or store.head(url)).size_bytes or 0):
                if version is None:
                    raise
                raise _replaced(url) from None
            return b""  # as of a slice

    def download(self, path: str, file: str, show: Callable[[int, int | None], None]) -> None:
        """Write an object to a local file, which appears whole.

        Args:
            path: The object.
            file: Path of the file.
            show: Called with the number of bytes so far, and of all.

        Raises:
            NotFoundError: No such object.
        """
        url, store = self._find(path)

        def write(body: Any) -> None:
            with atomic_write(file) as out:
                size = body.size_bytes
                read_into(body, FileTarget(out.fileno()), show=lambda count: show(count, size))

        opened = partial(store.get, url.require_object())
        read_with_retries(opened, write, Attempts(store.retry_policy))

    def store(self, path: str, data: Any, *, overwrite: bool = True) -> ObjectInfo:
        """Store an object.

        Args:
            path: The object.
            data: Bytes, or a binary file.
            overwrite: Replace an object that is there. Otherwise that is looked up first: two
                writers at once may both store it.

        Raises:
            ConflictError: It is there, and `overwrite` is false.
        """
        url, store = self._find(path)
        self._check_absent(store, url.require_object(), overwrite)
        return store.put(url, data)

    def open(self, path: str) -> Any:
        """Open an object as a seekable binary file."""
        url, store = self._find(path)
        return store.open(url.require_object())

    def writer(self, path: str, *, overwrite: bool, options: WriteOptions) -> ObjectWriter:
        """Open an object to be written; see `Store.writer` and `store`."""
        url, store = self._find(path)
        self._check_absent(store, url.require_object(), overwrite)
        return store.writer(url, options)

    def copy(self, path: str, to: str) -> ObjectInfo:
        """Copy an object, and return what the store says of the copy; see `Store.copy`.

        Raises:
            NotFoundError: No such object, or no such bucket.
            ConfigError: The two are the same.
        """
        url, store = self._find(path)
        return store.copy(url.require_object(), self.url(to).require_object())

    def delete(self, path: str) -> None:
        """Delete an object.

        Raises:
            NotFoundError: No such object.
        """
        url, store = self._find(path)
        store.delete(url.require_object())

    def delete_copied(self, before: ObjectInfo, copy: ObjectInfo) -> None:
        """Delete an object that was copied, if it is still the same; see `Store.delete_copied`."""
        url, store = self._find(self.path(before.url))
        store.delete_copied(url, before, copy)

    def create_bucket(self, path: str, *, exist_ok: bool) -> None:
        """Create the bucket of a path; nothing for a path of a folder, which needs no creating.

        Raises:
            ConflictError: The bucket is there, and `exist_ok` is false.
            ConfigError: The store creates no buckets.
        """
        url, store = self._find(path)
        if url.name:
            return
        if not isinstance(store, AisStore):
            raise ConfigError(f"create {url}: aisio creates buckets of a cluster only")
        store.client.bucket(str(url)).create(exist_ok=exist_ok)

    def delete_bucket(self, path: str) -> None:
        """Delete the bucket of a path, which must be empty; nothing for a path of a folder.

        Raises:
            ConflictError: It, or the folder, has objects.
            ConfigError: The store deletes no buckets.
        """
        url, store = self._find(path)
        if next(iter(self._below(store.list, url)), None) is not None:
            raise ConflictError(f"delete {url}: it is not empty", url=str(url))
        if url.name:
            return
        if not isinstance(store, AisStore):
            raise ConfigError(f"delete {url}: aisio deletes buckets of a cluster only")
        store.client.bucket(str(url)).delete()

    def _find(self, path: str) -> tuple[ObjectUrl, Store]:
        url = self.url(path)
        return url, store_for(url, self._client, direct=self._direct)

    def _below(
        self,
        list_: Callable[[ObjectUrl], Iterable[ObjectInfo]],
        url: ObjectUrl,
        prefix: str = "",
    ) -> Iterable[ObjectInfo]:
        name = f"{url.name}/{prefix}" if url.name else prefix
        if prefix.rpartition("/")[2] not in (".", ".."):
            return list_(url.with_name(name))
        # Names begin so, such as .git, but no store is asked for these two: they are no names.
        infos = list_(url.with_name(name.rstrip(".")))
        return (info for info in infos if info.name.startswith(name))

    def _has_any(self, store: Store, url: ObjectUrl) -> bool:
        """Tell whether there is a bucket, or an object below a folder."""
        try:
            found = next(iter(self._below(store.list, url)), None)
        except NotFoundError:
            return False
        return found is not None or not url.name

    def _check_absent(self, store: Store, url: ObjectUrl, overwrite: bool) -> None:
        if overwrite:
            return
        with suppress(NotFoundError):
            store.head(url)
            raise ConflictError(f"write {url}: it is there already", url=str(url))

    def _buckets(self) -> list[Entry]:
        url = self.url("any")
        store = store_for(url, self._client, direct=self._direct)
        if not isinstance(store, AisStore):
            raise ConfigError(f"list {self._scheme}://: name a bucket; only clusters list them")
        buckets = store.client.buckets(ALIASES[self._scheme])
        return [_folder(self.path(str(one.url))) for one in buckets]

    def _entry(self, store: Store, info: ObjectInfo) -> Entry:
        path = self.path(f"{self._scheme}://{info.url.partition('://')[2]}")
        if info.name.endswith("/"):
            return _folder(path)
        checksum = f"{info.checksum.kind}:{info.checksum.value}" if info.checksum else ""
        # By "etag" caches such as those of HF datasets tell whether they have an object's bytes.
        etag = info.etag or checksum or info.version
        known: Entry = {"checksum": checksum, "etag": etag, "version": info.version}
        if not isinstance(store, AisStore):
            known["mtime"] = info.mtime_s
        entry = {"name": path, "size": info.size_bytes, "type": "file"}
        return entry | {key: value for key, value in known.items() if value}


def within(
    path: str, entries: list[Entry], maxdepth: int | None, withdirs: bool
) -> dict[str, Entry]:
    """Return the entries at most so many levels below a path, and the folders that they are in."""
    found: dict[str, Entry] = {}
    for entry in entries:
        name = entry["name"]
        parts = name[len(path) + 1 :].split("/") if name != path else []
        if withdirs and parts:
            for depth in range(len(parts)):
                if maxdepth is None or depth <= maxdepth:
                    folder = "/".join([path, *parts[:depth]])
                    found.setdefault(folder, _folder(folder))
        is_wanted = withdirs or entry["type"] == "file"
        if is_wanted and (maxdepth is None or len(parts) <= maxdepth):
            found[name] = entry
    return found


def _replaced(url: ObjectUrl) -> IntegrityError:
    text = f"GET {url}: the object was replaced while it was read; read it again"
    return IntegrityError(text, url=str(url))


def _folder(path: str) -> Entry:
    return {"name": path, "size": 0, "type": "directory"}
