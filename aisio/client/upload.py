"""What is stored in an AIStore cluster: an object by one request, or in parts.

AIStore does not compare a part with its checksum, but computes the checksum of the whole object:
that of the bucket's type if the parts came in their order, otherwise CRC-32C. So aisio computes
both from what it sends, and compares when the object is complete.

Source:
    AIStore 5.0, by experiment: actions "mpt-upload", "mpt-complete" and "mpt-abort";
    PUT with uploadId and partNumber, 1 to 9,999.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from aisio.client.router import Router
from aisio.client.session import Session
from aisio.errors import ConfigError, IntegrityError, NotFoundError, StorageError
from aisio.formats.checksums import HASHERS, Hasher
from aisio.records import ObjectInfo, UnfinishedUpload
from aisio.transport.http.response_body import OpenResponse, drain_and_release
from aisio.transport.parallel_upload import check_wanted, pieces_of
from aisio.transport.payload import CHUNK_BYTES
from aisio.transport.writer import complete_upload
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.uploads import UploadsPage, follow_pages, parse_uploads, uploads_path

__all__ = ["MultipartUpload", "abort_upload", "list_uploads", "send_data"]

_HASHED_AT_ONCE_BYTES = 256 * 1024
"""What fits into the processor's cache: the second hasher does not read it from memory again."""


class MultipartUpload:
    """A multipart upload; see `aisio.transport.parallel_upload.PartTarget`.

    Args:
        session: Sends the requests.
        url: The object.
        head: Returns what the cluster says of the object.
    """

    def __init__(self, session: Session, url: ObjectUrl, head: Callable[[], ObjectInfo]) -> None:
        self._session = session
        self._url = url
        self._head = head
        self._path = messages.object_path(url)
        self._id = ""
        self._hashers: dict[str, Hasher] = {}
        self._size_bytes = 0

    def begin(self) -> None:
        """See `PartTarget.begin`.

        Raises:
            NotFoundError: No such bucket.
        """
        session, query = self._session, messages.bucket_query(self._url)
        message = messages.action("mpt-upload")
        reply = session.call("POST", self._path, query=query, message=message, about=str(self._url))
        self._id = messages.parse_upload_id(reply.body, str(self._url))
        kinds = {session.bucket_checksums.kind(self._url, session.call), "crc32c"}
        self._hashers = {kind: HASHERS[kind]() for kind in kinds & HASHERS.keys()}

    def hash(self, part: memoryview) -> None:
        """See `PartTarget.hash`."""
        self._size_bytes += len(part)
        for start in range(0, len(part), _HASHED_AT_ONCE_BYTES):
            for hasher in self._hashers.values():
                hasher.update(part[start : start + _HASHED_AT_ONCE_BYTES])

    def send(self, number: int, offset: int, part: memoryview, stopped: Callable[[], bool]) -> None:
        """See `PartTarget.send`; a part is sent again until it is stored."""
        about = str(self._url)
        query = {**self._query, "partNumber": str(number)}

        def attempt() -> None:
            check_wanted(stopped, about)  # a try that failed may have waited for long
            body = pieces_of(part, stopped, about)
            send_data(self._session, self._url, query, body, len(part))

        self._session.retry(attempt)

    def complete(self, count: int) -> ObjectInfo:
        """See `PartTarget.complete`.

        Raises:
            StorageError: The cluster did not make the object, or did not say that it did.
            IntegrityError: The object has other bytes than were sent.
        """
        parts = [{"part-number": number, "etag": ""} for number in range(1, count + 1)]
        message = messages.action("mpt-complete", parts)

        def complete() -> None:
            about = f"{self._url} (upload {self._id})"
            self._session.call(
                "POST", self._path, query=self._query, message=message, about=about, safe=False
            )

        info = complete_upload(
            self._url,
            complete,
            self._session.retry,
            self._head,
            lambda info: self._has_checksum(info) and not self._difference(info),
        )
        if difference := self._difference(info):
            raise IntegrityError(
                f"PUT {self._url}: {difference}: its bytes were damaged on their way, or another "
                f"program has replaced it; write it again",
                url=str(self._url),
            )
        return info

    def abort(self) -> None:
        """See `PartTarget.abort`."""
        if self._id:
            abort_upload(self._session, self._url, self._id)

    @property
    def _query(self) -> dict[str, str]:
        return {**messages.bucket_query(self._url), "uploadId": self._id}

    def _has_checksum(self, info: ObjectInfo) -> bool:
        return info.checksum is not None and info.checksum.kind in self._hashers

    def _difference(self, info: ObjectInfo) -> str:
        """Return how the object differs from what was sent; "" if it does not."""
        if info.size_bytes != self._size_bytes:
            return f"{self._size_bytes:,} bytes were sent, the store has {info.size_bytes or 0:,}"
        stored = info.checksum
        if stored is None or not self._has_checksum(info):
            return ""
        sent = self._hashers[stored.kind].hexdigest()
        if sent == stored.value.lower():
            return ""
        return f"the store has a {stored.kind} checksum of {stored.value}, what was sent has {sent}"


def list_uploads(session: Session, prefix: ObjectUrl) -> Iterator[UnfinishedUpload]:
    """List the unfinished uploads below a prefix.

    AIStore lists them by its S3 interface alone, which knows buckets of the default namespace.

    Raises:
        ConfigError: The bucket is in another namespace, or the endpoint has no S3 interface.
        NotFoundError: No such bucket.
        IntegrityError: The endpoint sends no such list, or one that does not end.
    """
    about = prefix.root
    if prefix.namespace:
        raise ConfigError(f"unfinished uploads of {about}: AIStore does not list those of {about}")

    def endless(name: str) -> IntegrityError:
        return IntegrityError(f"list uploads of {about}: the list came to {name!r} again")

    for upload in follow_pages(partial(_uploads_page, session, prefix), endless):
        if upload.url.startswith(str(prefix)):
            yield upload


def _uploads_page(session: Session, prefix: ObjectUrl, markers: Mapping[str, str]) -> UploadsPage:
    path = uploads_path(prefix.bucket, markers)
    try:
        body = session.call("GET", path, about=prefix.root).body
    except NotFoundError:
        raise
    except StorageError as error:
        if error.status not in (400, 501):
            raise
        raise ConfigError(
            f"unfinished uploads of {prefix.root}: the endpoint has no S3 interface, which lists"
            " them"
        ) from error
    return parse_uploads(body, prefix.root)


def abort_upload(session: Session, url: ObjectUrl, upload_id: str) -> None:
    """Abort an upload; one that has ended meanwhile is no error."""
    path, message = messages.object_path(url), messages.action("mpt-abort")
    query = {**messages.bucket_query(url), "uploadId": upload_id}
    about = f"{url} (upload {upload_id})"
    session.delete(path, query, about=about, missing_ok=True, message=message)


def send_data(
    session: Session,
    url: ObjectUrl,
    query: Mapping[str, str],
    chunks: Iterable[bytes | memoryview],
    size_bytes: int,
) -> OpenResponse:
    """Send the data of an object, or of a part, once, straight to the node that the cluster names.

    Returns:
        The response, which is read and released.

    Raises:
        StorageError: It was not stored.
    """
    streams, about = session.streams, str(url)
    # In one piece, it needs none of urllib3's layers.
    body = b"".join(chunks) if size_bytes <= CHUNK_BYTES else chunks
    target = streams.put_location(messages.object_path(url), query, size_bytes, about=about)
    response = streams.open("PUT", target.url, headers=target.headers, body=body, about=about)
    drain_and_release(response)
    if response.status >= 300:
        raise StorageError(
            f"PUT {about}: the node that was to take the data answered {response.status}: "
            f"nothing was stored",
            url=about,
        )
    Router(session).check_placement(url, target.url)
    return response
