"""The bytes of a file in NVIDIA's registry, from the storage that a presigned URL leads to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from aisio.errors import (
    AccessError,
    IntegrityError,
    NotFoundError,
    StorageError,
    ThrottledError,
    TruncatedError,
    UnavailableError,
)
from aisio.resources.origins.body_reply import PromptBody
from aisio.resources.origins.https import TIMEOUTS, HttpsSession, plainly_told, span_of
from aisio.transport.http.errors import retry_after_s
from aisio.transport.http.response_body import MeasuredBody
from aisio.transport.low_speed import LowSpeedLimit

# int() refuses more than 4,300 digits; no file has more than 18.


@dataclass(frozen=True)
class ListedFile:
    """What the registry says of a file.

    Attributes:
        url: The origin's, for errors.
        path: Its path in the target.
        size_bytes: Its length; None where the registry does not tell.
        version: The target with its version.
        sha256: Of the file, in hexadecimal digits; None where the registry does not know it.
    """

    url: str
    path: str
    size_bytes: int | None
    version: str
    sha256: str | None


class NgcReply:
    """The bytes of a file, from some byte to its end; a `Reply` of `aisio.resources.download`.

    Args:
        file: Of which file they are.
        span: First byte that the reply delivers, and bytes of the whole file.
        response: The open reply.
        http: The session that it came by, closed together with it.
        about: What it is about, for errors.

    Attributes:
        start: First byte that the reply delivers.
        size_bytes: Bytes of the whole file; None where nobody tells.
        version: Target with version, digest and ETag; None where there is neither of the latter.
        sha256: What the whole file must hash to; None where the registry does not say.
    """

    def __init__(
        self,
        file: ListedFile,
        span: tuple[int, int | None],
        *,
        response: requests.Response,
        http: HttpsSession,
        about: str,
    ) -> None:
        self.start, self.size_bytes = span
        self.version = _version(file, response.headers.get("ETag", ""))
        self.sha256 = file.sha256
        self.checks_itself = False
        self._at = self.start
        self._url = file.url
        self._about = about
        self._response = response
        self._http = http
        body = PromptBody(response.raw, file.url)
        self._body = MeasuredBody(body, LowSpeedLimit.of(TIMEOUTS), file.url)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end.

        Raises:
            TruncatedError: The connection was cut before the end.
            IntegrityError: More bytes come than the file has.
            StoreTimeoutError: No bytes within the read timeout.
            UnavailableError: The connection broke.
        """
        count = self._body.readinto(buffer)
        self._at += count
        size = self.size_bytes
        if size is not None and self._at > size:
            raise IntegrityError(
                f"{self._about}: more bytes come than the {size} it has", url=self._url
            )
        if size is not None and not count and len(buffer) and self._at < size:
            raise TruncatedError(f"{self._about}: cut at byte {self._at} of {size}", url=self._url)
        return count

    def close(self) -> None:
        """Let go of the connection."""
        self._response.close()
        self._http.close()


def open_signed(signed_url: str, file: ListedFile, start: int = 0) -> NgcReply:
    """Open a presigned URL.

    Args:
        signed_url: The URL; it is a credential and never shown.
        file: What it leads to.
        start: First byte, below the file's length.

    Raises:
        AccessError: The URL has expired, then with a status, or TLS failed.
        NotFoundError: The storage does not have the file.
        IntegrityError: The storage has another file there, or sends other bytes than asked for.
        StorageError: Anything else; those that may pass by themselves as for a store.
    """
    about = f"GET {file.url} from {urlsplit(signed_url).netloc.rpartition('@')[2]}"
    http = HttpsSession()
    response: requests.Response | None = None
    try:
        response = _ask(http, signed_url, file, start, about)
        span = _span(response, file, start, about)
        return NgcReply(file, span, response=response, http=http, about=about)
    except BaseException:
        if response is not None:
            response.close()
        http.close()
        raise


def _ask(
    http: HttpsSession, signed_url: str, file: ListedFile, start: int, about: str
) -> requests.Response:
    # Identity: the bytes are counted, and a Range counts them as they are on the wire.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with plainly_told(about, file.url):
        return http.get(
            signed_url,
            headers=headers,
            timeout=(TIMEOUTS.connect_s, TIMEOUTS.read_s),
            stream=True,
        )


def _span(
    response: requests.Response, file: ListedFile, start: int, about: str
) -> tuple[int, int | None]:
    """Return the byte that a reply begins at, and the file's size, if they are as they must be."""
    span = span_of(response, start, about, file.url)
    if span is None:
        raise _refusal(response, file.url, about)
    begins, size = span
    if None not in (size, file.size_bytes) and size != file.size_bytes:
        raise IntegrityError(
            f"{about}: it has {size} bytes there, the registry lists {file.size_bytes}: it is "
            "being replaced, or damaged; try again later",
            url=file.url,
        )
    return begins, file.size_bytes if size is None else size


def _refusal(response: requests.Response, url: str, about: str) -> StorageError:
    """Return the error that a status stands for; the text of the reply may quote the URL."""
    status = response.status_code
    told = f"{about}: {status}"
    if status in (400, 401, 403):
        # Status 400: what the registry signed it by has expired, not the URL itself.
        told += "; the storage refuses the registry's own URL"
        return AccessError(told, url=url, status=status)
    if status == 404:
        told += "; the registry lists the file, its storage does not have it"
        return NotFoundError(told, url=url, status=status)
    if status == 429 or status >= 500:
        kind = ThrottledError if status == 429 else UnavailableError
        wait_s = retry_after_s(response.headers)
        return kind(told, url=url, status=status, retry_after_s=wait_s)
    return StorageError(told, url=url, status=status)


def _version(file: ListedFile, etag: str) -> str | None:
    strong = "" if etag.startswith("W/") else etag
    known = [text for text in (file.sha256, strong) if text]
    return " ".join([file.version, *known]) if known else None
