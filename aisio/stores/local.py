"""LocalStore: folders of this machine as a Store; file:///data/a.tar is /data/a.tar."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path

from msgspec.structs import replace

from aisio.atomic_write import (
    PARTIAL_SUFFIX,
    atomic_write,
    is_being_written,
    is_special,
    open_special,
)
from aisio.errors import AccessError, ConfigError, NotFoundError, RangeError, StorageError
from aisio.folder_walk import OnBrokenLink, walk
from aisio.records import ByteRange, ObjectInfo, UnfinishedUpload
from aisio.stores.base import Store
from aisio.stores.local_upload import LocalUpload
from aisio.transport.body import Body
from aisio.transport.parallel_upload import ParallelUpload
from aisio.transport.payload import Payload, PutData
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import FILE, ObjectUrl


class LocalStore(Store):
    """The file system: names are absolute paths without their leading "/"."""

    def _key(self) -> Hashable:
        return ()

    def __repr__(self) -> str:
        return "LocalStore()"

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; links to files and folders are followed."""
        return self._list(prefix, start_after, None)

    def list_around_broken_links(
        self, prefix: ObjectUrl, on_error: OnBrokenLink
    ) -> Iterator[ObjectInfo]:
        """List as `list` does, but pass over broken links; `on_error` is called for each."""
        return self._list(prefix, "", on_error)

    def _list(
        self, prefix: ObjectUrl, start_after: str, on_error: OnBrokenLink | None
    ) -> Iterator[ObjectInfo]:
        folder, _, start = prefix.name.rpartition("/")
        with _translate_errors("list", prefix):
            if not Path("/", folder).is_dir():
                raise NotFoundError(f"list {prefix}: there is no folder /{folder}", url=str(prefix))
            root = f"{folder}/" if folder else ""
            files = walk(
                f"/{folder}", root, prefix=start, start_after=start_after, on_error=on_error
            )
            try:
                for file in files:
                    yield info_of_file(prefix.root, file.name, file.stat)
            except FileNotFoundError as error:  # no NotFoundError, which means a missing folder
                raise StorageError(
                    f"list {prefix}: {error.filename} vanished while the folder was listed: list "
                    f"it again",
                    url=str(prefix),
                ) from error

    def head(self, url: ObjectUrl) -> ObjectInfo:
        """See `Store.head`."""
        with _translate_errors("head", url):
            path = _file(url)
            if is_special(path):
                raise _not_a_regular_file("head", url)
            return info_of_file(url.root, url.name, path.stat())

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """See `Store.get`; only the length is verified: a file system has no checksums."""
        if etl_name:
            raise ConfigError(f"get {url}: a local file cannot be transformed by ETL {etl_name!r}")
        with _translate_errors("get", url):
            file = _open(url)
        info = info_of_file(url.root, url.name, os.fstat(file.fileno()))
        size = info.size_bytes or 0
        start, stop = (byte_range.start, byte_range.stop) if byte_range else (0, None)
        if start and start >= size:
            file.close()
            raise RangeError(
                f"get {url}: {byte_range} lies outside its {size:,} bytes", url=str(url)
            )
        file.seek(start)
        return Body(file, info, min(size, size if stop is None else stop) - start)

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        """See `Store.put`; missing folders are made, pipes and devices are written into."""
        path = Path("/", url.require_object().name)
        with _translate_errors("put", url), Payload(data) as payload:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, payload)
            info = info_of_file(url.root, url.name, path.stat())
        return replace(info, size_bytes=payload.size_bytes)

    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        """See `Store.writer`; missing folders are made.

        The bytes go to a temporary file in the same folder. On close they are flushed to the disk,
        and the file gets its name. A process that is killed leaves the temporary file behind:
        see `unfinished_uploads`.

        Raises:
            StorageError: The URL is that of a folder, pipe or device.
        """
        path = Path("/", url.require_object().name)
        if url.provider != FILE:
            raise ConfigError(f"{url} is not a local file")
        with _translate_errors("write", url):
            if path.is_dir() or is_special(path):
                raise StorageError(f"write {url}: it is not a regular file", url=str(url))
        options = options or WriteOptions()
        translate = partial(_translate_errors, "write", url)
        upload = LocalUpload(path, partial(self.head, url), translate)
        return ObjectWriter(str(url), upload.put_whole, ParallelUpload(upload, options), options)

    def unfinished_uploads(self, prefix: ObjectUrl) -> Iterator[UnfinishedUpload]:
        """See `Store.unfinished_uploads`: the temporary files in folders that have the prefix.

        Their names do not tell which file they would become: the URL is that of the folder. Those
        that a process still writes are left out where the file system has locks.
        """
        folder = Path("/", prefix.name.rpartition("/")[0])
        with _translate_errors("list", prefix):
            for path in sorted(folder.rglob(f".*{PARTIAL_SUFFIX}")):
                url = f"{prefix.root}{path.parent}/"
                try:
                    begun_s = path.stat().st_mtime
                except FileNotFoundError:  # the upload has ended meanwhile
                    continue
                if url.startswith(str(prefix)) and not is_being_written(path):
                    yield UnfinishedUpload(url, str(path), begun_s)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """See `Store.abort_upload`."""
        path = Path(upload.id)
        if not path.name.endswith(PARTIAL_SUFFIX):
            raise ConfigError(f"{upload.id!r} is not the temporary file of a write")
        path.unlink(missing_ok=True)

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        """See `Store.delete`; folders stay."""
        try:
            with _translate_errors("delete", url):
                _file(url).unlink()
        except NotFoundError:
            if not missing_ok:
                raise


def write_file(path: Path, payload: Payload) -> None:
    """Write a file so that a reader sees the old bytes or all of the new ones, at any time.

    A pipe or device is not replaced: its reader gets the bytes as they are written.
    """
    with open_special(path) if is_special(path) else atomic_write(path) as file:
        for chunk in payload.chunks():
            file.write(chunk)


def _file(url: ObjectUrl) -> Path:
    if url.provider != FILE:
        raise ConfigError(f"{url} is not a local file")
    path = Path("/", url.require_object().name)
    if path.is_dir():
        raise NotFoundError(f"{url} is a folder, not a file", url=str(url))
    return path


def _open(url: ObjectUrl) -> FileIO:
    """Open a file whose size is known, which excludes pipes and devices."""
    path = _file(url)
    if is_special(path):  # checked before opening it: opening a pipe would wait for its writer
        raise _not_a_regular_file("get", url)
    file = FileIO(path)
    if os.fstat(file.fileno()).st_size == 0 and file.read(1):
        file.close()
        raise StorageError(
            f"get {url}: its size is said to be 0, but it has bytes, as files of /proc do: copy it "
            f"with another program first",
            url=str(url),
        )
    return file


def _not_a_regular_file(operation: str, url: ObjectUrl) -> StorageError:
    return StorageError(f"{operation} {url}: it is a pipe, device or socket", url=str(url))


def info_of_file(root: str, name: str, stat: os.stat_result) -> ObjectInfo:
    """Return what a LocalStore lists of a file in this state."""
    return ObjectInfo(
        root,
        name,
        stat.st_size,
        etag=_version(stat),
        mtime_s=stat.st_mtime,
    )


def _version(stat: os.stat_result) -> str:
    """Return what tells one version of a file from another.

    Size and time alone are not enough. Another file has the same if it was copied with its time,
    moved into place, or is on another mount. No program can set the time of the last change to the
    inode.
    """
    state = (stat.st_mtime_ns, stat.st_size, stat.st_dev, stat.st_ino, stat.st_ctime_ns)
    return "-".join(f"{number:x}" for number in state)


def last_change_ns(info: ObjectInfo) -> int:
    """Return when a file that a LocalStore listed was last changed, in ns since 1970."""
    times = info.etag.split("-")
    return max(int(times[0], 16), int(times[-1], 16))


@contextmanager
def _translate_errors(operation: str, url: ObjectUrl) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"{operation} {url}: no such file", url=str(url)) from error
    except PermissionError as error:
        raise AccessError(f"{operation} {url}: the file system forbids it", url=str(url)) from error
    except OSError as error:
        raise StorageError(f"{operation} {url}: {error.strerror or error}", url=str(url)) from error
