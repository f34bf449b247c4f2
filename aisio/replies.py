"""What comes back from a store: bodies to read on, and other libraries' errors as aisio's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

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
from aisio.wire.messages import error_for

_LONGEST_ERROR_BYTES = 65536


class ReplyBody:
    """The body of an open reply, its errors translated; see `aisio.streams.RawReply`.

    Where a length was promised, a broken connection reads as an early end: whoever counts the bytes
    can say more than "connection reset".

    Args:
        response: The open reply, whose body was asked for as it is on the wire.
        about: URL of the object, for errors.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, about: str) -> None:
        self._response = response
        self._about = about

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, all by default; b"" at the end.

        Raises:
            StoreTimeoutError: No bytes within the read timeout.
            UnavailableError: The connection broke, and no length was promised.
        """
        try:
            return self._response.read(None if size < 0 else size)
        except ReadTimeoutError as error:
            raise StoreTimeoutError(
                f"GET {self._about}: no bytes within the read timeout", url=self._about
            ) from error
        except (HTTPError, OSError) as error:
            if "Content-Length" in self._response.headers:
                return b""
            raise UnavailableError(
                f"GET {self._about}: the body broke off: {_reason(error)}", url=self._about
            ) from error

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Give a read-out connection back to its pool.

        Any other is cut, as its bytes would be the next reply's.
        """
        self._response.close()


def let_go(response: urllib3.BaseHTTPResponse) -> None:
    """Read a reply out and give its connection back to the pool."""
    response.drain_conn()
    response.release_conn()


def refusal(response: urllib3.BaseHTTPResponse, method: str, about: str) -> StorageError:
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
