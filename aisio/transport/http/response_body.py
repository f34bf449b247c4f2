"""Bodies of open responses, and the errors that responses stand for."""

from __future__ import annotations

import http.client
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from time import perf_counter
from typing import TypeAlias

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from aisio.errors import IntegrityError, StorageError, StoreTimeoutError, UnavailableError
from aisio.records import ByteRange, ObjectInfo
from aisio.transport.body import READ_PIECE_BYTES
from aisio.transport.http.errors import reason_of, retry_after_s
from aisio.transport.http.response import Response
from aisio.transport.low_speed import FLUSH_SLOW_DATA_AFTER_S, LowSpeedLimit
from aisio.urls import ObjectUrl
from aisio.wire.http1 import utf8_text
from aisio.wire.messages import error_for, parse_content_range

_PIECE_BYTES = 256 * 1024
_MAX_ERROR_BYTES = 65536
_MAX_ERROR_S = 5.0
_MAX_DRAIN_BYTES = 64 * 1024
_MAX_DRAIN_S = 1.0

OpenResponse: TypeAlias = "urllib3.BaseHTTPResponse | Response"
"""An open response, of urllib3 or of our own connection pool."""


class ResponseBody(ABC):
    """The body of an open response, with aisio's errors; see `aisio.transport.body.RawResponse`.

    If the response has a Content-Length, a broken connection reads as an early end of the body:
    the reader, who counts the bytes, can say more than "connection reset".

    Args:
        response: The open response. Its body is read as it was sent, without decoding.
        about: URL of the object, for errors.
    """

    __slots__ = ("_about", "_response")

    def __init__(self, response: OpenResponse, about: str) -> None:
        self._response = response
        self._about = about

    @abstractmethod
    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, all by default; b"" at the end.

        Raises:
            StoreTimeoutError: No bytes within the read timeout.
            UnavailableError: The connection broke, and the response had no Content-Length.
        """

    @abstractmethod
    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""

    def _read_all(self) -> bytes:
        return b"".join(iter(lambda: self.read(_PIECE_BYTES), b""))

    def _handle_break(self, error: Exception) -> bytes:
        """Close a broken response; return b"" where it has a Content-Length, raise elsewhere."""
        self._response.close()
        if isinstance(error, (TimeoutError, ReadTimeoutError)):
            raise StoreTimeoutError(
                f"GET {self._about}: no bytes within the read timeout", url=self._about
            ) from error
        if "Content-Length" in self._response.headers:
            return b""
        raise UnavailableError(
            f"GET {self._about}: the body broke off: {reason_of(error)}", url=self._about
        ) from error

    def close(self) -> None:
        """Give the connection back to its pool if the body was read to its end; else close it.

        What is left of the body would be taken for the next response.
        """
        self._response.close()


class PlainBody(ResponseBody):
    """The body of a response of our own connection pool."""

    __slots__ = ()

    _response: Response

    def read(self, size: int = -1, /) -> bytes:
        """See `ResponseBody.read`."""
        if size < 0:
            return self._read_all()
        try:
            return self._response.read(size, perf_counter() + FLUSH_SLOW_DATA_AFTER_S)
        except (HTTPError, OSError) as error:
            return self._handle_break(error)

    def readinto(self, buffer: memoryview, /) -> int:
        """See `ResponseBody.readinto`."""
        try:
            return self._response.readinto(buffer, perf_counter() + FLUSH_SLOW_DATA_AFTER_S)
        except (HTTPError, OSError) as error:
            return len(self._handle_break(error))


class Urllib3Body(ResponseBody):
    """The body of a response of urllib3, read by urllib3's own methods."""

    __slots__ = ()

    _response: urllib3.BaseHTTPResponse

    def read(self, size: int = -1, /) -> bytes:
        """See `ResponseBody.read`."""
        if size < 0:
            return self._read_all()
        try:
            return self._response.read(size)
        except (HTTPError, OSError) as error:
            return self._handle_break(error)

    def readinto(self, buffer: memoryview, /) -> int:
        """See `ResponseBody.readinto`."""
        data = self.read(min(len(buffer), READ_PIECE_BYTES))
        buffer[: len(data)] = data
        return len(data)


class HttpClientBody(ResponseBody):
    """The body of a response of urllib3, read from the response of http.client that is inside it.

    urllib3's `readinto` reads into memory of its own and copies.

    Args:
        response: The open response.
        about: URL of the object, for errors.
        inner: The response of http.client; its body is not chunked and has a known length.
    """

    __slots__ = ("_inner",)

    _response: urllib3.BaseHTTPResponse

    def __init__(
        self, response: urllib3.BaseHTTPResponse, about: str, inner: http.client.HTTPResponse
    ) -> None:
        super().__init__(response, about)
        self._inner = inner

    def read(self, size: int = -1, /) -> bytes:
        """See `ResponseBody.read`."""
        if size < 0:
            return self._read_all()
        was_open = not self._inner.isclosed()
        try:
            data = self._inner.read(size)
        except http.client.IncompleteRead as error:
            data = error.partial
        except (OSError, http.client.HTTPException) as error:
            return self._handle_break(error)
        self._release(ended_early=was_open and not data and size != 0)
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """See `ResponseBody.readinto`."""
        buffer = buffer[:READ_PIECE_BYTES]
        was_open = not self._inner.isclosed()
        try:
            count = self._inner.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            return len(self._handle_break(error))
        self._release(ended_early=was_open and not count and len(buffer) > 0)
        return count

    def _release(self, *, ended_early: bool) -> None:
        """Close a connection that ended early; give one back whose response was read to its end."""
        if ended_early:
            self._response.close()
        elif self._inner.isclosed():
            self._response.release_conn()


def body_of(response: OpenResponse, about: str) -> ResponseBody:
    """Return the body of an open response, by the class that reads this kind of response.

    The response of http.client inside one of urllib3 is its `_fp` (tested with 2.2.0 and 2.8.0).
    Where a later version has something else there, or the length is not known, urllib3 reads.

    Args:
        response: The open response. Its body is read as it was sent, without decoding.
        about: URL of the object, for errors.
    """
    if isinstance(response, Response):
        return PlainBody(response, about)
    inner = getattr(response, "_fp", None)
    if not isinstance(inner, http.client.HTTPResponse) or inner.chunked:
        return Urllib3Body(response, about)
    if "Content-Length" not in response.headers:
        return Urllib3Body(response, about)
    return HttpClientBody(response, about, inner)


class MeasuredBody:
    """The body of a response that is read without a `Body`, and must not come too slowly.

    Args:
        body: The body.
        low_speed: How fast it must come; None for any speed.
        about: URL of the object, for errors.
    """

    def __init__(self, body: ResponseBody, low_speed: LowSpeedLimit | None, about: str) -> None:
        self._body = body
        self._low_speed = low_speed
        self._about = about

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; b"" at the end; errors as for `ResponseBody.read`."""
        started = self._start()
        data = self._body.read(size)
        self._record(len(data), started)
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        started = self._start()
        count = self._body.readinto(buffer)
        self._record(count, started)
        return count

    def _start(self) -> float:
        if self._low_speed is not None and self._low_speed.is_missed():
            raise self._low_speed.error(f"GET {self._about}", self._about)
        return perf_counter()

    def _record(self, count: int, started: float) -> None:
        if self._low_speed is not None:
            self._low_speed.add(count, perf_counter() - started)


def drain_and_release(response: OpenResponse) -> None:
    """Read the rest of a response if it is short, and keep its connection; else close that."""
    with suppress(HTTPError, OSError):
        _read_some(response, _MAX_DRAIN_BYTES, _MAX_DRAIN_S)
    response.close()


def _read_some(response: OpenResponse, max_bytes: int, max_s: float) -> bytes:
    """Return the next bytes of a response, which may be slow or never end."""
    until_s = perf_counter() + max_s
    if isinstance(response, Response):
        return response.read(max_bytes, until_s)
    data = BytesIO()
    while data.tell() < max_bytes and perf_counter() < until_s:
        piece = response.read1(max_bytes - data.tell(), decode_content=False)
        if not piece:
            break
        data.write(piece)
    return data.getvalue()


def status_error(response: OpenResponse, method: str, about: str) -> StorageError:
    """Return the error for an open response of status 400 or above, and close the response."""
    text = utf8_text(response.headers.get("Hdr-Error") or "") or error_text(response)
    drain_and_release(response)
    return error_for(
        response.status,
        text,
        operation=method,
        url=about,
        retry_after_s=retry_after_s(response.headers),
    )


def error_text(response: OpenResponse) -> str:
    """Return as much of the error text as can be read; the status is enough if that fails."""
    try:
        data = _read_some(response, _MAX_ERROR_BYTES, _MAX_ERROR_S)
    except (HTTPError, OSError):
        return ""
    return data.decode("utf-8", "replace")


def require_whole(response: OpenResponse, method: str, about: str | ObjectUrl) -> None:
    """Refuse the response to a request without a range that does not have the whole object.

    Raises:
        StorageError: Its status is another success than 200. It was closed.
    """
    if response.status != 200:
        response.close()
        raise StorageError(
            f"{method} {about}: answered {response.status}, which is not the whole object",
            url=str(about),
            status=response.status,
        )


def checked_length(response: OpenResponse, wanted: ByteRange, info: ObjectInfo) -> int:
    """Return how many bytes the body of the response to a range request must have.

    Raises:
        IntegrityError: The response has other bytes than were requested. It was closed.
    """
    header = response.headers.get("Content-Range")
    got = parse_content_range(header)
    if response.status == 206 and got is not None and _is_range(got, wanted, info.size_bytes):
        length = got[1] - got[0]
        if response.headers.get("Content-Length") in (None, str(length)):
            return length
    response.close()
    raise IntegrityError(
        f"GET {info.url}: asked for {wanted}, the store answered {response.status} "
        f"with Content-Range {header!r}",
        url=info.url,
    )


def _is_range(got: tuple[int, int], wanted: ByteRange, size: int | None) -> bool:
    ends = [end for end in (wanted.stop, size) if end is not None]
    return got[0] == wanted.start and got[1] == min(ends, default=got[1])


def refuse_web_page(
    headers: Mapping[str, str],
    method: str,
    about: str | ObjectUrl,
    *,
    own_headers: str = "ais-",
    store: str = "AIStore",
) -> None:
    """Refuse a successful response that is a web page, and so does not come from the store.

    AIStore never answers in HTML: it sends every object as binary data. OSS may, for an object that
    is a page.

    Args:
        headers: Of the response.
        method: HTTP method of the request.
        about: URL of the object or bucket.
        own_headers: What the names of the store's own headers begin with, in small letters.
        store: What it is called.

    Raises:
        IntegrityError: It is a web page, and has none of the store's own headers.
    """
    if not (headers.get("Content-Type") or "").startswith("text/html"):
        return
    if not any(name.lower().startswith(own_headers) for name in headers):
        raise IntegrityError(
            f"{method} {about}: answered with a web page: something on the way, as a proxy that "
            f"wants a login, answers in place of {store}",
            url=str(about),
        )
