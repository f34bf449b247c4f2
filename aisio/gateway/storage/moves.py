"""Copying and renaming objects."""

# Files are named in open folders (dir_fd), for which pathlib has no functions.

from __future__ import annotations

import os
from collections.abc import Mapping

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.file_refusals import being_written
from aisio.gateway.storage.folder import Folder, OpenObject
from aisio.gateway.storage.records import FileIdentity, FileState
from aisio.gateway.storage.safe_opener import is_link
from aisio.gateway.storage.uploads import Upload


def copy_object(
    folder: Folder,
    source: tuple[BucketName, str],
    target: tuple[BucketName, str],
    *,
    opened: OpenObject | None = None,
    custom: Mapping[str, str] | None = None,
    if_match: FileIdentity | None = None,
) -> int:
    """Copy an object, and return its size in bytes.

    Where the checksum of the source is on record, the copied bytes are verified against it.

    Args:
        folder: The served folder.
        source: The object.
        target: Its copy.
        opened: The object, opened; it is closed. None to open it here.
        custom: The custom metadata of the copy; None for that of the source.
        if_match: Replace only this file; None for any.

    Raises:
        ChangedRefusal: The target's name stands for another file than `if_match`.
        Refusal: No such object or bucket, damaged bytes, or a folder in the way.
    """
    opened = opened or folder.open_object(*source)
    with opened.file:
        folder.require_writable()
        folder.bucket_path(target[0])
        record = folder.metadata.get(*source, FileState.of(opened.status))
        upload = folder.begin_upload(record.full_checksum if record else None)
        try:
            append_object(upload, opened, 0, opened.status.st_size, f"{source[0].url}/{source[1]}")
            with folder.lock:
                new_record, status = folder.finish_upload(upload, [], *target, if_match=if_match)
                if custom is None:
                    custom = record.custom if record is not None else {}
                if custom:
                    folder.metadata.set_custom(*target, new_record, custom)
        finally:
            upload.discard()
    return status.st_size


def append_object(upload: Upload, opened: OpenObject, start: int, stop: int, url: str) -> None:
    """Append a range of an object to an upload.

    Args:
        upload: The upload.
        opened: The object.
        start: The first byte.
        stop: One past the last.
        url: The object, for errors.

    Raises:
        Refusal: Another program wrote to the object's file meanwhile.
    """
    try:
        upload.append(opened.file, start, stop)
    except EOFError:
        raise being_written(url) from None
    now = FileState.of(os.fstat(opened.file.fileno()))
    if not now.has_same_bytes_as(FileState.of(opened.status)):
        raise being_written(url)


def rename_object(folder: Folder, bucket: BucketName, name: str, new_name: str) -> None:
    """Give an object another name in its bucket; it replaces an object of that name.

    Raises:
        Refusal: The object does not exist, has that name already, or a folder is in the way.
    """
    folder.require_writable()
    url = f"{bucket.url}/{name}"
    if new_name == name:
        raise Refusal(400, f"cannot rename {url} to self, nothing to do")
    with folder.lock:
        folder.open_object(bucket, name).file.close()
        with (
            folder.open_parent(bucket, name) as (parent, old),
            folder.open_parent(bucket, new_name) as (new_parent, new),
        ):
            if parent.path != new_parent.path and is_link(parent.fd, old):
                raise Refusal(501, f"{url} is a link, which would break in another folder: copy it")
            before = os.stat(old, dir_fd=parent.fd)
            # The record comes first: if that fails nothing has changed, and it can be undone.
            folder.metadata.rename(bucket, name, new_name)
            try:
                os.replace(old, new, src_dir_fd=parent.fd, dst_dir_fd=new_parent.fd)
            except OSError:
                folder.metadata.rename(bucket, new_name, name)
                raise
            after = os.stat(new, dir_fd=new_parent.fd)
            folder.metadata.update_state(
                bucket, new_name, FileState.of(before), FileState.of(after)
            )
        folder.remove_empty_folders(folder.bucket_path(bucket), parent.path)
