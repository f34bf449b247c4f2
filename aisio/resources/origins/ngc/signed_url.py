"""The bytes of a file in NVIDIA's registry, from the storage of its presigned URL."""

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
from aisio.redaction import url_without_secrets
from aisio.resources.origins.body_response import PromptBody
from aisio.resources.origins.https import (
    TIMEOUTS,
    HttpsSession,
    file_headers,
    plain_errors,
    response_span,
)
from aisio.transport.http.errors import retry_after_s
from aisio.transport.http.response_body import MeasuredBody
from aisio.transport.low_speed import LowSpeedLimit


@dataclass(frozen=True)
class ListedFile:
    """A file in the registry's list.

    Attributes:
        url: URL of the origin, for errors.
        path: Path of the file in the target.
        size_bytes: Size of the file; None if the registry does not say.
        version: The target with its version.
        sha256: Hexadecimal SHA256 of the file; None if the registry does not say.
    """

    url: str
    path: str
    size_bytes: int | None
    version: str
    sha256: str | None


class NgcResponse:
    """A response of the storage; see `aisio.resources.download.download.OriginResponse`.

    More than 10 attributes: five are those of OriginResponse.

    Args:
        file: The file that the bytes are of.
        span: First byte of the response, and size of the whole file.
        response: The open response.
        http: The session of the response, closed together with it.
        about: The request and its host, for errors.

    Attributes:
        start: First byte that it delivers.
        size_bytes: Size of the whole file; None if neither the registry nor the storage says.
        version: Target with version, digest and strong ETag; None if it has neither of these two.
        sha256: Hexadecimal SHA256 of the whole file; None if the registry does not say.
        checks_itself: False: only the number of bytes is checked.
    """

    checks_itself: bool = False

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
        self._position = self.start
        self._url = file.url
        self._about = about
        self._response = response
        self._http = http
        body = PromptBody(response.raw, file.url)
        self._body = MeasuredBody(body, LowSpeedLimit.of(TIMEOUTS), file.url)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end.

        Raises:
            TruncatedError: The connection was closed before the end.
            IntegrityError: The storage sends more bytes than the file has.
            StoreTimeoutError: No bytes within the read timeout, or too few for the low-speed limit.
            UnavailableError: The connection broke.
        """
        count = self._body.readinto(buffer)
        self._position += count
        size = self.size_bytes
        if size is not None and self._position > size:
            raise IntegrityError(
                f"{self._about}: more bytes come than the {size} it has", url=self._url
            )
        if size is not None and not count and len(buffer) and self._position < size:
            raise TruncatedError(
                f"{self._about}: cut at byte {self._position} of {size}", url=self._url
            )
        return count

    def close(self) -> None:
        """Release the connection."""
        self._response.close()
        self._http.close()


def open_signed(signed_url: str, file: ListedFile, start: int = 0) -> NgcResponse:
    """Open a presigned URL.

    Args:
        signed_url: The URL; it is a credential, so errors do not show it.
        file: The file that it is of.
        start: First byte, below the size of the file.

    Raises:
        AccessError: The URL has expired, then with a status, or TLS failed.
        NotFoundError: The storage does not have the file.
        IntegrityError: The storage has another file there, or sends other bytes than requested.
        StorageError: Any other failure, of the class that a store would raise.
    """
    with plain_errors(f"GET {file.url}", file.url):
        host = urlsplit(url_without_secrets(signed_url)).netloc
    about = f"GET {file.url} from {host}"
    http = HttpsSession()
    response: requests.Response | None = None
    try:
        response = http.open(
            signed_url, about=about, error_url=file.url, headers=file_headers(start)
        )
        span = _checked_span(response, file, start, about)
        return NgcResponse(file, span, response=response, http=http, about=about)
    except BaseException:
        if response is not None:
            response.close()
        http.close()
        raise


def _checked_span(
    response: requests.Response, file: ListedFile, start: int, about: str
) -> tuple[int, int | None]:
    """Return the first byte of a response and the file's size, checked with the registry's list."""
    span = response_span(response, start, about, file.url)
    if span is None:
        raise _refusal(response, file.url, about)
    first, size = span
    if None not in (size, file.size_bytes) and size != file.size_bytes:
        raise IntegrityError(
            f"{about}: it has {size} bytes there, the registry lists {file.size_bytes}: it is "
            "being replaced, or damaged; try again later",
            url=file.url,
        )
    return first, file.size_bytes if size is None else size


def _refusal(response: requests.Response, url: str, about: str) -> StorageError:
    """Return the error for a status, without the body, which may quote the URL."""
    status = response.status_code
    text = f"{about}: {status}"
    if status in (400, 401, 403):
        # Status 400: the credentials that the registry signed it with have expired.
        text += "; the storage refuses the registry's own URL"
        return AccessError(text, url=url, status=status)
    if status == 404:
        text += "; the registry lists the file, its storage does not have it"
        return NotFoundError(text, url=url, status=status)
    if status == 429 or status >= 500:
        kind = ThrottledError if status == 429 else UnavailableError
        wait_s = retry_after_s(response.headers)
        return kind(text, url=url, status=status, retry_after_s=wait_s)
    return StorageError(text, url=url, status=status)


def _version(file: ListedFile, etag: str) -> str | None:
    strong = "" if etag.startswith("W/") else etag
    identifiers = [text for text in (file.sha256, strong) if text]
    return " ".join([file.version, *identifiers]) if identifiers else None
