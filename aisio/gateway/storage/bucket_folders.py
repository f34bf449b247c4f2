"""Buckets as folders: listing, making, renaming and destroying them."""

# Files are named in open folders (dir_fd), for which pathlib has no functions.

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, is_bucket_name, is_namespace_folder
from aisio.gateway.storage.file_refusals import link_escapes
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.safe_opener import LIST_FOLDER_FLAGS, OpenPath, PathEscapesError
from aisio.gateway.storage.skipped import (
    FILE_OUTSIDE_BUCKETS,
    NOT_A_BUCKET_NAME,
    UNREADABLE,
    link_status,
)


def list_buckets(folder: Folder) -> list[BucketName]:
    """Return the buckets: folders with a bucket's name, at the top and below `#namespace`.

    What else exists there is logged, but for names that begin with a dot.
    """
    buckets = list[BucketName]()
    for name in _subfolders(folder, ""):
        if is_namespace_folder(name):
            buckets += [
                BucketName(inner, name[1:])
                for inner in _subfolders(folder, name)
                if _is_bucket(folder, inner, f"{name}/{inner}")
            ]
        elif _is_bucket(folder, name, name):
            buckets.append(BucketName(name))
    folder.skipped.log()
    return buckets


def create_bucket(folder: Folder, bucket: BucketName) -> None:
    """Make a bucket.

    Raises:
        Refusal: It exists.
    """
    folder.require_writable()
    with folder.lock, _open_parent(folder, bucket, make=True) as parent:
        try:
            os.mkdir(bucket.name, dir_fd=parent.fd)
        except FileExistsError:
            raise bucket_already_exists(bucket, 409) from None


def ensure_bucket(folder: Folder, bucket: BucketName) -> None:
    """Make a bucket if it does not exist."""
    folder.require_writable()
    with folder.lock:
        with (
            _open_parent(folder, bucket, make=True) as parent,
            contextlib.suppress(FileExistsError),
        ):
            os.mkdir(bucket.name, dir_fd=parent.fd)
        folder.bucket_path(bucket)


def destroy_bucket(folder: Folder, bucket: BucketName) -> None:
    """Remove a bucket: its name at once, its files after that.

    Raises:
        Refusal: The bucket does not exist.
    """
    folder.require_writable()
    temporary_name = folder.private.new_temporary_name()
    with folder.lock:
        folder.bucket_path(bucket)
        with _open_parent(folder, bucket) as parent:
            os.rename(
                bucket.name,
                temporary_name,
                src_dir_fd=parent.fd,
                dst_dir_fd=folder.private.temporary_fd,
            )
        folder.metadata.delete_bucket(bucket)
        _remove_empty_namespace(folder, bucket)
    folder.private.remove_temporary(temporary_name)


def rename_bucket(folder: Folder, bucket: BucketName, new: BucketName) -> None:
    """Give a bucket another name.

    Raises:
        Refusal: The bucket does not exist, or the new name is taken.
    """
    folder.require_writable()
    with folder.lock:
        folder.bucket_path(bucket)
        with (
            _open_parent(folder, bucket) as parent,
            _open_parent(folder, new, make=True) as new_parent,
        ):
            if _exists(new_parent, new.name):
                raise bucket_already_exists(new, 400)
            # The records come first: if that fails nothing has changed, and it can be undone.
            folder.metadata.rename_bucket(bucket, new)
            try:
                os.rename(bucket.name, new.name, src_dir_fd=parent.fd, dst_dir_fd=new_parent.fd)
            except OSError:
                folder.metadata.rename_bucket(new, bucket)
                raise
        _remove_empty_namespace(folder, bucket)


def is_name_taken(folder: Folder, bucket: BucketName) -> bool:
    """Tell whether anything has the name of a bucket.

    Raises:
        Refusal: Nothing can: its namespace is a file, or leads out of the served folder.
    """
    try:
        with _open_parent(folder, bucket) as parent:
            return _exists(parent, bucket.name)
    except FileNotFoundError:
        return False


def bucket_already_exists(bucket: BucketName, status: int) -> Refusal:
    """Return the refusal where a bucket must not exist and does."""
    message = f'bucket "{bucket.url}" already exists'
    return Refusal(status, message, tcode="ErrBucketAlreadyExists")


@contextlib.contextmanager
def _open_parent(folder: Folder, bucket: BucketName, *, make: bool = False) -> Iterator[OpenPath]:
    """Keep the folder that holds a bucket's folder open for the `with` block.

    Raises:
        Refusal: It is a link that leads out of the served folder, or a file.
    """
    namespace = f"#{bucket.namespace}" if bucket.namespace else ""
    opener = folder.opener
    open_folder = opener.open_or_make_folder if make and namespace else opener.open_folder
    try:
        with open_folder(namespace) as parent:
            yield parent
    except PathEscapesError:
        raise link_escapes(bucket.url) from None
    except NotADirectoryError:
        raise Refusal(409, f"{bucket.url}: {namespace} in the served folder is a file") from None


def _remove_empty_namespace(folder: Folder, bucket: BucketName) -> None:
    if bucket.namespace:
        with contextlib.suppress(OSError):
            os.rmdir(f"#{bucket.namespace}", dir_fd=folder.opener.root_fd)


def _exists(parent: OpenPath, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_bucket(folder: Folder, name: str, path: str) -> bool:
    """Tell whether a folder is a bucket by its name; note its path if it is not."""
    if is_bucket_name(name):
        return True
    folder.skipped.add(path, NOT_A_BUCKET_NAME)
    return False


def _subfolders(folder: Folder, path: str) -> list[str]:
    """Return the names of the folders in a folder, sorted; note what is not one."""
    names = list[str]()
    try:
        with (
            folder.opener.open_folder(path, LIST_FOLDER_FLAGS) as parent,
            os.scandir(parent.fd) as entries,
        ):
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(folder, f"{path}/{entry.name}".lstrip("/"), entry):
                    names.append(entry.name)
    except PermissionError:
        folder.skipped.add(path or ".", UNREADABLE)
    except OSError as error:
        # A namespace may have been removed meanwhile.
        if not path or error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
    return sorted(names)


def _is_folder(folder: Folder, path: str, entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one; note its path if it is not."""
    if entry.is_symlink():
        status = link_status(folder.opener, path, folder.skipped)
        if status is None:
            return False
        is_folder = stat.S_ISDIR(status.st_mode)
    else:
        is_folder = entry.is_dir(follow_symlinks=False)
    if not is_folder:
        folder.skipped.add(path, FILE_OUTSIDE_BUCKETS)
    return is_folder
