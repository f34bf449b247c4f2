"""Buckets as folders: which there are, and making, renaming and destroying them."""

# Names in open folders, which pathlib has nothing for.

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, is_bucket, is_namespace
from aisio.gateway.storage.beneath import FOLDER_TO_READ, LeadsOutError, Place
from aisio.gateway.storage.folder import Folder, leads_out
from aisio.gateway.storage.left_out import (
    IN_NO_BUCKET,
    NO_BUCKET,
    UNREADABLE,
    link_status,
)


def list_buckets(folder: Folder) -> list[BucketName]:
    """Return the buckets: folders named as buckets can be, also below `#namespace`.

    What else is there is told in the log, but for names that begin with a dot.
    """
    found = list[BucketName]()
    for name in _folders(folder, ""):
        if is_bucket(name):
            found.append(BucketName(name))
        elif is_namespace(name):
            found += [BucketName(inner, name[1:]) for inner in _inner(folder, name)]
        else:
            folder.left_out.add(name, NO_BUCKET)
    folder.left_out.tell()
    return found


def create_bucket(folder: Folder, bucket: BucketName) -> None:
    """Make a bucket.

    Raises:
        Refusal: It exists.
    """
    folder.require_writable()
    with folder.lock, _holder(folder, bucket, make=True) as place:
        try:
            os.mkdir(bucket.name, dir_fd=place.handle)
        except FileExistsError:
            raise bucket_exists(bucket, 409) from None


def ensure_bucket(folder: Folder, bucket: BucketName) -> None:
    """Make a bucket if it is not there."""
    folder.require_writable()
    with folder.lock:
        with _holder(folder, bucket, make=True) as place, contextlib.suppress(FileExistsError):
            os.mkdir(bucket.name, dir_fd=place.handle)
        folder.bucket_path(bucket)


def destroy_bucket(folder: Folder, bucket: BucketName) -> None:
    """Remove a bucket: gone at once for all to see, its files a little later.

    Raises:
        Refusal: There is no such bucket.
    """
    folder.require_writable()
    rest = folder.own.new_name()
    with folder.lock:
        folder.bucket_path(bucket)
        with _holder(folder, bucket) as place:
            os.rename(bucket.name, rest, src_dir_fd=place.handle, dst_dir_fd=folder.own.temporary)
        folder.metadata.forget_bucket(bucket)
        _drop_namespace(folder, bucket)
    folder.own.remove(rest)


def rename_bucket(folder: Folder, bucket: BucketName, new: BucketName) -> None:
    """Give a bucket another name.

    Raises:
        Refusal: There is no such bucket, or one of the new name.
    """
    folder.require_writable()
    with folder.lock:
        folder.bucket_path(bucket)
        with _holder(folder, bucket) as place, _holder(folder, new, make=True) as target:
            if _exists(target, new.name):
                raise bucket_exists(new, 400)
            folder.metadata.move_bucket(bucket, new)
            try:
                os.rename(bucket.name, new.name, src_dir_fd=place.handle, dst_dir_fd=target.handle)
            except OSError:
                folder.metadata.move_bucket(new, bucket)
                raise
        _drop_namespace(folder, bucket)


def has_name(folder: Folder, bucket: BucketName) -> bool:
    """Tell whether anything has the name of a bucket.

    Raises:
        Refusal: Nothing can: its namespace is a file, or leads out of the served folder.
    """
    try:
        with _holder(folder, bucket) as place:
            return _exists(place, bucket.name)
    except FileNotFoundError:
        return False


def bucket_exists(bucket: BucketName, status: int) -> Refusal:
    """Return what to answer where a bucket must not exist and does."""
    message = f'bucket "{bucket.url}" already exists'
    return Refusal(status, message, tcode="ErrBucketAlreadyExists")


@contextlib.contextmanager
def _holder(folder: Folder, bucket: BucketName, *, make: bool = False) -> Iterator[Place]:
    """Open the folder that a bucket's folder is in.

    Raises:
        Refusal: It is a link that leads out of the served folder, or a file.
    """
    namespace = f"#{bucket.namespace}" if bucket.namespace else ""
    opening = folder.beneath.made_folder if make and namespace else folder.beneath.folder
    try:
        with opening(namespace) as place:
            yield place
    except LeadsOutError:
        raise leads_out(bucket.url) from None
    except NotADirectoryError:
        raise Refusal(409, f"{bucket.url}: {namespace} in the served folder is a file") from None


def _drop_namespace(folder: Folder, bucket: BucketName) -> None:
    if bucket.namespace:
        with contextlib.suppress(OSError):
            os.rmdir(f"#{bucket.namespace}", dir_fd=folder.beneath.handle)


def _exists(place: Place, name: str) -> bool:
    try:
        os.stat(name, dir_fd=place.handle, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _inner(folder: Folder, namespace: str) -> Iterator[str]:
    for name in _folders(folder, namespace):
        if is_bucket(name):
            yield name
        else:
            folder.left_out.add(f"{namespace}/{name}", NO_BUCKET)


def _folders(folder: Folder, path: str) -> list[str]:
    """Return the folders in a folder, sorted; files are left out."""
    found = list[str]()
    try:
        with (
            folder.beneath.folder(path, FOLDER_TO_READ) as place,
            os.scandir(place.handle) as entries,
        ):
            for entry in entries:
                if not entry.name.startswith("."):
                    _sort_in(folder, f"{path}/{entry.name}".lstrip("/"), entry, found)
    except PermissionError:
        folder.left_out.add(path or ".", UNREADABLE)
    except OSError as error:
        # Destroyed meanwhile.
        if not path or error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
    return sorted(found)


def _sort_in(folder: Folder, path: str, entry: os.DirEntry[str], found: list[str]) -> None:
    if entry.is_symlink():
        status = link_status(folder.beneath, path, folder.left_out)
        if status is None:
            return
        is_folder = stat.S_ISDIR(status.st_mode)
    else:
        is_folder = entry.is_dir(follow_symlinks=False)
    if is_folder:
        found.append(entry.name)
    else:
        folder.left_out.add(path, IN_NO_BUCKET)
