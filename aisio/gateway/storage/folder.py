"""The served folder: folders at its top are buckets, the files below them are objects.

The gateway's file system calls are here and in the modules that take a Folder. What is written goes
to a file below `.aisio/tmp` first and gets its name by a rename. So at any moment, also after
kill -9, a name has its old bytes or its new ones. One lock orders the changes of one gateway, and a
lock file keeps a second writing gateway away. Nothing is forced to the disk (fsync): after a power
cut the system decides what is left, as it does for any program that copies files.

Paths are counted from the served folder, and opened by `SafeOpener`, which follows only links that
stay inside. A file is changed by its name in an open folder.
"""

# ruff: noqa: PTH112
# Paths are strings here: to make Path objects of them costs more than the system calls do.

from __future__ import annotations

import contextlib
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
from aisio.gateway.protocol.refusals import Refusal, bucket_not_found, object_not_found
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.file_refusals import (
    being_written,
    cannot_open,
    cannot_store,
    is_not_found,
    link_escapes,
    object_changed,
)
from aisio.gateway.storage.metadata import Metadata
from aisio.gateway.storage.private_folder import PRIVATE_FOLDER, PrivateFolder, find_metadata
from aisio.gateway.storage.records import NO_FILE, FileIdentity, FileState, MultipartInfo, Record
from aisio.gateway.storage.safe_opener import (
    OpenPath,
    PathEscapesError,
    SafeOpener,
    remove_empty_folders,
)
from aisio.gateway.storage.skipped import SkippedNames
from aisio.gateway.storage.uploads import Upload
from aisio.records import Checksum

_log = logging.getLogger(__name__)
_HASH_BYTES = 1 << 20

# A fifo would block the open, were it not for O_NONBLOCK; regular files ignore the flag.
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class OpenObject(NamedTuple):
    """An object opened for reading; it keeps its bytes when its name is given to others."""

    file: io.FileIO
    status: os.stat_result


class Folder:
    """The served folder: its lock, its objects, and what is known of them.

    Args:
        path: An existing folder.
        read_only: Leave no trace in it.

    Attributes:
        root: The served folder; resolved once it is open.
        read_only: No change is allowed, by option or by the system.
        stopping: Set where the gateway stops, to end long work early.
        lock: Held while names change.
        skipped: Notes what in the folder is not served.
        opener: Opens its paths; from `open` on.
        private: The gateway's private folder; from `open` on, and not where it is read-only.
        metadata: Records of objects and properties of buckets; from `open` on.
    """

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self.root = path
        self.read_only = read_only
        self.stopping = threading.Event()
        self.lock = threading.RLock()
        self.skipped = SkippedNames()
        self._opened = contextlib.ExitStack()

    def open(self) -> None:
        """Lock the folder, remove what a killed gateway left in it, and open the metadata.

        Raises:
            ConfigError: The folder does not exist, another gateway writes to it, its metadata is
                damaged, or a link or other file stands where the gateway's own files go.
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
        self.opener = SafeOpener(self.root, excluded=PRIVATE_FOLDER)
        opened.callback(self.opener.close)
        self.root = self.opener.root
        self.read_only = self.read_only or not os.access(self.root, os.W_OK)
        if self.read_only:
            self.metadata = Metadata.open(None, seed=self._recorded_metadata())
        else:
            self.private = PrivateFolder(self.root, self.opener.root_fd)
            opened.callback(self.private.close)
            self.private.remove_leftovers()
            self.metadata = Metadata.open(self.private.metadata_path)
        opened.callback(self.metadata.close)

    def _recorded_metadata(self) -> str | None:
        try:
            return find_metadata(self.root, self.opener.root_fd)
        except ConfigError as error:
            _log.warning("metadata is left out: %s", error)
            return None

    def close(self) -> None:
        """Close the folder; checksums that are being computed end early."""
        self.stopping.set()
        self._opened.close()

    def require_writable(self) -> None:
        """Refuse changes to a folder that is served read-only.

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
        if not props.allows(bits):
            number = f"{self.bucket_status(bucket).st_ino:#x}"
            message = props.denial_message(bits, f"{bucket.url}({number})")
            raise Refusal(403, message, tcode="ErrBucketAccessDenied")

    def bucket_status(self, bucket: BucketName) -> os.stat_result:
        """Return the status of a bucket's folder.

        Raises:
            Refusal: The bucket does not exist.
        """
        return self.opener.status(self.bucket_path(bucket))

    def bucket_path(self, bucket: BucketName) -> str:
        """Return the path of an existing bucket, counted from the served folder, without links.

        Raises:
            Refusal: The bucket does not exist.
        """
        try:
            with self.opener.open_folder(bucket.folder) as folder:
                return folder.path
        except (OSError, PathEscapesError) as error:
            if isinstance(error, OSError) and not is_not_found(error):
                raise
            raise bucket_not_found(bucket.url) from None

    def open_object(self, bucket: BucketName, name: str) -> OpenObject:
        """Open an object for reading.

        Raises:
            Refusal: The object or bucket does not exist, or lies outside the served folder.
        """
        try:
            fd, _ = self.opener.open(f"{bucket.folder}/{name}", _READ_FLAGS)
        except PathEscapesError:
            raise link_escapes(f"{bucket.url}/{name}") from None
        except OSError as error:
            self.bucket_path(bucket)  # a missing bucket has a refusal of its own
            raise cannot_open(f"{bucket.url}/{name}", error) from None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise object_not_found(f"{bucket.url}/{name}")
        return OpenObject(io.FileIO(fd, "rb"), status)

    def identity(self, bucket: BucketName, name: str) -> FileIdentity:
        """Return which file a name stands for now; NO_FILE for none."""
        try:
            status = self.opener.status(f"{bucket.folder}/{name}")
        except (OSError, PathEscapesError) as error:
            if isinstance(error, OSError) and not is_not_found(error):
                raise
            return NO_FILE
        return FileIdentity.of(status) if stat.S_ISREG(status.st_mode) else NO_FILE

    def begin_upload(self, expected: Checksum | None) -> Upload:
        """Return a new, empty upload; `expected` is the checksum that the client sent."""
        return Upload(self.private.temporary_fd, self.private.new_temporary_name(), expected)

    def finish_upload(
        self,
        upload: Upload,
        last: list[bytes],
        bucket: BucketName,
        name: str,
        multipart: MultipartInfo | None = None,
        *,
        if_match: FileIdentity | None = None,
    ) -> tuple[Record, os.stat_result]:
        """Write the last bytes of an upload, and give it its name.

        Args:
            upload: The upload.
            last: Its last bytes.
            bucket: Where it goes.
            name: Its name there.
            multipart: How it was uploaded in parts; None if it was not.
            if_match: Replace only this file, from which the upload was made; None for any.

        Raises:
            ChangedRefusal: The name stands for another file than `if_match`.
            Refusal: Bad checksum, no such bucket, or a folder in the way.
        """
        upload.write(last)
        before, checksum = upload.finish(f"{bucket.url}/{name}")
        with self.lock:
            if if_match is not None and self.identity(bucket, name) != if_match:
                raise object_changed(f"{bucket.url}/{name}")
            with self.open_parent(bucket, name) as (parent, basename):
                os.replace(upload.name, basename, src_dir_fd=upload.folder_fd, dst_dir_fd=parent.fd)
                status = os.stat(basename, dir_fd=parent.fd, follow_symlinks=False)
            # The rename changed the file's ctime, hence the new status. Should another program
            # have put its own file there already, that one is not the gateway's to record.
            if status.st_ino != before.st_ino:
                status = before
            state = FileState.of(status)
            return self.metadata.record_write(bucket, name, state, checksum, multipart), status

    def delete_object(
        self, bucket: BucketName, name: str, *, if_match: FileIdentity | None = None
    ) -> None:
        """Remove an object, and the folders that are empty without it.

        Args:
            bucket: Where it is.
            name: Its name there.
            if_match: Remove only this file; None for any.

        Raises:
            ChangedRefusal: The name stands for another file than `if_match`.
            Refusal: The object or bucket does not exist.
        """
        self.require_writable()
        url, path = f"{bucket.url}/{name}", f"{bucket.folder}/{name}"
        parent_path, _, basename = path.rpartition("/")
        with self.lock:
            bucket_path = self.bucket_path(bucket)
            if if_match is not None and self.identity(bucket, name) != if_match:
                raise object_changed(url)
            try:
                if not stat.S_ISREG(self.opener.status(path).st_mode):
                    raise Refusal(404, f"{url} doesn't exist")
                with self.opener.open_folder(parent_path) as parent:
                    os.unlink(basename, dir_fd=parent.fd)
            except PathEscapesError:
                raise link_escapes(url) from None
            except OSError as error:
                if not is_not_found(error):
                    raise
                raise Refusal(404, f"{url} doesn't exist") from None
            self.metadata.delete(bucket, name)
            self.remove_empty_folders(bucket_path, parent.path)

    def compute_checksum(self, bucket: BucketName, name: str, fd: int, state: FileState) -> Record:
        """Compute the checksum of a file, and record it if the name still stands for that file.

        Args:
            bucket: Where the object is.
            name: Its name there.
            fd: Descriptor of the open file; it is closed at the end.
            state: The state of the file when it was opened.

        Raises:
            Refusal: The file changed meanwhile, or the gateway stops.
        """
        try:
            hasher = HASHERS["xxhash2"]()
            for offset in range(0, state.size_bytes, _HASH_BYTES):
                if self.stopping.is_set():
                    raise Refusal(503, "the gateway is stopping")
                hasher.update(os.pread(fd, _HASH_BYTES, offset))
            if not FileState.of(os.fstat(fd)).has_same_bytes_as(state):
                raise being_written(f"{bucket.url}/{name}")
        finally:
            os.close(fd)
        checksum = hasher.hexdigest()
        with self.lock:
            if self.identity(bucket, name).state == state:
                return self.metadata.record_checksum(bucket, name, state, checksum)
        return Record(state, checksum, self.metadata.expected_version(bucket, name, state))

    @contextlib.contextmanager
    def open_parent(self, bucket: BucketName, name: str) -> Iterator[tuple[OpenPath, str]]:
        """Keep the folder that a name goes to open for the `with` block; make it if need be.

        Yields the folder and the last part of the name. An OSError inside the block becomes a
        refusal that names the object.

        Raises:
            Refusal: No such bucket, an object or a folder in the way, or it lies outside.
        """
        self.bucket_path(bucket)
        parent_path, _, basename = f"{bucket.folder}/{name}".rpartition("/")
        try:
            with self.opener.open_or_make_folder(parent_path) as parent:
                yield parent, basename
        except PathEscapesError:
            raise link_escapes(f"{bucket.url}/{name}") from None
        except OSError as error:
            raise cannot_store(f"{bucket.url}/{name}", name, error) from None

    def remove_empty_folders(self, bucket_path: str, path: str) -> None:
        """Remove a folder and its parents below the bucket's folder, as far as they are empty."""
        if not path.startswith(f"{bucket_path}/"):
            return
        names = path.removeprefix(f"{bucket_path}/").split("/")
        with (
            contextlib.suppress(OSError, PathEscapesError),
            self.opener.open_folder(bucket_path) as folder,
        ):
            remove_empty_folders(folder.fd, names)
