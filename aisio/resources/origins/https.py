"""Https requests whose errors are plain and whose credentials stay with their host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
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
from aisio.records import Timeouts
from aisio.transport.http.head_deadline import HeadDeadlineAdapter, slowest_head_s
from aisio.version import __version__

_CONNECTIONS = 10
_LONGEST_REASON = 300
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


TIMEOUTS = Timeouts(connect_s=10.0, read_s=60.0)
"""A registry far away, which may think before it answers."""


_CREDENTIALS = ("Authorization", "X-NGC-Guest-Token", "nv-ngc-org", "nv-ngc-team")


class HttpsSession(requests.Session):
    """Sends credentials to the host that they are meant for, and nothing without TLS.

    Args:
        timeouts: Say how long the head of a reply may take from its first byte on.
    """

    def __init__(self, timeouts: Timeouts = TIMEOUTS) -> None:
        super().__init__()
        # Whatever ~/.netrc says: it would replace a key, and spoil a presigned URL.
        self.auth = _as_it_is
        self.headers["User-Agent"] = f"aisio/{__version__}"
        del self.adapters["http://"]
        self.mount("https://", HeadDeadlineAdapter(_CONNECTIONS, slowest_head_s(timeouts)))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a reply leads; one whose address is no text is closed."""
        try:
            return super().get_redirect_target(resp)
        except ValueError:
            resp.close()
            raise

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Take all credentials off a request that is redirected to another host."""
        if urlsplit(prepared_request.url or "").netloc != urlsplit(response.url).netloc:
            for name in _CREDENTIALS:
                prepared_request.headers.pop(name, None)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


@contextmanager
def plainly_told(about: str, url: str) -> Iterator[None]:
    """Turn what `requests` raises into aisio's errors, without their texts, which hold whole URLs.

    Args:
        about: What was tried, with whom.
        url: The error's `url`.
    """
    try:
        yield
    except AisioError:
        raise
    except requests.exceptions.SSLError as error:
        raise AccessError(
            f"{about}: TLS failed: {_innermost(error)}; set REQUESTS_CA_BUNDLE to the PEM file of "
            "the authority to trust",
            url=url,
        ) from None
    except (requests.Timeout, ReadTimeoutError):
        raise StoreTimeoutError(f"{about}: no answer in time", url=url) from None
    except requests.exceptions.InvalidSchema:
        raise StorageError(f"{about}: it leads to an address that is not https", url=url) from None
    except requests.TooManyRedirects:
        raise StorageError(f"{about}: it redirects without end", url=url) from None
    except requests.RequestException as error:
        # Theirs that are also ValueErrors say that a URL or proxy cannot be meant: no retry helps.
        kind = StorageError if isinstance(error, ValueError) else UnavailableError
        raise kind(f"{about}: no answer: {_innermost(error)}", url=url) from None
    except ValueError as error:
        # Of an address that cannot be meant, as a redirect may have: urllib3's and Python's own.
        raise StorageError(
            f"{about}: it leads to an address that cannot be meant: {type(error).__name__}", url=url
        ) from None
    except (HTTPError, HTTPException) as error:
        raise UnavailableError(
            f"{about}: the answer broke off: {type(error).__name__}", url=url
        ) from None
    except OSError as error:
        raise ConfigError(f"{about}: REQUESTS_CA_BUNDLE cannot be used: {error}") from None


def _innermost(error: BaseException) -> str:
    """Name the innermost cause: the outer ones hold the URL, with its query."""
    inner: BaseException = error
    while True:
        causes = (getattr(inner, "reason", None), *inner.args)
        nested = next((cause for cause in causes if isinstance(cause, BaseException)), None)
        if nested is None:
            break
        inner = nested
    if isinstance(inner, (requests.RequestException, MaxRetryError)):
        return type(inner).__name__
    # A reply that is no HTTP is quoted in some, with whatever characters it has.
    text = str(inner)[:_LONGEST_REASON]
    return f"{type(inner).__name__}: {text if text.isprintable() else ascii(text)}"


_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


def span_of(
    response: requests.Response, start: int, about: str, url: str
) -> tuple[int, int | None] | None:
    """Return the byte that a reply begins at, and the size of the whole, where that is told.

    Some servers send a part with status 200, told by its Content-Range alone: it counts as a part.

    Returns:
        None: The status is neither 200 nor 206.

    Raises:
        IntegrityError: The reply is of other bytes than all from `start` on, or all.
    """
    length = response.headers.get("Content-Length", "")
    promised = int(length) if _LENGTH.fullmatch(length) else None
    told = response.headers.get("Content-Range", "")
    if response.status_code == 200 and (not told or _size_of_range(told, 0) == promised):
        return 0, promised
    if response.status_code not in (200, 206):
        return None
    size = _size_of_range(told, start)
    if size is None or promised not in (None, size - start):
        raise IntegrityError(
            f"{about}: asked for all from byte {start} on, got {(told, length)}", url=url
        )
    return start, size


def _size_of_range(text: str, start: int) -> int | None:
    """Return the size of the whole where a Content-Range is all from a byte on; else None."""
    match = _CONTENT_RANGE.fullmatch(text)
    if not match or int(match[1]) != start or match[3] not in ("*", str(int(match[2]) + 1)):
        return None
    return int(match[2]) + 1
