"""Copying and renaming objects."""

# Names in open folders, which pathlib has nothing for.

from __future__ import annotations

import os
import stat

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.beneath import Place
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.metadata import FileState, Record

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
        opened = folder.open_object(bucket, name)
        opened.file.close()
        with (
            folder.place_for(bucket, name) as (source, old),
            folder.place_for(bucket, new_name) as (target, new),
        ):
            _rename_file(folder, bucket, (name, new_name), (source, old), (target, new))
        folder.prune(folder.bucket_path(bucket), source.path)


def _rename_file(
    folder: Folder,
    bucket: BucketName,
    names: tuple[str, str],
    source: tuple[Place, str],
    target: tuple[Place, str],
) -> None:
    """Rename the file and its record: the record first, as that can fail and be undone."""
    (here, old), (there, new) = source, target
    if here.path != there.path and _is_link(here, old):
        told = f"{bucket.url}/{names[0]} is a link, which would break in another folder: copy it"
        raise Refusal(501, told)
    before = os.stat(old, dir_fd=here.handle)
    folder.metadata.move(bucket, *names)
    try:
        os.replace(old, new, src_dir_fd=here.handle, dst_dir_fd=there.handle)
    except OSError:
        folder.metadata.move(bucket, *reversed(names))
        raise
    state = FileState.of(os.stat(new, dir_fd=there.handle))
    folder.metadata.moved(bucket, names[1], FileState.of(before), state)


def _is_link(place: Place, name: str) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=place.handle, follow_symlinks=False).st_mode)


def _keep_custom(
    folder: Folder, target: tuple[BucketName, str], record: Record | None, copied: Record
) -> None:
    if record is not None and record.custom:
        folder.metadata.set_custom(*target, copied, record.custom)
