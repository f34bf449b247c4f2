"""Requests by https whose errors are errors of aisio, and whose credentials stay with their host.

`HttpsSession.open` sends a GET and returns the response with its body still to be read; `read_body`
reads a small body. `response_span` says which bytes of a file a response has.

No error shows a whole URL: the query of a presigned URL is a credential, and the texts of
`requests` and urllib3 hold it.

Source:
    RFC 9110, sections 14.4 (Content-Range) and 15.3.7 (206).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError

from aisio.errors import (
    AccessError,
    AisioError,
    ConfigError,
    IntegrityError,
    StorageError,
    StoreTimeoutError,
    UnavailableError,
)
from aisio.records import ByteRange, Timeouts
from aisio.transport.http.head_deadline import HeadDeadlineAdapter, head_limit_s
from aisio.transport.low_speed import LowSpeedLimit
from aisio.version import __version__

TIMEOUTS = Timeouts(connect_s=10.0, read_s=60.0)
"""For a server far away, which may take a while to answer."""

_POOL_SIZE = 10
_READ_BYTES = 64 * 1024
_MAX_REASON_CHARS = 300
# int() refuses more than 4,300 digits, and no file has a size of more than 18.
_SIZE = re.compile(r"\d{1,18}", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


class HttpsSession(requests.Session):
    """A session that sends credentials only to the host they are for, and nothing without TLS.

    Args:
        timeouts: Of each request, with the low-speed limit for the head of its response.
        credential_headers: Headers that a redirect to another host must not get.
        allow_http: Also send requests without TLS, to http:// URLs and redirects to them.
    """

    def __init__(
        self,
        timeouts: Timeouts = TIMEOUTS,
        *,
        credential_headers: Sequence[str] = ("Authorization",),
        allow_http: bool = False,
    ) -> None:
        super().__init__()
        self._timeouts = timeouts
        self._credential_headers = credential_headers
        # ~/.netrc must not be used: it would replace a key, and break a presigned URL.
        self.auth = _add_nothing
        self.headers["User-Agent"] = f"aisio/{__version__}"
        del self.adapters["http://"]
        for scheme in ("https://", "http://") if allow_http else ("https://",):
            self.mount(scheme, HeadDeadlineAdapter(_POOL_SIZE, head_limit_s(timeouts)))

    def open(
        self,
        url: str,
        *,
        about: str,
        error_url: str,
        headers: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
        allow_redirects: bool = True,
    ) -> requests.Response:
        """Send a GET, and return the response with its body still to be read.

        Args:
            url: The URL; it is not shown in errors.
            about: The request and its host, for errors.
            error_url: The `url` of errors.
            headers: Headers of the request.
            params: Query of the request.
            allow_redirects: Follow redirects.

        Raises:
            StorageError, ConfigError: As for `plain_errors`.
        """
        with plain_errors(about, error_url):
            return self.get(
                url,
                params=params,
                headers=dict(headers),
                timeout=(self._timeouts.connect_s, self._timeouts.read_s),
                allow_redirects=allow_redirects,
                stream=True,
            )

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the URL that a response redirects to; close a response whose URL is not text."""
        try:
            return super().get_redirect_target(resp)
        except ValueError:
            resp.close()
            raise

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Remove all credentials from a request that is redirected to another host."""
        if urlsplit(prepared_request.url or "").netloc != urlsplit(response.url).netloc:
            for name in self._credential_headers:
                prepared_request.headers.pop(name, None)


def _add_nothing(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def file_headers(start: int) -> dict[str, str]:
    """Return the headers of a request for a file from a byte on."""
    # Identity: bytes are counted, and ranges count them, as they are on the wire.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = str(ByteRange(start))
    return headers


def read_body(
    response: requests.Response,
    *,
    about: str,
    error_url: str,
    max_bytes: int,
    timeouts: Timeouts = TIMEOUTS,
) -> bytes:
    """Read a small body.

    Args:
        response: The open response.
        about: The request and its host, for errors.
        error_url: The `url` of errors.
        max_bytes: A larger body is an error.
        timeouts: Have the low-speed limit.

    Raises:
        StoreTimeoutError: It comes too slowly.
        StorageError: It is too large, or the connection broke.
    """
    body, low_speed = bytearray(), LowSpeedLimit.of(timeouts)
    with plain_errors(about, error_url):
        while True:
            started = perf_counter()
            data = response.raw.read1(_READ_BYTES, decode_content=True)
            body += data
            if not data:
                return bytes(body)
            if len(body) > max_bytes:
                raise StorageError(
                    f"{about}: the answer is longer than {max_bytes} bytes", url=error_url
                )
            if low_speed is not None:
                low_speed.add(len(data), perf_counter() - started)
                if low_speed.is_missed():
                    raise low_speed.error(about, error_url)


@contextmanager
def plain_errors(about: str, error_url: str) -> Iterator[None]:
    """Raise what `requests` raises as errors of aisio, without its texts, which hold whole URLs.

    Args:
        about: The request and its host.
        error_url: The `url` of the errors.

    Raises:
        AccessError: TLS failed.
        StoreTimeoutError: No answer in time.
        UnavailableError: The server cannot be reached, or the connection broke.
        StorageError: The URL, a redirect or a proxy cannot be used: trying again does not help.
        ConfigError: REQUESTS_CA_BUNDLE cannot be used.
    """
    try:
        yield
    except AisioError:
        raise
    except requests.exceptions.SSLError as error:
        raise AccessError(
            f"{about}: TLS failed: {_innermost_cause(error)}; set REQUESTS_CA_BUNDLE to the PEM "
            "file of the authority to trust",
            url=error_url,
        ) from None
    except (requests.Timeout, ReadTimeoutError):
        raise StoreTimeoutError(f"{about}: no answer in time", url=error_url) from None
    except requests.exceptions.InvalidSchema:
        raise StorageError(
            f"{about}: it leads to an address that is not https", url=error_url
        ) from None
    except requests.TooManyRedirects:
        raise StorageError(f"{about}: it redirects without end", url=error_url) from None
    except requests.RequestException as error:
        # Those that are ValueErrors too mean that a URL or proxy is wrong.
        kind = StorageError if isinstance(error, ValueError) else UnavailableError
        raise kind(f"{about}: no answer: {_innermost_cause(error)}", url=error_url) from None
    except ValueError as error:
        # urllib3 and Python raise it for a wrong address, as a redirect may have.
        raise StorageError(
            f"{about}: it leads to an invalid address: {type(error).__name__}",
            url=error_url,
        ) from None
    except (HTTPError, HTTPException) as error:
        raise UnavailableError(
            f"{about}: the answer broke off: {type(error).__name__}", url=error_url
        ) from None
    except OSError as error:
        raise ConfigError(f"{about}: REQUESTS_CA_BUNDLE cannot be used: {error}") from None


def _innermost_cause(error: BaseException) -> str:
    """Describe the innermost cause: the texts of the outer ones hold the URL, with its query."""
    cause: BaseException = error
    while True:
        candidates = (getattr(cause, "reason", None), *cause.args)
        inner = next((each for each in candidates if isinstance(each, BaseException)), None)
        if inner is None:
            break
        cause = inner
    if isinstance(cause, (requests.RequestException, MaxRetryError)):
        return type(cause).__name__
    # Some texts quote a response that is not HTTP, with whatever characters it has.
    text = str(cause)[:_MAX_REASON_CHARS]
    return f"{type(cause).__name__}: {text if text.isprintable() else ascii(text)}"


def response_span(
    response: requests.Response, start: int, about: str, error_url: str
) -> tuple[int, int | None] | None:
    """Return the first byte that a response has of a file, and the file's size if it says so.

    Some servers send a part with status 200, and say so only in Content-Range: it counts as a part.

    Returns:
        None if the status is neither 200 nor 206.

    Raises:
        IntegrityError: The response has neither all bytes from `start` on, nor all bytes.
    """
    length = response.headers.get("Content-Length", "")
    length_bytes = int(length) if _SIZE.fullmatch(length) else None
    content_range = response.headers.get("Content-Range", "")
    is_whole = not content_range or _size_from_range(content_range, 0) == length_bytes
    if response.status_code == 200 and is_whole:
        return 0, length_bytes
    if response.status_code not in (200, 206):
        return None
    size = _size_from_range(content_range, start)
    if size is None or length_bytes not in (None, size - start):
        raise IntegrityError(
            f"{about}: requested all bytes from {start} on, got {(content_range, length)}",
            url=error_url,
        )
    return start, size


def _size_from_range(content_range: str, start: int) -> int | None:
    """Return the file's size where a Content-Range is all bytes from `start` on; else None."""
    match = _CONTENT_RANGE.fullmatch(content_range)
    if not match or int(match[1]) != start or match[3] not in ("*", str(int(match[2]) + 1)):
        return None
    return int(match[2]) + 1
