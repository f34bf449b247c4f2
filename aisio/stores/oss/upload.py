"""OssUpload: an object of OSS in parts, each verified before they become the object.

Source:
    OSS API reference: UploadPart. Parts have at least 100 KiB, the last one excepted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from aisio.errors import IntegrityError, NotFoundError
from aisio.formats.checksums import HASHERS
from aisio.records import Checksum, ObjectInfo
from aisio.stores.oss.bucket import OssBucket
from aisio.transport.http.response_body import drain_and_release
from aisio.transport.parallel_upload import check_wanted, pieces_of
from aisio.transport.retries import retry
from aisio.transport.writer import complete_upload
from aisio.urls import ObjectUrl
from aisio.wire.oss import check_completed, complete_message, parse_checksum, parse_upload_id

__all__ = ["MIN_PART_BYTES", "OssUpload", "abort_upload", "crc64_of"]

MIN_PART_BYTES = 100 * 1024

_KIND = "crc64ecma"


class OssUpload:
    """A multipart upload; see `aisio.transport.parallel_upload.PartTarget`.

    Args:
        bucket: Sends the requests.
        url: The object.
        head: Returns what OSS says of the object.
    """

    def __init__(self, bucket: OssBucket, url: ObjectUrl, head: Callable[[], ObjectInfo]) -> None:
        self._bucket = bucket
        self._url = url
        self._head = head
        self._id = ""
        # By the number of the part: entity tag, CRC-64, size.
        self._sent: dict[int, tuple[str, int, int]] = {}

    def begin(self) -> None:
        """See `PartTarget.begin`.

        Raises:
            NotFoundError: No such bucket.
        """
        _, body = self._bucket.call("POST", self._url, {"uploads": ""})
        self._id = parse_upload_id(body, str(self._url))

    def hash(self, part: memoryview) -> None:
        """See `PartTarget.hash`; `send` hashes each part, and `complete` joins the checksums."""

    def send(self, number: int, offset: int, part: memoryview, stopped: Callable[[], bool]) -> None:
        """See `PartTarget.send`; a part is sent again until it is stored.

        Raises:
            IntegrityError: OSS received other bytes than were sent.
        """
        about, sent = str(self._url), crc64_of(part)
        query = {"partNumber": str(number), "uploadId": self._id}
        headers = {"Content-Length": str(len(part))}

        def attempt() -> str:
            check_wanted(stopped, about)  # a try that failed may have waited for long
            body = pieces_of(part, stopped, about)
            response = self._bucket.open("PUT", self._url, query, headers=headers, body=body)
            drain_and_release(response)
            stored = parse_checksum(response.headers)
            if stored is not None and stored != sent:
                raise IntegrityError(
                    f"PUT {about}: OSS has a CRC-64 of {stored.value} of part {number}, what was "
                    f"sent has {sent.value}: nothing was stored; put it again",
                    url=about,
                )
            return (response.headers.get("ETag") or "").strip('"')

        etag = retry(attempt, self._bucket.attempts())
        self._sent[number] = etag, int(sent.value, 16), len(part)

    def complete(self, count: int) -> ObjectInfo:
        """See `PartTarget.complete`.

        Raises:
            StorageError: OSS did not make the object, or did not say that it did.
            IntegrityError: The object has other bytes than were sent.
        """
        parts = [self._sent[number] for number in range(1, count + 1)]
        message = complete_message([etag for etag, _, _ in parts])

        def complete() -> None:
            query = {"uploadId": self._id}
            _, body = self._bucket.call("POST", self._url, query, body=message, tries_again=False)
            check_completed(body, str(self._url))

        info = complete_upload(
            self._url,
            complete,
            lambda attempt: retry(attempt, self._bucket.attempts()),
            self._head,
            lambda info: info.checksum is not None and not _difference(info, parts),
        )
        if difference := _difference(info, parts):
            raise IntegrityError(
                f"PUT {self._url}: {difference}: another program has replaced it, or it is "
                f"damaged; write it again",
                url=str(self._url),
            )
        return info

    def abort(self) -> None:
        """See `PartTarget.abort`."""
        if self._id:
            abort_upload(self._bucket, self._url, self._id)


def abort_upload(bucket: OssBucket, url: ObjectUrl, upload_id: str) -> None:
    """Abort an upload; one that has ended meanwhile is no error."""
    with suppress(NotFoundError):
        bucket.call("DELETE", url, {"uploadId": upload_id})


def _difference(info: ObjectInfo, parts: list[tuple[str, int, int]]) -> str:
    """Return how an object differs from the parts; "" if it does not."""
    from alibabacloud_oss_v2.crc import Crc64

    size = sum(part_bytes for _, _, part_bytes in parts)
    if info.size_bytes != size:
        return f"{size:,} bytes were sent, OSS has {info.size_bytes or 0:,}"
    crc = 0
    for _, part_crc, part_bytes in parts:
        crc = Crc64.combine(crc, part_crc, part_bytes)
    sent = Checksum(_KIND, f"{crc:016x}")
    if info.checksum in (None, sent):
        return ""
    return f"OSS has a CRC-64 of {info.checksum.value}, what was sent has {sent.value}"


def crc64_of(part: bytes | memoryview) -> Checksum:
    """Return the checksum that OSS has of these bytes."""
    hasher = HASHERS[_KIND]()
    hasher.update(part)
    return Checksum(_KIND, hasher.hexdigest())
