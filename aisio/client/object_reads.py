"""ObjectReads: head, get and stream of an object. What is read is verified."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

import msgspec

from aisio.atomic_write import atomic_write
from aisio.client.resume import Resume, replaced_error
from aisio.client.router import Router
from aisio.client.session import Session
from aisio.errors import IntegrityError, NotFoundError, RangeError, StorageError
from aisio.formats.checksums import HASHERS, new_hasher
from aisio.records import ByteRange, Checksum, ObjectInfo, same_version
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.http.response_body import (
    OpenResponse,
    ResponseBody,
    body_of,
    checked_length,
    refuse_web_page,
    require_whole,
)
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.parallel import read_bytes, read_into
from aisio.transport.retries import Attempts
from aisio.transport.targets import BufferTarget, FileTarget, Target
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.http1 import http_seconds

T = TypeVar("T")

_ALL_BYTES = ByteRange(0)


class ObjectReads:
    """The base of `aisio.client.object.Object`.

    Args:
        session: Sends the requests.
        url: The object.
    """

    def __init__(self, session: Session, url: ObjectUrl) -> None:
        self.session = session
        self.url = url

    @property
    def name(self) -> str:
        """The object's name within its bucket."""
        return self.url.name

    def head(self) -> ObjectInfo:
        """Return size, checksum, version and the rest of what the cluster knows.

        Raises:
            NotFoundError: No such object.
        """
        info = self._retry(self._head)
        if info.size_bytes is not None:
            return info
        # AIStore leaves out the Content-Length of an empty object here, and a proxy may drop that
        # of any object. A GET has it, and the GET of an empty object keeps its connection.
        if _is_checksum_of_nothing(info.checksum):
            return msgspec.structs.replace(info, size_bytes=0)
        with self.stream() as body:
            return msgspec.structs.replace(info, size_bytes=body.size_bytes)

    def modified_s(self) -> float:
        """Return when the object was last changed, in seconds since 1970; 0.0 if unknown.

        `head` and listings have the time of the last access. Clusters before AIStore 5.0 do not
        tell that of the last change.

        Raises:
            NotFoundError: No such object.
        """
        query = {**messages.bucket_query(self.url), "props": "last-modified"}
        return http_seconds(self._retry(lambda: self._head_headers(query)).get("last-modified"))

    def _head(self) -> ObjectInfo:
        headers = self._head_headers(messages.bucket_query(self.url))
        return messages.parse_object_headers(headers, self.url)

    def _head_headers(self, query: Mapping[str, str]) -> Mapping[str, str]:
        try:
            response = self._send("HEAD", query)
        except NotFoundError:
            if self.url.provider != "ais":
                raise
            # For a GET, but not for a HEAD, a node looks for what a rebalance has yet to move.
            response = self._send("GET", query)
            response.close()
        response.release_conn()
        return response.headers

    def exists(self) -> bool:
        """Tell whether the cluster has the object."""
        try:
            self._retry(self._head)
        except NotFoundError:
            return False
        return True

    @overload
    def get(
        self,
        *,
        start: int = 0,
        stop: int | None = None,
        into: None = None,
        etl_name: str | None = None,
    ) -> bytes: ...

    @overload
    def get(
        self,
        *,
        start: int = 0,
        stop: int | None = None,
        into: Any,
        etl_name: str | None = None,
    ) -> int: ...

    def get(
        self,
        *,
        start: int = 0,
        stop: int | None = None,
        into: Any = None,
        etl_name: str | None = None,
    ) -> bytes | int:
        """Read the object, or its bytes [start, stop), whole and verified.

        A large object is read by several ranged requests at once; see `aisio.transport.parallel`.

        Args:
            start: First byte, counted from 0.
            stop: One past the last byte; beyond the end it is cut to the end.
            into: Where the bytes go: a writable buffer, filled from its start, or the path of a
                file. The file is replaced once all bytes are there and right. A pipe or a device is
                not replaced: the bytes are then written into it. None returns the bytes.
            etl_name: The ETL that transforms the object in the cluster first.

        Returns:
            The bytes; with `into`, their number.

        Raises:
            NotFoundError: No such object.
            RangeError: start is at or beyond the end.
            IntegrityError: The bytes are not the ones that the cluster promised. The content of a
                buffer is then undefined; no file was made or replaced.
            ConfigError: The buffer is read-only or too small.
            OSError: The file cannot be written.
        """
        byte_range = ByteRange(start, stop) if start or stop is not None else None

        def open_body(attempts: Attempts) -> Body:
            return self._open(byte_range, etl_name, attempts)

        if into is None:
            return self._read(open_body)[1]
        if not isinstance(into, (str, os.PathLike)):
            return self._read_into(open_body, BufferTarget(into))
        with atomic_write(into) as file:
            return self._read_into(open_body, FileTarget(file.fileno()))

    def get_with_info(self) -> tuple[ObjectInfo, bytes]:
        """Read the object, whole and verified, with what the response says of it.

        Raises:
            NotFoundError: No such object.
            IntegrityError: The bytes are not the ones that the cluster promised.
        """
        return self._read(lambda attempts: self._open(None, None, attempts))

    def send_ahead(
        self, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> PendingGet | None:
        """Send the request for the object, or a range of it; a later read takes the response.

        Returns:
            The pending request. None where it cannot be sent ahead: over https, and where no target
            is known.
        """
        headers = {"Range": str(byte_range)} if byte_range else None
        return Router(self.session).send_ahead(self.url, self._query(etl_name), headers)

    def get_member(self, archpath: str) -> bytes:
        """Read one file out of this object, an archive; only the file's length can be verified.

        Args:
            archpath: Path of the file in the archive (.tar, .tgz, .tar.gz, .zip, .tar.lz4).

        Raises:
            NotFoundError: No such object, or no such file in it.
            TruncatedError: Every response was cut short.
        """
        return self._read(lambda _: self._open_member(archpath))[1]

    def _read(self, open_body: Callable[[Attempts], Body]) -> tuple[ObjectInfo, bytes]:
        attempts = self.session.attempts()

        def attempt() -> tuple[ObjectInfo, bytes]:
            with open_body(attempts) as body:
                return body.info, read_bytes(body)

        return self._retry(attempt, attempts)

    def _read_into(self, open_body: Callable[[Attempts], Body], target: Target) -> int:
        attempts = self.session.attempts()

        def attempt() -> int:
            with open_body(attempts) as body:
                return read_into(body, target)

        return self._retry(attempt, attempts)

    def stream(self, byte_range: ByteRange | None = None, *, etl_name: str | None = None) -> Body:
        """Open the object, or a range of it, to read it once, from start to end.

        Raises:
            StorageError: As for `get`.
        """
        attempts = self.session.attempts()
        return self._retry(lambda: self._open(byte_range, etl_name, attempts), attempts)

    def _retry(self, attempt: Callable[[], T], attempts: Attempts | None = None) -> T:
        return self.session.retry(attempt, attempts)

    def _send(
        self, method: str, query: Mapping[str, str], headers: dict[str, str] | None = None
    ) -> OpenResponse:
        response = Router(self.session).open(method, self.url, query, headers)
        if headers is None:  # of ranges see `checked_length`
            require_whole(response, method, self.url)
        if "etl_name" not in query:
            try:
                refuse_web_page(response.headers, method, self.url)
            except IntegrityError:
                response.close()
                raise
        return response

    def _open(self, byte_range: ByteRange | None, etl_name: str | None, attempts: Attempts) -> Body:
        headers = {"Range": str(byte_range)} if byte_range else None
        response = self._send("GET", self._query(etl_name), headers)
        info = self._info(response)
        size, span = info.size_bytes, _ALL_BYTES
        if byte_range:
            size = checked_length(response, byte_range, info)
            span = ByteRange(byte_range.start, byte_range.start + size)
        reply, low_speed = body_of(response, str(self.url)), self._low_speed_limit()
        if etl_name:
            # The checksum is that of the stored object, and a second run of the ETL may give other
            # bytes: the body is neither compared nor resumed.
            return Body(reply, info, size, low_speed=low_speed)
        resume = Resume(self.session, self.reopen, info, span, attempts)
        return Body(
            reply,
            info,
            size,
            # The checksum is the whole object's.
            checksum=info.checksum if size == info.size_bytes else None,
            resume=resume,
            parts=resume.parts,
            low_speed=low_speed,
        )

    def _info(self, response: OpenResponse) -> ObjectInfo:
        """Return what a response says of the object; check the kind of its checksum."""
        info = messages.parse_object_headers(response.headers, self.url)
        if info.checksum is not None and info.checksum.kind not in HASHERS:
            try:
                self.session.bucket_checksums.check_kind(info.checksum, self.url, self.session.call)
            except StorageError:
                response.close()
                raise
        return info

    def _query(self, etl_name: str | None) -> Mapping[str, str]:
        query = messages.bucket_query(self.url)
        return query | {"etl_name": etl_name} if etl_name else query

    def _low_speed_limit(self) -> LowSpeedLimit | None:
        return LowSpeedLimit.of(self.session.settings.timeouts)

    def _open_member(self, archpath: str) -> Body:
        query = messages.bucket_query(self.url) | {"archpath": archpath}
        response = self._send("GET", query)
        info = messages.parse_object_headers(response.headers, self.url)
        reply = body_of(response, f"{self.url}/{archpath}")
        return Body(reply, info, info.size_bytes, low_speed=self._low_speed_limit())

    def reopen(self, info: ObjectInfo, byte_range: ByteRange) -> ResponseBody:
        """Open a range of the version of the object that an earlier response was about.

        Raises:
            IntegrityError: The object was replaced since.
        """
        headers = {"Range": str(byte_range)}
        try:
            response = self._send("GET", messages.bucket_query(self.url), headers)
        except RangeError as error:
            raise replaced_error(info) from error
        now = messages.parse_object_headers(response.headers, self.url)
        if not self.is_same(info, now):
            response.close()
            raise replaced_error(info)
        checked_length(response, byte_range, now)
        return body_of(response, str(self.url))

    def is_same(self, first: ObjectInfo, now: ObjectInfo) -> bool:
        """Tell whether two responses are about one version of the object.

        A bucket can be set up to send, with a range, the checksum of that range. Such a checksum
        does not identify the object, and is left out of the comparison.
        """
        is_same = same_version(first, now)
        if is_same or first.checksum == now.checksum:
            return is_same
        without_checksum = msgspec.structs.replace(now, checksum=None)
        if not same_version(first, without_checksum):
            return False
        return self.session.bucket_checksums.has_range_checksums(self.url, self.session.call)


def _is_checksum_of_nothing(checksum: Checksum | None) -> bool:
    hasher = new_hasher(checksum)
    if checksum is None or hasher is None:
        return False
    return hasher.hexdigest() == checksum.value.lower()
