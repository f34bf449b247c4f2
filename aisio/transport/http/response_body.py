"""What comes back from a store: bodies to read on, and refusals."""

from __future__ import annotations

import http.client
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
from aisio.wire.http1 import utf8_text
from aisio.wire.messages import error_for, parse_content_range

_LONGEST_ERROR_BYTES = 65536
_LONGEST_ERROR_S = 5.0
_DRAINED_BYTES = 64 * 1024
_DRAINED_S = 1.0
_ALL_BY_BYTES = 256 * 1024

OpenReply: TypeAlias = "urllib3.BaseHTTPResponse | Response"
"""An open reply, by either way."""


class ReplyBody:
    """The body of an open reply, its errors translated; see `aisio.transport.body.RawReply`.

    Where a length was promised, a broken connection reads as an early end: whoever counts the bytes
    can say more than "connection reset".

    Args:
        response: The open reply, whose body was asked for as it is on the wire.
        about: URL of the object, for errors.
    """

    __slots__ = ("_about", "_inner", "_plain", "_response")

    def __init__(self, response: OpenReply, about: str) -> None:
        self._response = response
        self._about = about
        self._plain: Response | None = None
        self._inner: http.client.HTTPResponse | None = None
        if isinstance(response, Response):
            self._plain = response
        else:
            self._inner = _inner_reply(response)

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, all by default; b"" at the end.

        Raises:
            StoreTimeoutError: No bytes within the read timeout.
            UnavailableError: The connection broke, and no length was promised.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(_ALL_BY_BYTES), b""))
        plain, inner = self._plain, self._inner
        if plain is not None:
            try:
                return plain.read(size, perf_counter() + FLUSH_SLOW_DATA_AFTER_S)
            except (HTTPError, OSError) as error:
                return self._ended_by(error)
        if inner is None:
            return self._read_by_urllib3(size)
        was_open = not inner.isclosed()
        try:
            data = inner.read(size)
        except http.client.IncompleteRead as error:
            data = error.partial
        except (OSError, http.client.HTTPException) as error:
            return self._ended_by(error)
        self._settle(inner, was_open and not data and size != 0)
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        plain, inner = self._plain, self._inner
        if plain is not None:
            try:
                return plain.readinto(buffer, perf_counter() + FLUSH_SLOW_DATA_AFTER_S)
            except (HTTPError, OSError) as error:
                return len(self._ended_by(error))
        buffer = buffer[:READ_PIECE_BYTES]
        if inner is None:
            data = self._read_by_urllib3(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        was_open = not inner.isclosed()
        try:
            count = inner.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            return len(self._ended_by(error))
        self._settle(inner, was_open and not count and len(buffer) > 0)
        return count

    def _settle(self, inner: http.client.HTTPResponse, early: bool) -> None:
        """Give a read-out connection back to its pool at once; cut one that ended early."""
        if early:
            self._response.close()
        elif inner.isclosed():
            self._response.release_conn()

    def _ended_by(self, error: Exception) -> bytes:
        """Say what a broken reply reads as: an early end, where a length was promised."""
        self._response.close()
        if isinstance(error, (TimeoutError, ReadTimeoutError)):
            raise self._timed_out() from error
        if "Content-Length" in self._response.headers:
            return b""
        raise UnavailableError(
            f"GET {self._about}: the body broke off: {reason_of(error)}", url=self._about
        ) from error

    def _read_by_urllib3(self, size: int) -> bytes:
        try:
            return self._response.read(size)
        except (HTTPError, OSError) as error:
            return self._ended_by(error)

    def _timed_out(self) -> StoreTimeoutError:
        return StoreTimeoutError(
            f"GET {self._about}: no bytes within the read timeout", url=self._about
        )

    def close(self) -> None:
        """Give a read-out connection back to its pool.

        Any other is cut, as its bytes would be the next reply's.
        """
        self._response.close()


class MeasuredBody:
    """The body of a reply that is read without a `Body`, unless it comes too slowly.

    Args:
        reply: The body.
        low_speed: What it must give while it is waited for; None for anything.
        about: What was asked for, for errors.
    """

    def __init__(self, reply: ReplyBody, low_speed: LowSpeedLimit | None, about: str) -> None:
        self._reply = reply
        self._least_rate = low_speed
        self._about = about

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; b"" at the end; errors as for `ReplyBody.read`."""
        started = self._begin()
        data = self._reply.read(size)
        self._end(len(data), started)
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        started = self._begin()
        count = self._reply.readinto(buffer)
        self._end(count, started)
        return count

    def _begin(self) -> float:
        if self._least_rate is not None and self._least_rate.is_missed():
            raise self._least_rate.error(f"GET {self._about}", self._about)
        return perf_counter()

    def _end(self, count: int, started: float) -> None:
        if self._least_rate is not None:
            self._least_rate.add(count, perf_counter() - started)


def _inner_reply(response: urllib3.BaseHTTPResponse) -> http.client.HTTPResponse | None:
    """Return the reply of http.client under urllib3's, or None where there is none to be found.

    urllib3's `readinto` reads into memory of its own and copies, and it has no public way to what
    lies below. Its `_fp` is that (tested with 2.2.0 and 2.8.0); where a later version has another,
    or the length is not known, all goes by urllib3's own read.
    """
    inner = getattr(response, "_fp", None)
    known = isinstance(inner, http.client.HTTPResponse) and not inner.chunked
    return inner if known and "Content-Length" in response.headers else None


def drain_and_release(response: OpenReply) -> None:
    """Read a reply out, where little is left of it, and keep its connection; else cut that."""
    with suppress(HTTPError, OSError):
        _some_bytes(response, _DRAINED_BYTES, _DRAINED_S)
    response.close()


def _some_bytes(response: OpenReply, most_bytes: int, most_s: float) -> bytes:
    """Return the next bytes of a reply, which may have no end, or be slow."""
    until_s = perf_counter() + most_s
    if isinstance(response, Response):
        return response.read(most_bytes, until_s)
    data = BytesIO()
    while data.tell() < most_bytes and perf_counter() < until_s:
        piece = response.read1(most_bytes - data.tell(), decode_content=False)
        if not piece:
            break
        data.write(piece)
    return data.getvalue()


def refusal(response: OpenReply, method: str, about: str) -> StorageError:
    """Return the error that an open reply of status 400 or above stands for, and let go of it."""
    text = utf8_text(response.headers.get("Hdr-Error") or "") or _error_text(response)
    drain_and_release(response)
    return error_for(
        response.status,
        text,
        operation=method,
        url=about,
        retry_after_s=retry_after_s(response.headers),
    )


def _error_text(response: OpenReply) -> str:
    """Return what can be read of an error's text: the status, which is known, says the most."""
    try:
        data = _some_bytes(response, _LONGEST_ERROR_BYTES, _LONGEST_ERROR_S)
    except (HTTPError, OSError):
        return ""
    return data.decode("utf-8", "replace")


def checked_length(response: OpenReply, wanted: ByteRange, info: ObjectInfo) -> int:
    """Return how many bytes the reply to a request for a range must have.

    Raises:
        IntegrityError: It is not of the bytes that were asked for; it was let go.
    """
    header = response.headers.get("Content-Range")
    got = parse_content_range(header)
    if response.status == 206 and got is not None and _is_answer(got, wanted, info.size_bytes):
        length = got[1] - got[0]
        if response.headers.get("Content-Length") in (None, str(length)):
            return length
    response.close()
    raise IntegrityError(
        f"GET {info.url}: asked for {wanted}, the store answered {response.status} "
        f"with Content-Range {header!r}",
        url=info.url,
    )


def _is_answer(got: tuple[int, int], wanted: ByteRange, size: int | None) -> bool:
    ends = [end for end in (wanted.stop, size) if end is not None]
    return got[0] == wanted.start and got[1] == min(ends, default=got[1])


def refuse_web_page(headers: Mapping[str, str], method: str, about: str) -> None:
    """Refuse a success that is the page of something between; AIStore says nothing in HTML.

    Objects come as binary, whatever they are.

    Raises:
        IntegrityError: It is a web page, and bears none of AIStore's own headers.
    """
    if not (headers.get("Content-Type") or "").startswith("text/html"):
        return
    if not any(name.lower().startswith("ais-") for name in headers):
        raise IntegrityError(
            f"{method} {about}: answered with a web page: something on the way, as a proxy that "
            f"wants a login, answers in place of AIStore",
            url=about,
        )
