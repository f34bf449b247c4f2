"""The cache: a folder of downloads that are named after their digests.

What lies in it, for an entry NAME (`{sha256}-{filename}`, as BioNeMo names it by pooch):

NAME                              the file as it was downloaded
NAME.untar/, NAME.unzip/          an archive, unpacked; NAME.decomp: a file, decompressed
NAME.aisio-verified               the marker, see markers.py; its own time is that of the last use
NAME.aisio-lock                   held by whoever works on the entry; empty, and never removed: a
                                  process may be about to lock it
NAME.aisio-holder                 who that is, for those who wait
NAME.aisio-in-use                 shared by the processes that have loaded the entry, see in_use.py;
                                  empty, and never removed
NAME.aisio-unpacking, -old        a result that is being made, or taken away
.NAME.aisio-partial               a download under way or broken off, and its state
NAME.checked                      BioNeMo's own marker: never believed, as it outlives its data, and
                                  removed with what it speaks of

An entry without a digest cannot be told from another by its name, so its NAME holds a digest of
where it comes from: `None-{16 digits}-{filename}`.
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
from typing import NoReturn

from aisio import config
from aisio.catalog.entries import Resource
from aisio.errors import CatalogError, ConfigError
from aisio.resources.cache.disk import clear_errors, sync
from aisio.resources.cache.locks import NO_LOCKS, release, take
from aisio.resources.cache.markers import (
    Marker,
    new_marker,
    read_marker,
    stamp_of,
    write_marker,
)
from aisio.resources.cache.own_files import new_file, read_regular
from aisio.resources.cache.side_files import (
    BIONEMO_MARKER,
    HOLDER,
    LOCK,
    MARKER,
    OLD,
    RESULTS,
    beside,
    take_away,
)

__all__ = ["Cache", "default_cache_folder"]

_DIGEST = re.compile(r"([A-Za-z0-9_-]+:)?[0-9A-Fa-f]+")
# 255, less what ".NAME.json.aisio-partial" adds, the longest name of a side file.
_MOST_NAME_BYTES = 255 - 20
# Kernels stamp files by a clock that moves every 1 to 10 ms.
_CLOCK_NS = 20_000_000
_LONGEST_HOLDER_BYTES = 1024
_log = logging.getLogger(__name__)


def default_cache_folder() -> Path:
    """Return the folder of downloads; it need not exist.

    It is AISIO_CACHE_DIR, else BIONEMO_CACHE_DIR, else the user's cache folder for aisio, as they
    are when this is called; "~" in them is the user's home folder.

    Raises:
        ConfigError: There is no home folder, and neither variable is set, or with a "~".
    """
    import platformdirs

    given = config.first_set("AISIO_CACHE_DIR", "BIONEMO_CACHE_DIR")
    if given:
        return _absolute(given)
    try:
        folder = platformdirs.user_cache_path("aisio")
    except RuntimeError:  # of platformdirs; older ones return "~/.cache/aisio"
        folder = Path()
    if not folder.is_absolute():
        raise ConfigError("there is no home folder to cache in: set AISIO_CACHE_DIR to a folder")
    return folder


class Cache:
    """A folder of downloads; many processes may use it at once.

    Args:
        folder: Where, with "~" for the user's home folder; it is made when the first lock is
            taken.

    Raises:
        ConfigError: A ValueError: it begins with a "~" that is nobody's.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = _absolute(folder)

    def __repr__(self) -> str:
        return f"Cache({str(self.folder)!r})"

    def path_of(self, resource: Resource) -> Path:
        """Return where a resource's download belongs, and its results beside it.

        Raises:
            CatalogError: Its digest or file name cannot be part of the name of a file.
        """
        filename = resource.filename
        if resource.sha256 is None:
            name = f"None-{_origin_digest(resource)}-{filename}"
        elif _DIGEST.fullmatch(resource.sha256):
            name = f"{resource.sha256}-{filename}"
        else:
            _refuse(resource, f"sha256 {resource.sha256!r} is not hexadecimal, nor algorithm:hex")
        if not filename or "/" in filename or "\0" in filename or ".aisio-" in filename:
            _refuse(resource, f"{filename!r} cannot be the name of a file in the cache")
        if len(os.fsencode(name)) > _MOST_NAME_BYTES:
            _refuse(resource, f"the file name {filename!r} is too long for the cache")
        return self.folder / name

    def create(self) -> None:
        """Make the folder where there is none.

        Raises:
            AccessError: A PermissionError: that is not allowed; names the variable to set.
        """
        with clear_errors("creating a cache directory at", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lock(self, path: Path, *, wait: bool = True) -> Iterator[None]:
        """Keep other processes and threads from working on an entry; makes the folder.

        A lock goes with its process, however that ends. Who waits for longer than a second says
        so, and for whom, at level INFO.

        Args:
            path: From `path_of`.
            wait: False: raise BlockingIOError where another holds it.

        Raises:
            AccessError: A PermissionError: nothing can be written in the folder.
            OSError: The file system has no locks.
        """

        def say() -> None:
            _log.info("%s: waiting for %s, which is working on it", path, _holder(path))

        self.create()
        try:
            with clear_errors("locking", path):
                _check_writable(self.folder)
                held = take(beside(path, LOCK), on_wait=say if wait else None)
        except BlockingIOError:
            raise BlockingIOError(f"{path}: {_holder(path)} is working on it") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            raise OSError(
                f"locking {path}: this file system has no locks ({error}); set AISIO_CACHE_DIR to "
                "a folder on one that has"
            ) from error
        try:
            _name_holder(path)
            yield
        finally:
            with suppress(OSError):
                beside(path, HOLDER).unlink(missing_ok=True)
            release(held)

    def verified(self, path: Path, result: Path | None = None) -> Path | None:
        """Return what was made of an entry if it looks as it did when it was verified, and fast.

        Nothing is hashed: see markers.py for what is compared. The entry counts as used now.

        Args:
            path: From `path_of`.
            result: What is wanted: the path itself, or what it is unpacked to; without it what
                was marked last.

        Returns:
            The result, or None: hash the file, unpack it where need be, and `mark` it.
        """
        marker = self.marker(path)
        if marker is None or not marker.results or not marker.file.fits(str(path)):
            return None
        with suppress(OSError):  # a folder that cannot be written has no last use
            # First: whoever prunes then sees it, or what is removed is missed below.
            os.utime(beside(path, MARKER), follow_symlinks=False)
        name = result.name if result is not None else list(marker.results)[-1]
        found = path.with_name(name)
        stamp = marker.results.get(name)
        if stamp is None or (result is not None and result != found) or not stamp.fits(str(found)):
            return None
        return found

    def marker(self, path: Path) -> Marker | None:
        """Return an entry's marker, whether it still fits or not; None where there is none."""
        return read_marker(beside(path, MARKER), path.name)

    def mark(self, path: Path, result: Path, *, sha256: str = "") -> None:
        """Say that an entry was verified; the caller holds its lock and has hashed it.

        What it speaks of is on the disk, not only in memory, before the marker is.

        Args:
            path: From `path_of`.
            result: What `load` returns for it: the path itself, or what it is unpacked to.
            sha256: Digest that was found, as a catalog writes it, so that `verify` can tell where
                the name has none.

        Raises:
            OSError: It cannot be written.
        """
        with clear_errors("marking", path):
            sync(path)
            sync(result)
            file = stamp_of(path)
            before = self.marker(path)
            results = {}
            if before is not None and before.file == file:
                sha256 = sha256 or before.sha256
                results = {
                    name: stamp
                    for name, stamp in before.results.items()
                    if stamp.fits(str(path.with_name(name)))
                }
            results.pop(result.name, None)
            results[result.name] = stamp_of(result)
            write_marker(beside(path, MARKER), new_marker(path.name, sha256, file, results))
        _let_clock_pass(max(time for stamp in results.values() for time in stamp.times))

    def forget(self, path: Path) -> None:
        """Remove all that was said of an entry or made from it; the download itself stays.

        To be called, with the lock held, before a download is replaced: what was unpacked from
        the old bytes must not be taken for what is in the new ones.

        Raises:
            OSError: It cannot be removed.
        """
        with clear_errors("removing", path):
            beside(path, MARKER).unlink(missing_ok=True)
            beside(path, BIONEMO_MARKER).unlink(missing_ok=True)
            for suffix in RESULTS:
                take_away(beside(path, suffix), beside(path, OLD))


def _absolute(folder: Path | str) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(f"cache folder {folder}: {error}; give its whole path") from error


def _check_writable(folder: Path) -> None:
    """Raise an error where nothing can be written, though there may be a file to lock."""
    if not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        code = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(code, os.strerror(code), str(folder))


def _name_holder(path: Path) -> None:
    # Not over what another user's process left when it was killed.
    with suppress(OSError), os.fdopen(new_file(beside(path, HOLDER)), "wb") as file:
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())


def _holder(path: Path) -> str:
    text = (read_regular(beside(path, HOLDER), _LONGEST_HOLDER_BYTES) or b"").decode(
        "utf-8", "replace"
    )
    return text if text.isprintable() and text else "another process"


def _let_clock_pass(time_ns: int) -> None:
    """Wait until a change would get a later time than the one that was noted."""
    left_ns = time_ns + _CLOCK_NS - time.time_ns()
    if 0 < left_ns <= _CLOCK_NS:
        time.sleep(left_ns / 1e9)


def _origin_digest(resource: Resource) -> str:
    origin = [resource.url, resource.pbss, resource.ngc, resource.ngc_registry, resource.endpoint]
    if not any((resource.url, resource.pbss, resource.ngc)):
        origin += resource.mirrors[:1]
    text = "\n".join(part or "" for part in origin)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _refuse(resource: Resource, what: str) -> NoReturn:
    raise CatalogError(f"{resource.tag}: {what}", problems=(f"{resource.tag}: {what}",))
