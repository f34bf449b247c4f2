"""MultipartUploads: objects that are uploaded in parts. They are lost when the gateway ends."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.records import FileIdentity, MultipartInfo, Record
from aisio.gateway.storage.uploads import Upload

_COPY_BYTES = 1 << 20


class Check(Protocol):
    """Checks the data of an object."""

    def write(self, pieces: list[bytes]) -> None:
        """Take in the next bytes."""

    def finish(self) -> None:
        """Raise a Refusal if the data is not what it should be."""


@dataclass
class Part:
    """A part that has arrived whole.

    Attributes:
        upload: Its file.
        size_bytes: Its size.
        modified_s: When it arrived.
    """

    upload: Upload
    size_bytes: int
    modified_s: float = field(default_factory=time.time)
    _md5: bytes = b""

    def md5(self) -> bytes:
        """Return the MD5 of its bytes, read once."""
        if not self._md5:
            hasher = hashlib.md5(usedforsecurity=False)
            with self.upload.read() as file:
                while piece := file.read(_COPY_BYTES):
                    hasher.update(piece)
            self._md5 = hasher.digest()
        return self._md5


@dataclass
class MultipartUpload:
    """An upload that is neither completed nor aborted.

    Attributes:
        upload_id: Its id.
        bucket: The bucket of the object.
        name: The name of the object.
        custom: The custom metadata that the object will have.
        started_s: When it began.
        parts: The parts that have arrived whole, by number.
    """

    upload_id: str
    bucket: BucketName
    name: str
    custom: Mapping[str, str] = field(default_factory=dict)
    started_s: float = field(default_factory=time.time)
    parts: dict[int, Part] = field(default_factory=dict)

    def add(self, number: int, part: Part) -> None:
        """Keep a part, in place of an earlier one of its number."""
        if replaced := self.parts.get(number):
            replaced.upload.remove()
        self.parts[number] = part
        part.upload.is_kept = True

    def etag(self) -> str:
        """Return the ETag of the object: the MD5 of the parts' MD5s, and how many there are.

        The files of the parts may be read for it.
        """
        md5s = b"".join(part.md5() for _, part in sorted(self.parts.items()))
        return f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{len(self.parts)}"


class MultipartUploads:
    """The multipart uploads of a gateway, of both of its protocols.

    Args:
        folder: The served folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._uploads: dict[str, MultipartUpload] = {}

    def begin(self, upload: MultipartUpload) -> None:
        """Add an upload."""
        self._uploads[upload.upload_id] = upload

    def find(self, bucket: BucketName, name: str, upload_id: str) -> MultipartUpload | None:
        """Return an upload to an object; None if there is none of this id."""
        upload = self._uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.name) != (bucket, name):
            return None
        return upload

    def in_bucket(self, bucket: BucketName) -> list[MultipartUpload]:
        """Return the uploads to a bucket, by name and time."""
        found = (upload for upload in list(self._uploads.values()) if upload.bucket == bucket)
        return sorted(found, key=lambda upload: (upload.name, upload.started_s))

    def remove(self, upload: MultipartUpload) -> None:
        """Take an upload away: no request finds it any more, and its parts stay."""
        self._uploads.pop(upload.upload_id, None)

    def put_back(self, upload: MultipartUpload, error: BaseException) -> None:
        """Add an upload again that could not be completed; drop it if its bucket is gone."""
        if isinstance(error, Refusal) and error.status == 404:
            self.drop(upload)
        else:
            self.begin(upload)

    def drop(self, upload: MultipartUpload) -> None:
        """Take an upload away with its parts."""
        self.remove(upload)
        for part in upload.parts.values():
            part.upload.remove()

    def drop_bucket(self, bucket: BucketName) -> None:
        """Take away all uploads to a bucket, which is gone or has another name."""
        for upload in self.in_bucket(bucket):
            self.drop(upload)

    def join(
        self,
        upload: MultipartUpload,
        custom: Mapping[str, str],
        *,
        if_match: FileIdentity | None = None,
        check: Check | None = None,
    ) -> tuple[Record, os.stat_result]:
        """Make the object from all parts.

        Args:
            upload: The upload.
            custom: The custom metadata of the object.
            if_match: Replace only this file; None for any.
            check: Checks the data of the object before it gets its name; None for no check.

        Raises:
            ChangedRefusal: The name stands for another file than `if_match`.
            Refusal: No such bucket, or a folder in the way.
        """
        folder, target = self._folder, (upload.bucket, upload.name)
        whole = folder.begin_upload(None)
        parts = [part for _, part in sorted(upload.parts.items())]
        try:
            for part in parts:
                with part.upload.read() as file:
                    whole.append(file, 0, part.size_bytes, check.write if check else None)
            if check is not None:
                check.finish()
            multipart = MultipartInfo.of([part.size_bytes for part in parts])
            with folder.lock:
                record, status = folder.finish_upload(
                    whole, [], *target, multipart, if_match=if_match
                )
                if custom:
                    record = folder.metadata.set_custom(*target, record, custom)
                return record, status
        finally:
            whole.discard()
