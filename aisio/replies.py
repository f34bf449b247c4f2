"""What comes back from a store: bodies to read on, and other libraries' errors as aisio's own."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TypeAlias

import requests
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from aisio.errors import AccessError, StorageError, StoreTimeoutError, UnavailableError
from aisio.plain_http import PlainReply
from aisio.wire.messages import error_for

_LONGEST_ERROR_BYTES = 65536

OpenReply: TypeAlias = "urllib3.BaseHTTPResponse | PlainReply"
"""An open reply, by either way."""


class ReplyBody:
    """The body of an open reply, its errors translated; see `aisio.streams.RawReply`.

    Where a length was promised, a broken connection reads as an early end: whoever counts the bytes
    can say more than "connection reset".

    Args:
        response: The open reply, whose body was asked for as it is on the wire.
        about: URL of the object, for errors.
    """

    def __init__(self, response: OpenReply, about: str) -> None:
        self._response = response
        self._about = about
        self._inner = _inner_reply(response)

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, all by default; b"" at the end.

        Raises:
            StoreTimeoutError: No bytes within the read timeout.
            UnavailableError: The connection broke, and no length was promised.
        """
        inner = self._inner
        if inner is None:
            return self._read_by_urllib3(size)
        was_open = not inner.isclosed()
        try:
            data = inner.read(None if size < 0 else size)
        except http.client.IncompleteRead as error:
            data = error.partial
        except (OSError, http.client.HTTPException) as error:
            self._broke_off(error)
            return b""
        self._settle(inner, was_open and not data and size != 0)
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        inner = self._inner
        if inner is None:
            data = self._read_by_urllib3(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        was_open = not inner.isclosed()
        try:
            count = inner.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            self._broke_off(error)
            return 0
        self._settle(inner, was_open and not count and len(buffer) > 0)
        return count

    def _settle(self, inner: http.client.HTTPResponse, early: bool) -> None:
        """Give a read-out connection back to its pool at once; cut one that ended early."""
        if early:
            self._response.close()
        elif inner.isclosed():
            self._response.release_conn()

    def _broke_off(self, error: Exception) -> None:
        self._response.close()
        if isinstance(error, TimeoutError):
            raise self._timed_out() from error

    def _read_by_urllib3(self, size: int) -> bytes:
        try:
            return self._response.read(None if size < 0 else size)
        except ReadTimeoutError as error:
            raise self._timed_out() from error
        except (HTTPError, OSError) as error:
            if "Content-Length" in self._response.headers:
                return b""
            raise UnavailableError(
                f"GET {self._about}: the body broke off: {_reason(error)}", url=self._about
            ) from error

    def _timed_out(self) -> StoreTimeoutError:
        return StoreTimeoutError(
            f"GET {self._about}: no bytes within the read timeout", url=self._about
        )

    def close(self) -> None:
        """Give a read-out connection back to its pool.

        Any other is cut, as its bytes would be the next reply's.
        """
        self._response.close()


def _inner_reply(response: OpenReply) -> http.client.HTTPResponse | None:
    """Return the reply of http.client under urllib3's, or None where there is none to be found.

    urllib3's `readinto` reads into memory of its own and copies, and it has no public way to what
    lies below. Its `_fp` is that (tested with 2.2.0 and 2.8.0); where a later version has another,
    or the length is not known, all goes by urllib3's own read.
    """
    inner = response.inner if isinstance(response, PlainReply) else getattr(response, "_fp", None)
    known = isinstance(inner, http.client.HTTPResponse) and not inner.chunked
    return inner if known and "Content-Length" in response.headers else None


def let_go(response: OpenReply) -> None:
    """Read a reply out and give its connection back to the pool."""
    response.drain_conn()
    response.release_conn()


def refusal(response: OpenReply, method: str, about: str) -> StorageError:
    """Return the error that an open reply of status 400 or above stands for, and let go of it."""
    text = response.headers.get("Hdr-Error")
    if not text:
        text = response.read(_LONGEST_ERROR_BYTES).decode("utf-8", "replace")
    let_go(response)
    return error_for(
        response.status,
        text,
        operation=method,
        url=about,
        retry_after_s=retry_after_s(response.headers),
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds, or a date, which is taken relative to the reply's own Date.

    Source:
        RFC 9110, section 10.2.3.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return None


@contextmanager
def translated(method: str, about: str, host: str) -> Iterator[None]:
    """Turn what requests and urllib3 raise into aisio's errors, in this one place.

    Args:
        method: What was tried, for the text.
        about: On which object or bucket.
        host: With whom.
    """
    try:
        yield
    except StorageError:
        raise
    except NewConnectionError as error:
        # Refused or unresolved; urllib3 counts it among the timeouts.
        raise _unavailable(method, about, host, error) from error
    except (requests.ConnectTimeout, ConnectTimeoutError) as error:
        raise StoreTimeoutError(
            f"{method} {about}: no connection to {host} within the connect timeout", url=about
        ) from error
    except (requests.ReadTimeout, ReadTimeoutError) as error:
        raise StoreTimeoutError(
            f"{method} {about}: no bytes from {host} within the read timeout", url=about
        ) from error
    except (requests.exceptions.SSLError, SSLError) as error:
        raise AccessError(
            f"{method} {about}: TLS with {host} failed: {_reason(error)}; "
            f"set AIS_CLIENT_CA to the authority's PEM file",
            url=about,
        ) from error
    except requests.TooManyRedirects as error:
        raise StorageError(f"{method} {about}: {error}", url=about) from error
    except (requests.RequestException, HTTPError, OSError) as error:
        raise _unavailable(method, about, host, error) from error


def never_connected(error: StorageError) -> bool:
    """Tell whether an error of `translated` means that no connection came about."""
    cause = error.__cause__
    return isinstance(cause, (NewConnectionError, ConnectTimeoutError, requests.ConnectTimeout))


def _unavailable(method: str, about: str, host: str, error: Exception) -> StorageError:
    # Theirs that are also ValueErrors say that a URL or proxy cannot be meant: no retry helps.
    kind = StorageError if isinstance(error, ValueError) else UnavailableError
    return kind(f"{method} {about}: no answer from {host}: {_reason(error)}", url=about)


def _reason(error: BaseException) -> str:
    """Name the innermost cause: urllib3 and requests wrap it several times."""
    inner: BaseException = error
    while True:
        causes = (getattr(inner, "reason", None), *inner.args, inner.__cause__)
        nested = next((cause for cause in causes if isinstance(cause, BaseException)), None)
        if nested is None:
            return f"{type(inner).__name__}: {inner}"
        inner = nested
