"""Object: one object of a bucket. Reads are verified, and a write sends the data once."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, overload

import msgspec

from aisio.atomic_write import atomic_write
from aisio.client.object_copies import copy_object, is_copied_right, rename_object
from aisio.client.resume import Resume, replaced_error
from aisio.client.router import Router
from aisio.client.session import Session
from aisio.client.upload import MultipartUpload, send_data
from aisio.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    UrlError,
)
from aisio.formats.checksums import HASHERS, new_hasher
from aisio.records import ByteRange, Checksum, ObjectInfo, same_version
from aisio.summary import Summarized, shown
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.http.response_body import (
    OpenResponse,
    ResponseBody,
    body_of,
    checked_length,
    refuse_web_page,
)
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.parallel import read_bytes, read_into
from aisio.transport.parallel_upload import ParallelUpload
from aisio.transport.payload import HashedPayload, Payload, PutData
from aisio.transport.retries import Attempts
from aisio.transport.seekable import open_seekable
from aisio.transport.targets import BufferTarget, FileTarget, Target
from aisio.transport.text_file import ObjectTextWriter, OpenMode
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ALIASES, ObjectUrl
from aisio.wire import messages

T = TypeVar("T")

_ALL_BYTES = ByteRange(0)


class Object(Summarized):
    """An object of a bucket; made by `Bucket.object` or `Client.object`."""

    def __init__(self, session: Session, url: ObjectUrl) -> None:
        self.session = session
        self.url = url

    @property
    def name(self) -> str:
        """The object's name within its bucket."""
        return self.url.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Object) and (self.session.settings, self.url) == (
            other.session.settings,
            other.url,
        )

    def __hash__(self) -> int:
        return hash((self.session.settings, self.url))

    def __repr__(self) -> str:
        return f"Object({shown(self.url)!r}, endpoint={shown(self.session.settings.endpoint)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {"url": self.url, "endpoint": self.session.settings.endpoint}

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

    def _head(self) -> ObjectInfo:
        query = messages.bucket_query(self.url)
        try:
            response = self._send("HEAD", query)
        except NotFoundError:
            if self.url.provider != "ais":
                raise
            # For a GET, but not for a HEAD, a node looks for what a rebalance has yet to move.
            response = self._send("GET", query)
            response.close()
        response.release_conn()
        return messages.parse_object_headers(response.headers, self.url)

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

    @overload
    def open(self, mode: Literal["rb"] = "rb") -> io.BufferedReader: ...

    @overload
    def open(self, mode: Literal["wb"], *, allow_empty: bool = False) -> ObjectWriter: ...

    @overload
    def open(
        self,
        mode: Literal["r", "rt"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...

    @overload
    def open(
        self,
        mode: Literal["w", "wt"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        allow_empty: bool = False,
    ) -> ObjectTextWriter: ...

    def open(
        self,
        mode: str = "rb",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        allow_empty: bool = False,
    ) -> io.BufferedReader | io.TextIOWrapper | ObjectWriter | ObjectTextWriter:
        """Open the object as a file: "rb" or "r" to read it, "wb" or "w" to write it anew.

        For reading see `aisio.transport.seekable`, for writing `writer`. A file that is read from
        start to end, and any small one, is verified by its checksum. Other reads are verified by
        their lengths. Bytes of two versions never mix.

        Args:
            mode: "rb", "wb" for bytes; "r", "w" for text. Unlike Python's `open`, the default is
                bytes.
            encoding: Of text; by default UTF-8, whatever the locale.
            errors: As for Python's `open`.
            newline: As for Python's `open`.
            allow_empty: When writing: store an empty object where nothing was written; otherwise
                that is an error.

        Raises:
            NotFoundError: For reading, and no such object.
            IntegrityError: The store does not say how many bytes the object has.
            ConfigError: Another mode, or an argument that does not fit it.
            UnicodeDecodeError: When text is read: the bytes are not of the encoding.
        """
        how = OpenMode.of(str(self.url), mode, encoding, errors, newline)
        if how.is_writing:
            return how.writer(self.writer(WriteOptions(allow_empty=allow_empty)))
        if allow_empty:
            raise ConfigError(f"open {self.url}: allow_empty is for writing, not mode={mode!r}")
        file = open_seekable(self.head(), self.stream, read_bytes, is_same=self.is_same)
        return how.reader(file)

    def writer(self, options: WriteOptions | None = None) -> ObjectWriter:
        """Open the object as a binary file that is written from start to end.

        Parts go up while the caller writes. The object appears, whole and verified, when the file
        is closed; see `aisio.transport.writer`.
        """
        options = options or WriteOptions()
        upload = ParallelUpload(MultipartUpload(self.session, self.url, self.head), options)
        return ObjectWriter(str(self.url), self.put, upload, options)

    def put(self, data: PutData) -> ObjectInfo:
        """Store the object, replacing what was there.

        The data is sent once, straight to the storage node that the cluster names. A file is never
        held in memory.

        Args:
            data: Bytes, the path of a file, or a binary file, read from its position to its end.

        Raises:
            NotFoundError: No such bucket.
            ConfigError: The file is not empty and stands at its end: nothing would be stored.
            IntegrityError: The cluster received other bytes than were sent.
        """
        with Payload(data) as payload:
            return self._retry(lambda: self._put(payload))

    def delete(self, *, missing_ok: bool = False) -> None:
        """Delete the object.

        Raises:
            NotFoundError: No such object, and missing_ok is false.
        """
        path, query = messages.object_path(self.url), messages.bucket_query(self.url)
        self.session.delete(path, query, about=str(self.url), missing_ok=missing_ok)

    def copy(self, to: str | ObjectUrl | Object) -> ObjectInfo:
        """Copy the object, replacing what was there; its bytes do not leave the cluster.

        Size and checksum of the two are compared afterwards. The copy's bucket must exist.

        Where the copy's name has a "%", a "?" or a control character, AIStore 5.0 would store it
        under another name. Then the bytes come here and go back, verified.

        Args:
            to: The copy: a URL, or a name in this bucket.

        Returns:
            What the cluster says of the copy.

        Raises:
            NotFoundError: No such object, or no such bucket.
            IntegrityError: The two differ.
            ConfigError: The copy is in another cluster, or is this object.
        """
        target = self._target(to)
        if target == self.url:
            raise ConfigError(f"copy {self.url}: the copy would be the object itself")
        if is_copied_right(target.name):
            return copy_object(self.session, self.url, target, self._head_of)
        with self.open() as file:
            return Object(self.session, target).put(file)

    def rename(self, name: str) -> Object:
        """Give the object another name in its bucket, replacing what was there; return it.

        As for `copy`, AIStore does it except where the new name has a "%", a "?" or a control
        character: then it is copied by this process, and the old one deleted.

        Raises:
            NotFoundError: No such object.
            IntegrityError: It was replaced meanwhile: there are two objects now.
            ConfigError: It has that name already.
        """
        if "://" in name:
            raise UrlError(f"rename {self.url}: {name!r} is a URL: pass a name in its bucket")
        target = self._target(name)
        if target == self.url:
            raise ConfigError(f"rename {self.url}: it has that name already")
        if is_copied_right(name):
            rename_object(self.session, self.url, target, self._head_of)
        else:
            before = self.head()
            self.copy(target)
            if not self.is_same(before, self.head()):
                raise IntegrityError(
                    f"rename {self.url}: it was replaced while it was copied to {target}: it was "
                    f"not deleted; rename it again",
                    url=str(self.url),
                )
            self.delete()
        return Object(self.session, target)

    def _target(self, to: str | ObjectUrl | Object) -> ObjectUrl:
        if isinstance(to, Object):
            if to.session.settings.endpoint != self.session.settings.endpoint:
                raise ConfigError(f"copy {self.url}: {to!r} is in another cluster")
            to = to.url
        if isinstance(to, str):
            to = ObjectUrl.parse(to) if "://" in to else self.url.with_name(to)
        if to.provider not in ALIASES.values():
            raise ConfigError(f"copy {self.url}: {to} is not in the cluster")
        return to.require_object()

    def _head_of(self, url: ObjectUrl) -> ObjectInfo:
        return Object(self.session, url).head()

    def _retry(self, attempt: Callable[[], T], attempts: Attempts | None = None) -> T:
        return self.session.retry(attempt, attempts)

    def _send(
        self, method: str, query: Mapping[str, str], headers: dict[str, str] | None = None
    ) -> OpenResponse:
        response = Router(self.session).open(method, self.url, query, headers)
        if response.status != 200 and headers is None:  # of ranges see `checked_length`
            response.close()
            raise StorageError(
                f"{method} {self.url}: answered {response.status}, which is not the whole object",
                url=str(self.url),
                status=response.status,
            )
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

    def _put(self, payload: Payload) -> ObjectInfo:
        query, size = messages.bucket_query(self.url), payload.size_bytes
        sent = HashedPayload(payload)
        response = send_data(self.session, self.url, query, sent.chunks(), size)
        stored = self._info(response)
        sent.check(stored.checksum, str(self.url))
        return msgspec.structs.replace(stored, size_bytes=size)


def _is_checksum_of_nothing(checksum: Checksum | None) -> bool:
    hasher = new_hasher(checksum)
    if checksum is None or hasher is None:
        return False
    return hasher.hexdigest() == checksum.value.lower()
