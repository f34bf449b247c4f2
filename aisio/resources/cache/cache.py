"""The cache: a folder of downloads that are named after their digests.

An entry NAME (`{sha256}-{filename}`, the name that BioNeMo gives it with pooch) has these files:

NAME                              the downloaded file
NAME.untar/, NAME.unzip/          the unpacked archive; NAME.decomp: the decompressed file
NAME.aisio-verified               the marker, see markers.py; its own time is that of the last use
NAME.aisio-lock                   locked by the process that works on the entry; empty, and never
                                  removed, as another process may be about to lock it
NAME.aisio-holder                 which process that is, for processes that wait
NAME.aisio-in-use                 locked by the processes that have loaded the entry, see in_use.py;
                                  empty, and never removed
NAME.aisio-unpacking, -old        a result that is being made, or removed
.NAME.aisio-partial               an unfinished download, and its state
NAME.checked                      BioNeMo's own marker: it outlives its data, so it is ignored, and
                                  removed with the entry

An entry without a digest has a digest of its origin in its NAME, so that equal file names of
different origins do not collide: `None-{16 digits}-{filename}`.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aisio.catalog.entries import Resource
from aisio.config import absolute_folder, default_cache_folder
from aisio.errors import CatalogError
from aisio.file_locks import NO_LOCKS_ERRNOS, acquire, release
from aisio.resources.cache.disk import explain_disk_errors, sync
from aisio.resources.cache.markers import (
    Marker,
    new_marker,
    read_marker,
    stamp_of,
    write_marker,
)
from aisio.resources.cache.own_files import create_file, read_regular_file
from aisio.resources.cache.side_files import (
    BIONEMO_MARKER,
    LOCK,
    LOCK_HOLDER,
    MARKER,
    OLD,
    RESULTS,
    side_file,
    swap_or_remove,
)

__all__ = ["Cache", "default_cache_folder"]

_DIGEST = re.compile(r"([A-Za-z0-9_-]+:)?[0-9A-Fa-f]+")
# 255, less what ".NAME.json.aisio-partial" adds, the longest name of a side file.
_MAX_NAME_BYTES = 255 - 20
# Kernels take file times from a clock that ticks every 1 to 10 ms.
_CLOCK_TICK_NS = 20_000_000
_MAX_HOLDER_BYTES = 1024
_log = logging.getLogger(__name__)


class Cache:
    """A folder of downloads; many processes may use it at once.

    Args:
        folder: The folder, with "~" for the user's home folder; it is created with the first lock.

    Raises:
        ConfigError: A ValueError: it is empty, or begins with "~" and the name of no user.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = absolute_folder(folder)

    def __repr__(self) -> str:
        return f"Cache({str(self.folder)!r})"

    def path_of(self, resource: Resource) -> Path:
        """Return the path of a resource's download; its results lie beside it.

        Raises:
            CatalogError: Its digest or file name cannot be part of the name of a file.
        """
        filename = resource.filename
        if resource.sha256 is None:
            name = f"None-{_origin_digest(resource)}-{filename}"
        elif _DIGEST.fullmatch(resource.sha256):
            name = f"{resource.sha256}-{filename}"
        else:
            raise _error(
                resource, f"sha256 {resource.sha256!r} is not hexadecimal, nor algorithm:hex"
            )
        if not filename or "/" in filename or "\0" in filename or ".aisio-" in filename:
            raise _error(resource, f"{filename!r} cannot be the name of a file in the cache")
        if len(os.fsencode(name)) > _MAX_NAME_BYTES:
            raise _error(resource, f"the file name {filename!r} is too long for the cache")
        return self.folder / name

    def create_folder(self) -> None:
        """Create the folder if it does not exist.

        Raises:
            AccessError: A PermissionError: this user may not create it; names the variable to set.
        """
        with explain_disk_errors("creating a cache directory at", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lock(self, path: Path, *, wait: bool = True) -> Iterator[None]:
        """Keep other processes and threads from working on an entry; creates the folder.

        The lock ends with the process that holds it, however it ends. After a second of waiting,
        the name of that process is logged at level INFO.

        Args:
            path: From `path_of`.
            wait: False: raise BlockingIOError where another process or thread holds the lock.

        Raises:
            AccessError: A PermissionError: nothing can be written in the folder.
            OSError: The file system has no locks.
        """

        def log_wait() -> None:
            _log.info("%s: waiting for %s, which is working on it", path, _read_holder(path))

        self.create_folder()
        try:
            with explain_disk_errors("locking", path):
                _check_writable(self.folder)
                descriptor = acquire(side_file(path, LOCK), on_wait=log_wait if wait else None)
        except BlockingIOError:
            raise BlockingIOError(f"{path}: {_read_holder(path)} is working on it") from None
        except OSError as error:
            if error.errno not in NO_LOCKS_ERRNOS:
                raise
            raise OSError(
                f"locking {path}: this file system has no locks ({error}); set AISIO_CACHE_DIR to "
                "a folder on one that has"
            ) from error
        try:
            _write_holder(path)
            yield
        finally:
            with suppress(OSError):
                side_file(path, LOCK_HOLDER).unlink(missing_ok=True)
            release(descriptor)

    def find_verified(self, path: Path, result: Path | None = None) -> Path | None:
        """Return the result of an entry if it looks as it did when it was verified.

        This is fast, as nothing is hashed: see markers.py for what is compared. The entry counts as
        used now.

        Args:
            path: From `path_of`.
            result: The wanted result: the path itself, or what it is unpacked to. Without it the
                result that was marked last.

        Returns:
            The result. None if it is not verified: hash the file, unpack it if needed, and call
            `mark_verified`.
        """
        marker = self.marker(path)
        if marker is None or not marker.results or not marker.file.matches(str(path)):
            return None
        with suppress(OSError):  # in a folder that cannot be written the time stays
            # Before looking: either pruning sees the time, or the stamp below finds nothing.
            os.utime(side_file(path, MARKER), follow_symlinks=False)
        name = result.name if result is not None else list(marker.results)[-1]
        verified = path.with_name(name)
        stamp = marker.results.get(name)
        if stamp is None or result not in (None, verified) or not stamp.matches(str(verified)):
            return None
        return verified

    def marker(self, path: Path) -> Marker | None:
        """Return an entry's marker, even if the entry has changed since; None without a marker."""
        return read_marker(side_file(path, MARKER), path.name)

    def mark_verified(self, path: Path, result: Path, *, sha256: str = "") -> None:
        """Mark an entry as verified; the caller holds its lock and has hashed it.

        The entry is written to the disk itself before its marker is.

        Args:
            path: From `path_of`.
            result: What `load` returns for it: the path itself, or what it is unpacked to.
            sha256: Digest of the download, as a catalog writes it; `verify` uses it for entries
                without a digest in their name.

        Raises:
            OSError: It cannot be written.
        """
        with explain_disk_errors("marking", path):
            sync(path)
            sync(result)
            file = stamp_of(path)
            previous = self.marker(path)
            results = {}
            if previous is not None and previous.file == file:
                sha256 = sha256 or previous.sha256
                results = {
                    name: stamp
                    for name, stamp in previous.results.items()
                    if stamp.matches(str(path.with_name(name)))
                }
            results.pop(result.name, None)
            results[result.name] = stamp_of(result)
            write_marker(side_file(path, MARKER), new_marker(path.name, sha256, file, results))
        _wait_for_clock_tick(max(time for stamp in results.values() for time in stamp.times))

    def invalidate(self, path: Path) -> None:
        """Remove the markers and results of an entry; the download itself stays.

        Call this, with the lock held, before a download is replaced: a result of the old bytes must
        not be taken for one of the new bytes.

        Raises:
            OSError: It cannot be removed.
        """
        with explain_disk_errors("removing", path):
            side_file(path, MARKER).unlink(missing_ok=True)
            side_file(path, BIONEMO_MARKER).unlink(missing_ok=True)
            for suffix in RESULTS:
                swap_or_remove(side_file(path, suffix), side_file(path, OLD))


def _check_writable(folder: Path) -> None:
    """Raise an error where nothing can be written, even if there is a lock file already."""
    if not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        code = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(code, os.strerror(code), str(folder))


def _write_holder(path: Path) -> None:
    # Another user's process may have left the file, which this user then cannot replace.
    with suppress(OSError), os.fdopen(create_file(side_file(path, LOCK_HOLDER)), "wb") as file:
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())


def _read_holder(path: Path) -> str:
    content = read_regular_file(side_file(path, LOCK_HOLDER), _MAX_HOLDER_BYTES) or b""
    text = content.decode("utf-8", "replace")
    return text if text.isprintable() and text else "another process"


def _wait_for_clock_tick(time_ns: int) -> None:
    """Wait until a change to a file would get a later time than this one."""
    wait_ns = time_ns + _CLOCK_TICK_NS - time.time_ns()
    if 0 < wait_ns <= _CLOCK_TICK_NS:
        time.sleep(wait_ns / 1e9)


def _origin_digest(resource: Resource) -> str:
    origin = [resource.url, resource.pbss, resource.ngc, resource.ngc_registry, resource.endpoint]
    if not any((resource.url, resource.pbss, resource.ngc)):
        origin += resource.mirrors[:1]
    text = "\n".join(part or "" for part in origin)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _error(resource: Resource, problem: str) -> CatalogError:
    text = f"{resource.tag}: {problem}"
    return CatalogError(text, problems=(text,))
