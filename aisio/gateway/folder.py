"""A folder seen as buckets of objects: every file system call of the gateway but the listing's.

What is written goes to a file below `.aisio/tmp` first and gets its name by a rename, so at any
moment, also after kill -9, a name has its old bytes or its new ones. One lock orders the changes
of one gateway, a lock file keeps a second writing gateway away. Nothing is forced to the disk
(fsync): after a power cut the system decides what is left, as it does for any program that copies
files.

Paths are resolved before use, or seen to have no link on them, and what does not end up inside the
folder is refused; links that stay inside are followed.
"""

# ruff: noqa: PTH103, PTH104, PTH105, PTH106, PTH108, PTH112, PTH113, PTH114, PTH115, PTH116, PTH118, PTH120
# Paths are strings here: to make Path objects of them costs more than the system calls do.

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from typing import NamedTuple

from aisio.checksums import HASHERS
from aisio.errors import ConfigError
from aisio.gateway.bucket_props import OPERATIONS, READ_WRITE
from aisio.gateway.metadata import FileState, Metadata, Parted, Record
from aisio.gateway.names import BucketName, is_bucket, is_namespace
from aisio.gateway.refusals import Refusal, no_bucket, no_object
from aisio.gateway.uploads import Upload
from aisio.records import Checksum

OWN_FOLDER = ".aisio"
_HASH_BYTES = 1 << 20

# A fifo would block the open, were it not for O_NONBLOCK; regular files ignore the flag.
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class OpenObject(NamedTuple):
    """An object opened for reading: its bytes stay, also where the name gets others meanwhile."""

    file: io.FileIO
    status: os.stat_result


class Folder:
    """The served folder.

    Args:
        path: An existing folder.
        read_only: Leave no trace in it.
    """

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self.root = path
        self.read_only = read_only
        self.stopping = threading.Event()
        self.lock = threading.RLock()
        self._upload_numbers = itertools.count(1)
        self._lock_file: int | None = None

    def open(self) -> None:
        """Take the folder: lock it, remove what a killed gateway left, open the metadata.

        Raises:
            ConfigError: No such folder, another gateway writes to it, or its metadata is damaged.
        """
        if not os.path.isdir(self.root):
            raise ConfigError(f"{self.root} is not a folder: nothing to serve")
        self.root = os.path.realpath(self.root)
        self.read_only = self.read_only or not os.access(self.root, os.W_OK)
        self._temporary = os.path.join(self.root, OWN_FOLDER, "tmp")
        file = os.path.join(self.root, OWN_FOLDER, "metadata.db")
        if self.read_only:
            self.metadata = Metadata.open(None, seed=file if os.path.isfile(file) else None)
            return
        os.makedirs(self._temporary, exist_ok=True)
        self._take_lock()
        with os.scandir(self._temporary) as entries:
            for entry in list(entries):
                _remove(entry.path)
        self.metadata = Metadata.open(file)

    def close(self) -> None:
        """Let the folder go; running checksums of found files end early."""
        self.stopping.set()
        self.metadata.close()
        if self._lock_file is not None:
            os.close(self._lock_file)

    def bucket_status(self, bucket: BucketName) -> os.stat_result:
        """Return the status of a bucket's folder.

        Raises:
            Refusal: There is no such bucket.
        """
        return os.stat(self.bucket_path(bucket))

    def buckets(self) -> Iterator[BucketName]:
        """Yield the buckets: folders named as buckets can be, also below `#namespace`."""
        for name in self._folders(""):
            if is_bucket(name):
                yield BucketName(name)
            elif is_namespace(name):
                yield from (
                    BucketName(inner, name[1:]) for inner in self._folders(name) if is_bucket(inner)
                )

    def bucket_path(self, bucket: BucketName) -> str:
        """Return the resolved path of an existing bucket.

        Raises:
            Refusal: There is no such bucket.
        """
        path = self._resolve(bucket.folder)
        if path is None or not os.path.isdir(path):
            raise no_bucket(bucket.url)
        return path

    def create_bucket(self, bucket: BucketName) -> None:
        """Make a bucket.

        Raises:
            Refusal: It exists.
        """
        self.require_writable()
        path = os.path.join(self.root, bucket.folder)
        with self.lock:
            if os.path.lexists(path):
                raise Refusal(
                    409, f'bucket "{bucket.url}" already exists', tcode="ErrBucketAlreadyExists"
                )
            os.makedirs(path)

    def ensure_bucket(self, bucket: BucketName) -> None:
        """Make a bucket if it is not there."""
        self.require_writable()
        with self.lock:
            os.makedirs(os.path.join(self.root, bucket.folder), exist_ok=True)
            self.bucket_path(bucket)

    def destroy_bucket(self, bucket: BucketName) -> None:
        """Remove a bucket: gone at once for all to see, its files a little later.

        Raises:
            Refusal: There is no such bucket.
        """
        self.require_writable()
        rest = self._temporary_path()
        with self.lock:
            self.bucket_path(bucket)
            os.rename(os.path.join(self.root, bucket.folder), rest)
            self.metadata.forget_bucket(bucket)
            if bucket.namespace:
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.join(self.root, f"#{bucket.namespace}"))
        _remove(rest)

    def open_object(self, bucket: BucketName, name: str) -> OpenObject:
        """Open an object for reading.

        Raises:
            Refusal: There is no such object or bucket, or it lies outside the folder.
        """
        handle = self._open_plain(bucket, name)
        if handle is None:
            path = self.object_path(bucket, name)
            try:
                handle = os.open(path, _TO_READ)
            except OSError as error:
                raise self.why_not(bucket, name, error) from None
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            os.close(handle)
            raise no_object(f"{bucket.url}/{name}")
        return OpenObject(io.FileIO(handle, "rb"), status)

    def _open_plain(self, bucket: BucketName, name: str) -> int | None:
        """Open a file to whose path no link leads; None where one does, or there is none.

        To resolve a path takes a call for each of its folders; the system says at once whether what
        it opened lies at the very path that it was given.
        """
        if bucket.folder.startswith("."):
            return None
        path = f"{self.root}/{bucket.folder}/{name}"
        try:
            handle = os.open(path, _TO_READ)
        except (OSError, ValueError):
            return None
        try:
            if os.readlink(f"/proc/self/fd/{handle}") == path:
                return handle
        except OSError:  # no such folder on this system
            pass
        os.close(handle)
        return None

    def begin_upload(self, claimed: Checksum | None) -> Upload:
        """Return the place for an object's bytes to come."""
        return Upload(self._temporary_path(), claimed)

    def finish_upload(
        self,
        upload: Upload,
        last: list[bytes],
        bucket: BucketName,
        name: str,
        parted: Parted | None = None,
    ) -> tuple[Record, os.stat_result]:
        """Take in the last bytes of an upload, and give it its name.

        Args:
            upload: The upload.
            last: Its last bytes.
            bucket: Where it goes.
            name: What it will be called.
            parted: How it came in parts; None if it did not.

        Raises:
            Refusal: Bad checksum, no bucket, or a folder in the way.
        """
        upload.write(last)
        status, checksum = upload.finish(f"{bucket.url}/{name}")
        with self.lock:
            path = self.place_for(bucket, name)
            try:
                os.replace(upload.path, path)
            except OSError as error:
                raise blocked(bucket, name, error) from None
            state = FileState.of(status)
            return self.metadata.replace(bucket, name, state, checksum, parted), status

    def delete_object(self, bucket: BucketName, name: str) -> None:
        """Remove an object, and the folders that it leaves empty.

        Raises:
            Refusal: There is no such object or bucket.
        """
        self.require_writable()
        with self.lock:
            root = self.bucket_path(bucket)
            parent = self._resolve(os.path.dirname(f"{bucket.folder}/{name}"))
            path = os.path.join(parent or root, name.rpartition("/")[2])
            if parent is None or not os.path.isfile(path):
                raise Refusal(404, f"{bucket.url}/{name} doesn't exist")
            os.unlink(path)
            self.metadata.forget(bucket, name)
            self.prune(root, parent)

    def learn_checksum(
        self, bucket: BucketName, name: str, handle: int, state: FileState
    ) -> Record:
        """Read a file through for its checksum, and record it if the name still has those bytes.

        Args:
            bucket: Where the object is.
            name: What it is called.
            handle: File descriptor, closed at the end.
            state: The state of the file when it was opened.

        Raises:
            Refusal: The file changed meanwhile, or the gateway stops.
        """
        try:
            hasher = HASHERS["xxhash2"]()
            for offset in range(0, state.size_bytes, _HASH_BYTES):
                if self.stopping.is_set():
                    raise Refusal(503, "the gateway is stopping")
                hasher.update(os.pread(handle, _HASH_BYTES, offset))
            if FileState.of(os.fstat(handle)) != state:
                raise Refusal(
                    409, f"{bucket.url}/{name} is being written by another program, try again"
                )
        finally:
            os.close(handle)
        with self.lock, contextlib.suppress(OSError):
            if FileState.of(os.stat(self.object_path(bucket, name))) == state:
                return self.metadata.learn(bucket, name, state, hasher.hexdigest())
        return Record(
            state, hasher.hexdigest(), self.metadata.expected_version(bucket, name, state)
        )

    def require_writable(self) -> None:
        """Refuse changes to a folder that is served for reading only.

        Raises:
            Refusal: It is.
        """
        if self.read_only:
            raise Refusal(403, "the gateway serves this folder read-only")

    def require_access(self, bucket: BucketName, operation: str = "") -> None:
        """Refuse what the bucket's properties do not allow.

        Args:
            bucket: The bucket.
            operation: One of bucket_props.OPERATIONS; "" for all of READ_WRITE.

        Raises:
            Refusal: It is not allowed.
        """
        props = self.metadata.props(bucket)
        bits = 1 << OPERATIONS.index(operation) if operation else READ_WRITE
        if not props.allow(bits):
            number = f"{self.bucket_status(bucket).st_ino:#x}"
            told = props.denial(bits, f"{bucket.url}({number})")
            raise Refusal(403, told, tcode="ErrBucketAccessDenied")

    def object_path(self, bucket: BucketName, name: str) -> str:
        """Return the path of an object, resolved, whether or not it exists.

        Raises:
            Refusal: It is outside the folder.
        """
        path = self._resolve(f"{bucket.folder}/{name}")
        if path is None:
            raise Refusal(403, f"{bucket.url}/{name} is a link that leads out of the served folder")
        return path

    def _resolve(self, relative: str) -> str | None:
        """Return the path without links, or None where that is outside the buckets."""
        path = os.path.realpath(f"{self.root}/{relative}")
        base = self.root.rstrip("/") + "/"
        return path if path.startswith(base) and path[len(base)] != "." else None

    def place_for(self, bucket: BucketName, name: str) -> str:
        """Make the folders of a name; return the path to rename to.

        Raises:
            Refusal: No such bucket, or an object in the way.
        """
        self.bucket_path(bucket)
        parent = (
            self.object_path(bucket, os.path.dirname(name))
            if "/" in name
            else self.bucket_path(bucket)
        )
        try:
            os.makedirs(parent, exist_ok=True)
        except OSError as error:
            raise blocked(bucket, name, error) from None
        return os.path.join(parent, name.rpartition("/")[2])

    def why_not(self, bucket: BucketName, name: str, error: OSError) -> Exception:
        """Return what to answer where an object cannot be opened.

        Raises:
            Refusal: There is no such bucket.
        """
        self.bucket_path(bucket)
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO):
            return no_object(f"{bucket.url}/{name}")
        if error.errno in (errno.EACCES, errno.EPERM):
            return Refusal(403, f"{bucket.url}/{name}: the gateway may not read this file")
        if error.errno == errno.ENAMETOOLONG:
            return Refusal(400, f"{bucket.url}/{name}: the name is too long for this file system")
        return error

    def _folders(self, relative: str) -> list[str]:
        with os.scandir(os.path.join(self.root, relative)) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
        return sorted(
            name for name in names if self._resolve(os.path.join(relative, name)) is not None
        )

    def _temporary_path(self) -> str:
        return os.path.join(self._temporary, str(next(self._upload_numbers)))

    def prune(self, root: str, folder: str) -> None:
        """Remove a folder and those above it, up to the bucket's, as far as they are empty."""
        with contextlib.suppress(OSError):
            while folder.startswith(root + "/"):
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def _take_lock(self) -> None:
        self._lock_file = os.open(
            os.path.join(self.root, OWN_FOLDER, "lock"), os.O_RDWR | os.O_CREAT, 0o666
        )
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            advice = "stop it, or serve this one read-only"
            raise ConfigError(f"another gateway writes to {self.root}: {advice}") from None


def blocked(bucket: BucketName, name: str, error: OSError) -> Exception:
    """Say why a name cannot be given to an upload."""
    url = f"{bucket.url}/{name}"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return Refusal(409, f"{url}: destination contains an object in its path", tcode="ErrMv")
    if error.errno in (errno.EISDIR, errno.ENOTEMPTY):
        return Refusal(
            409, f"{url}: there are objects below {name}/, and a file cannot be a folder too"
        )
    if error.errno == errno.ENAMETOOLONG:
        return Refusal(400, f"{url}: the name is too long for this file system")
    if error.errno == errno.EXDEV:
        return Refusal(501, f"{url}: the bucket is on another file system than the served folder")
    return error


def _remove(path: str) -> None:
    """Remove a file, link or whole folder."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)
