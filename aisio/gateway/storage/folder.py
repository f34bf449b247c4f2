"""A folder seen as buckets of objects: every file system call of the gateway but the listing's.

What is written goes to a file below `.aisio/tmp` first and gets its name by a rename, so at any
moment, also after kill -9, a name has its old bytes or its new ones. One lock orders the changes
of one gateway, a lock file keeps a second writing gateway away. Nothing is forced to the disk
(fsync): after a power cut the system decides what is left, as it does for any program that copies
files.

Paths are counted from the served folder, and opened by `beneath.py`, which follows links that stay
inside and no others. What is changed is changed by its name in an open folder.
"""

# ruff: noqa: PTH112
# Paths are strings here: to make Path objects of them costs more than the system calls do.

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import stat
import threading
from collections.abc import Iterator
from typing import NamedTuple

from aisio.errors import ConfigError
from aisio.formats.checksums import HASHERS
from aisio.gateway.protocol.bucket_props import OPERATIONS, READ_WRITE
from aisio.gateway.protocol.refusals import Refusal, no_bucket, no_object
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.beneath import Beneath, LeadsOutError, Place
from aisio.gateway.storage.left_out import LeftOut
from aisio.gateway.storage.metadata import (
    FileState,
    Metadata,
    Parted,
    Record,
)
from aisio.gateway.storage.own_files import OWN_FOLDER, OwnFiles, check_metadata
from aisio.gateway.storage.uploads import Upload
from aisio.records import Checksum

_log = logging.getLogger(__name__)
_HASH_BYTES = 1 << 20

# A fifo would block the open, were it not for O_NONBLOCK; regular files ignore the flag.
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO)


class OpenObject(NamedTuple):
    """An object opened for reading: its bytes stay, also where the name gets others meanwhile."""

    file: io.FileIO
    status: os.stat_result


class Present(NamedTuple):
    """What a name stands for at some time, to be compared with a later one.

    Attributes:
        device: Of the file; 0 where there is none.
        state: Of the file; None where there is none.
    """

    device: int = 0
    state: FileState | None = None

    @classmethod
    def of(cls, status: os.stat_result) -> Present:
        """Return what a stat call shows."""
        return cls(status.st_dev, FileState.of(status))


class ChangedRefusal(Refusal):
    """An object is not what it was when a change to it was begun; nothing was changed."""


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
        self.left_out = LeftOut()
        self._opened = contextlib.ExitStack()

    def open(self) -> None:
        """Take the folder: lock it, remove what a killed gateway left, open the metadata.

        Raises:
            ConfigError: No such folder, another gateway writes to it, its metadata is damaged, or
                the gateway's own files in it are none.
        """
        if not os.path.isdir(self.root):
            raise ConfigError(f"{self.root} is not a folder: nothing to serve")
        try:
            with contextlib.ExitStack() as opened:
                self._open(opened)
                self._opened = opened.pop_all()
        except OSError as error:
            raise ConfigError(f"cannot serve {self.root}: {error}") from error

    def _open(self, opened: contextlib.ExitStack) -> None:
        self.beneath = Beneath(self.root, barred=OWN_FOLDER)
        opened.callback(self.beneath.close)
        self.root = self.beneath.root
        self.read_only = self.read_only or not os.access(self.root, os.W_OK)
        if self.read_only:
            self.metadata = Metadata.open(None, seed=self._seed())
        else:
            self.own = OwnFiles(self.root, self.beneath.handle)
            opened.callback(self.own.close)
            self.own.empty()
            self.metadata = Metadata.open(self.own.metadata)
        opened.callback(self.metadata.close)

    def _seed(self) -> str | None:
        try:
            return check_metadata(self.root, self.beneath.handle) or None
        except ConfigError as error:
            _log.warning("metadata is left out: %s", error)
            return None

    def close(self) -> None:
        """Let the folder go; running checksums of found files end early."""
        self.stopping.set()
        self._opened.close()

    def bucket_status(self, bucket: BucketName) -> os.stat_result:
        """Return the status of a bucket's folder.

        Raises:
            Refusal: There is no such bucket.
        """
        return self.beneath.status(self.bucket_path(bucket))

    def bucket_path(self, bucket: BucketName) -> str:
        """Return where an existing bucket is, counted from the served folder, without links.

        Raises:
            Refusal: There is no such bucket.
        """
        try:
            with self.beneath.folder(bucket.folder) as place:
                return place.path
        except (OSError, LeadsOutError) as error:
            if isinstance(error, OSError) and error.errno not in _NOT_THERE:
                raise
            raise no_bucket(bucket.url) from None

    def open_object(self, bucket: BucketName, name: str) -> OpenObject:
        """Open an object for reading.

        Raises:
            Refusal: There is no such object or bucket, or it lies outside the folder.
        """
        try:
            handle, _ = self.beneath.open(f"{bucket.folder}/{name}", _TO_READ)
        except LeadsOutError:
            raise leads_out(f"{bucket.url}/{name}") from None
        except OSError as error:
            raise self.why_not(bucket, name, error) from None
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            os.close(handle)
            raise no_object(f"{bucket.url}/{name}")
        return OpenObject(io.FileIO(handle, "rb"), status)

    def present(self, bucket: BucketName, name: str) -> Present:
        """Return what a name stands for now."""
        try:
            status = self.beneath.status(f"{bucket.folder}/{name}")
        except LeadsOutError:
            return Present()
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            return Present()
        return Present.of(status) if stat.S_ISREG(status.st_mode) else Present()

    def begin_upload(self, claimed: Checksum | None) -> Upload:
        """Return the place for an object's bytes to come."""
        return Upload(self.own.temporary, self.own.new_name(), claimed)

    def finish_upload(
        self,
        upload: Upload,
        last: list[bytes],
        bucket: BucketName,
        name: str,
        parted: Parted | None = None,
        *,
        instead_of: Present | None = None,
    ) -> tuple[Record, os.stat_result]:
        """Take in the last bytes of an upload, and give it its name.

        Args:
            upload: The upload.
            last: Its last bytes.
            bucket: Where it goes.
            name: What it will be called.
            parted: How it came in parts; None if it did not.
            instead_of: What it was made from; None for what does not depend on what was there.

        Raises:
            ChangedRefusal: Something else is there than it was made from.
            Refusal: Bad checksum, no bucket, or a folder in the way.
        """
        upload.write(last)
        before, checksum = upload.finish(f"{bucket.url}/{name}")
        with self.lock:
            if instead_of is not None and self.present(bucket, name) != instead_of:
                raise changed(f"{bucket.url}/{name}")
            with self.place_for(bucket, name) as (place, last_part):
                os.replace(
                    upload.name, last_part, src_dir_fd=upload.folder, dst_dir_fd=place.handle
                )
                status = _renamed(place, last_part, before)
            state = FileState.of(status)
            return self.metadata.replace(bucket, name, state, checksum, parted), status

    def delete_object(self, bucket: BucketName, name: str) -> None:
        """Remove an object, and the folders that it leaves empty.

        Raises:
            Refusal: There is no such object or bucket.
        """
        self.require_writable()
        url, path = f"{bucket.url}/{name}", f"{bucket.folder}/{name}"
        above, _, last_part = path.rpartition("/")
        with self.lock:
            root = self.bucket_path(bucket)
            try:
                if not stat.S_ISREG(self.beneath.status(path).st_mode):
                    raise Refusal(404, f"{url} doesn't exist")
                with self.beneath.folder(above) as place:
                    os.unlink(last_part, dir_fd=place.handle)
            except LeadsOutError:
                raise leads_out(url) from None
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    raise
                raise Refusal(404, f"{url} doesn't exist") from None
            self.metadata.forget(bucket, name)
            self.prune(root, place.path)

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
            if not FileState.of(os.fstat(handle)).has_bytes_of(state):
                raise Refusal(
                    409, f"{bucket.url}/{name} is being written by another program, try again"
                )
        finally:
            os.close(handle)
        with self.lock:
            if self.present(bucket, name).state == state:
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

    @contextlib.contextmanager
    def place_for(self, bucket: BucketName, name: str) -> Iterator[tuple[Place, str]]:
        """Open the folder that a name goes to, made if need be, for the time of a `with` block.

        It yields the folder and the last part of the name. What the system refuses in the block is
        told in the name's terms.

        Raises:
            Refusal: No such bucket, an object or a folder in the way, or it lies outside.
        """
        self.bucket_path(bucket)
        above, _, last_part = f"{bucket.folder}/{name}".rpartition("/")
        try:
            with self.beneath.made_folder(above) as place:
                yield place, last_part
        except LeadsOutError:
            raise leads_out(f"{bucket.url}/{name}") from None
        except OSError as error:
            raise blocked(bucket, name, error) from None

    def why_not(self, bucket: BucketName, name: str, error: OSError) -> Exception:
        """Return what to answer where an object cannot be opened.

        Raises:
            Refusal: There is no such bucket.
        """
        self.bucket_path(bucket)
        if error.errno in _NOT_THERE:
            return no_object(f"{bucket.url}/{name}")
        if error.errno in (errno.EACCES, errno.EPERM):
            return Refusal(403, f"{bucket.url}/{name}: the gateway may not read this file")
        if error.errno == errno.ENAMETOOLONG:
            return Refusal(400, f"{bucket.url}/{name}: the name is too long for this file system")
        return error

    def prune(self, root: str, folder: str) -> None:
        """Remove a folder and those above it, up to the bucket's, as far as they are empty."""
        with contextlib.suppress(OSError, LeadsOutError):
            while folder.startswith(root + "/"):
                above, _, name = folder.rpartition("/")
                with self.beneath.folder(above) as place:
                    os.rmdir(name, dir_fd=place.handle)
                folder = above


def changed(url: str) -> ChangedRefusal:
    """Return what to answer where an object is not what a change to it was made from."""
    return ChangedRefusal(409, f"{url} was changed meanwhile: nothing was done, try again")


def leads_out(url: str) -> Refusal:
    """Return what to answer where a name leads out of the served folder."""
    return Refusal(403, f"{url} is a link that leads out of the served folder")


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


def _renamed(place: Place, name: str, before: os.stat_result) -> os.stat_result:
    """Return the status of a file that has just been renamed, which changes its ctime."""
    status = os.stat(name, dir_fd=place.handle, follow_symlinks=False)
    # Should another program have put its own file there already, that one is not ours to describe.
    return status if status.st_ino == before.st_ino else before
