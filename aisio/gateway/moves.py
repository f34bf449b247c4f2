"""Copying and renaming objects and buckets."""

# ruff: noqa: PTH103, PTH104, PTH105, PTH106, PTH118, PTH120
# Paths are strings here, as in folder.py.

from __future__ import annotations

import contextlib
import os

from aisio.gateway.folder import Folder, blocked
from aisio.gateway.metadata import FileState, Record
from aisio.gateway.names import BucketName
from aisio.gateway.refusals import Refusal

_COPY_BYTES = 1 << 20


def copy_object(
    folder: Folder, source: tuple[BucketName, str], target: tuple[BucketName, str]
) -> int:
    """Copy an object with its custom metadata, and return its size in bytes.

    Where the checksum of the source is on record, the copy is held against it.

    Raises:
        Refusal: No such object or bucket, damaged bytes, or a folder in the way.
    """
    folder.require_writable()
    folder.bucket_path(target[0])
    opened = folder.open_object(*source)
    record = folder.metadata.get(*source, FileState.of(opened.status))
    upload = folder.begin_upload(record.full_checksum if record else None)
    try:
        with opened.file as file:
            while piece := file.read(_COPY_BYTES):
                upload.write([piece])
        with folder.lock:
            copied, status = folder.finish_upload(upload, [], *target)
            _keep_custom(folder, target, record, copied)
    finally:
        upload.discard()
    return status.st_size


def rename_object(folder: Folder, bucket: BucketName, name: str, new_name: str) -> None:
    """Give an object another name in its bucket, where it replaces what was there.

    Raises:
        Refusal: There is no such object, it is called that already, or a folder is in the way.
    """
    folder.require_writable()
    if new_name == name:
        raise Refusal(400, f"cannot rename {bucket.url}/{name} to self, nothing to do")
    with folder.lock:
        folder.open_object(bucket, name).file.close()
        path = folder.place_for(bucket, name)
        place = folder.place_for(bucket, new_name)
        try:
            os.replace(path, place)
        except OSError as error:
            raise blocked(bucket, new_name, error) from None
        folder.metadata.move(bucket, name, new_name)
        folder.prune(folder.bucket_path(bucket), os.path.dirname(path))


def rename_bucket(folder: Folder, bucket: BucketName, new: BucketName) -> None:
    """Give a bucket another name.

    Raises:
        Refusal: There is no such bucket, or one of the new name.
    """
    folder.require_writable()
    with folder.lock:
        folder.bucket_path(bucket)
        place = os.path.join(folder.root, new.folder)
        if os.path.lexists(place):
            raise bucket_exists(new, 400)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.rename(os.path.join(folder.root, bucket.folder), place)
        folder.metadata.move_bucket(bucket, new)
        if bucket.namespace:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(folder.root, f"#{bucket.namespace}"))


def bucket_exists(bucket: BucketName, status: int) -> Refusal:
    """Return what to answer where a bucket must not exist and does."""
    message = f'bucket "{bucket.url}" already exists'
    return Refusal(status, message, tcode="ErrBucketAlreadyExists")


def _keep_custom(
    folder: Folder, target: tuple[BucketName, str], record: Record | None, copied: Record
) -> None:
    if record is not None and record.custom:
        folder.metadata.set_custom(*target, copied, record.custom)
