"""Get-batch: many objects, or members of archives, in one archive; in the order of the request.

Streamed, the archive is sent while it is made, and a missing object or range can only end it early,
as a live cluster of one target has it: the archive is well formed, and shorter. Damaged data ends
the connection instead. In the multipart form everything is looked at first, and the reply says what
is wrong with which entry.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from typing import Any

import msgspec
from aiohttp import web

from aisio.gateway.archives.content import ArchiveReader, NewMember, pack
from aisio.gateway.archives.index import (
    CONTENT_TYPES,
    Archives,
    form_of_file,
    form_of_mime,
    require_lz4,
)
from aisio.gateway.handlers.archive_reads import find_member
from aisio.gateway.http.exchange import Exchange, decode_message, send_pieces
from aisio.gateway.http.replies import Cluster, json_body, new_id
from aisio.gateway.jobs.jobs import Job, Jobs
from aisio.gateway.protocol.refusals import DamagedError, Refusal
from aisio.gateway.protocol.targets import (
    BucketName,
    bucket_of,
    check_name,
    parse_uname,
)
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.pieces import PIECE_BYTES

MISSING_PREFIX = "__404__/"
MOST_SOFT_ERRORS = 8
"""How many missing entries a batch may have (AIStore's get_batch.max_soft_errs, as of 5.0)."""

_log = logging.getLogger(__name__)


class BatchIn(msgspec.Struct):
    """One entry of a request.

    Attributes:
        name: The object.
        bucket: Its bucket; "" for that of the request's path.
        provider: The bucket's provider.
        uname: Bucket and object in one; takes precedence over the bucket.
        path: The wanted member, if the object is an archive and one member of it is wanted.
        opaque: What to send back with the multipart form.
        start: First byte.
        length: How many; 0 for all, -1 for those up to the end.
    """

    name: str = msgspec.field(name="objname", default="")
    bucket: str = ""
    provider: str = ""
    uname: str = ""
    path: str = msgspec.field(name="archpath", default="")
    opaque: str | None = None
    start: int = 0
    length: int = 0


class BatchMessage(msgspec.Struct):
    """A request: AIStore's MossReq."""

    entries: list[BatchIn] | None = msgspec.field(name="in", default=None)
    mime: str = ""
    goes_on: bool = msgspec.field(name="coer", default=False)
    only_object_names: bool = msgspec.field(name="onob", default=False)
    is_streaming: bool = msgspec.field(name="strm", default=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry, understood.

    Attributes:
        entry: As it came.
        bucket: Where the object is.
        name: What the object is called.
        path: The member's path; "" for the object itself.
    """

    entry: BatchIn
    bucket: BucketName
    name: str
    path: str

    @property
    def is_range(self) -> bool:
        """Whether a part is wanted."""
        return bool(self.entry.start or self.entry.length)

    def member_name(self, only_object_names: bool) -> str:
        """Return what the archive's member is called."""
        name = self.name if only_object_names else f"{self.bucket.name}/{self.name}"
        return f"{name}/{self.path}" if self.path else name


class MissingError(Exception):
    """An entry is not there: a soft error.

    Args:
        refusal: What to say of it.
        is_archive_there: It is the member that is missing, and not the whole object.
    """

    def __init__(self, refusal: Refusal, *, is_archive_there: bool) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.is_archive_there = is_archive_there


class Batch:
    """Get-batch, over HTTP.

    Args:
        folder: The served folder.
        cluster: The names that the gateway goes by.
        archives: What is known of its archives.
        jobs: Where clients see that batches are made.
    """

    def __init__(self, folder: Folder, cluster: Cluster, archives: Archives, jobs: Jobs) -> None:
        self._folder = folder
        self._cluster = cluster
        self._archives = archives
        self._jobs = jobs

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        """Send the batch; the first request gets the address where it is put together."""
        parts = exchange.target.parts
        if len(parts) < 2 or not parts[1]:
            raise Refusal(400, "URL 'v1/ml' is too short: expected 3 items, got 2")
        if parts[1] != "moss":
            path = "/".join(parts)
            raise Refusal(400, f"invalid request URI: 'GET /v1/{path}'")
        rest = [part for part in "/".join(parts[2:]).split("/") if part]
        if not exchange.is_handed_over:
            path = "/".join(("/v1/ml/moss", *rest[:1], f"gbt-{new_id()}", new_id(), "1"))
            return await exchange.hand_over(self._cluster.proxy_id, path)
        query = exchange.target.query
        bucket = None
        if len(rest) == 4:  # the bucket, and three names that AIStore's targets find the work by
            bucket = bucket_of(rest[0], query.get("provider", ""), query.get("namespace", ""))
        message = decode_message(await exchange.read_body(), BatchMessage)
        form = form_of_mime(message.mime) or ".tar"
        if form == ".tar.lz4":
            require_lz4()
        wanted = self._understand(bucket, message)
        with self._jobs.share("get-batch", wanted[0].bucket) as job:
            return await self._send(exchange, job, form, wanted, message)

    async def _send(
        self, exchange: Exchange, job: Job, form: str, wanted: list[Wanted], message: BatchMessage
    ) -> web.StreamResponse:
        if message.is_streaming:
            headers = {"Content-Type": CONTENT_TYPES[form]}
            pieces = pack(form, self._members(job, wanted, message))
            return await send_pieces(exchange.request, pieces, web.StreamResponse(headers=headers))
        told = await asyncio.to_thread(self._look, wanted, message)
        boundary = secrets.token_hex(30)
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        archive = pack(form, self._members(job, wanted, message))
        pieces = _in_parts(boundary, job.id, told, archive)
        return await send_pieces(exchange.request, pieces, web.StreamResponse(headers=headers))

    def _understand(self, bucket: BucketName | None, message: BatchMessage) -> list[Wanted]:
        """Check the whole request before anything is sent.

        Raises:
            Refusal: It is empty, or an entry cannot be meant.
        """
        if not message.entries:
            raise Refusal(400, "moss: empty input")
        if bucket is not None:
            self._folder.bucket_path(bucket)
        known = {bucket}
        wanted = []
        for entry in message.entries:
            understood = _understand_entry(entry, bucket)
            if understood.bucket not in known:
                self._folder.bucket_path(understood.bucket)
                known.add(understood.bucket)
            wanted.append(understood)
        return wanted

    def _members(
        self, job: Job, wanted: list[Wanted], message: BatchMessage
    ) -> Iterator[NewMember]:
        """Yield the archive's members, each with its file open until the next one is asked for."""
        soft_errors = 0
        for item in wanted:
            job.check()
            try:
                file, member = self._open(item, message.only_object_names)
            except DamagedError:
                raise
            except Refusal as refusal:
                _log.info("get-batch ends early: %s", refusal.message)
                return
            except MissingError as missing:
                if not message.goes_on:
                    _log.info("get-batch ends early: %s", missing)
                    return
                yield _placeholder(item, missing, message.only_object_names)
                soft_errors += 1
                if soft_errors > MOST_SOFT_ERRORS:
                    return
                continue
            with file:
                yield member
            job.count(member.size_bytes)

    def _look(self, wanted: list[Wanted], message: BatchMessage) -> list[dict[str, Any]]:
        """Return what the multipart form says of each entry.

        Raises:
            Refusal: What is missing may not be, or there is too much of it.
        """
        told, soft_errors = [], 0
        for item in wanted:
            size, error = 0, ""
            try:
                file, member = self._open(item, message.only_object_names)
            except MissingError as missing:
                soft_errors += 1
                if not message.goes_on or soft_errors > MOST_SOFT_ERRORS:
                    raise missing.refusal from None
                error = f"t[{self._cluster.target_id}]: {missing}"
            else:
                file.close()
                size = member.size_bytes
            told.append(_outcome(item, size, error))
        return told

    def _open(self, item: Wanted, only_object_names: bool) -> tuple[FileIO, NewMember]:
        """Open an entry.

        Raises:
            MissingError: It is not there.
            Refusal: It cannot be read, or has no such range.
        """
        try:
            file, status = self._folder.open_object(item.bucket, item.name)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            raise MissingError(refusal, is_archive_there=False) from None
        try:
            name = item.member_name(only_object_names)
            if item.path:
                return file, self._inside(item, file, status, name)
            start, stop = _range_of(item.entry, status.st_size)
            mtime_s = 0 if item.is_range else int(status.st_atime)
            return file, NewMember(name, stop - start, mtime_s, _file_pieces(file, start, stop))
        except BaseException:
            file.close()
            raise

    def _inside(self, item: Wanted, file: FileIO, status: os.stat_result, name: str) -> NewMember:
        index = self._archives.index(file, status, form_of_file(file, item.name))
        try:
            member = find_member(index, item.bucket, item.name, item.path)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            raise MissingError(refusal, is_archive_there=True) from None
        start, stop = _range_of(item.entry, member.size_bytes)
        pieces = ArchiveReader(file, index).pieces(member, start, stop)
        return NewMember(name, stop - start, 0, pieces)


def _understand_entry(entry: BatchIn, default: BucketName | None) -> Wanted:
    if not entry.name:
        raise Refusal(400, 'invalid object name ""')
    if entry.path.endswith("/"):
        raise Refusal(400, f'invalid archpath "{entry.path}" (oname: "{entry.name}")')
    if entry.start < 0 or entry.length < -1 or (entry.start and not entry.length):
        given = f'start={entry.start},length={entry.length} (oname: "{entry.name}")'
        raise Refusal(400, f"not satisfiable range [{given}]")
    bucket = default
    if entry.uname:
        bucket = parse_uname(entry.uname)[0]
    elif entry.bucket:
        bucket = bucket_of(entry.bucket, entry.provider)
    if bucket is None:
        raise Refusal(400, f'missing bucket specification for object "{entry.name}"')
    return Wanted(entry, bucket, check_name(entry.name), entry.path.lstrip("/"))


def _range_of(entry: BatchIn, size_bytes: int) -> tuple[int, int]:
    """Return the start and stop of the wanted bytes.

    Raises:
        Refusal: They are not all there.
    """
    if not entry.start and not entry.length:
        return 0, size_bytes
    stop = size_bytes if entry.length < 0 else entry.start + entry.length
    if stop > size_bytes or entry.start >= stop:
        given = f'start={entry.start},length={entry.length} (oname: "{entry.name}")'
        raise Refusal(400, f"size={size_bytes}: not satisfiable range [{given}]")
    return entry.start, stop


def _placeholder(item: Wanted, missing: MissingError, only_object_names: bool) -> NewMember:
    name = item.member_name(only_object_names)
    if item.path and not missing.is_archive_there:
        name = name.removesuffix(f"/{item.path}")
    return NewMember(MISSING_PREFIX + name, 0, 0, ())


def _outcome(item: Wanted, size_bytes: int, error: str) -> dict[str, Any]:
    entry = item.entry
    row: dict[str, Any] = {"objname": entry.name}
    if item.path:
        row["archpath"] = item.path
    row |= {"bucket": item.bucket.name, "provider": "ais"}
    if error:
        row["err_msg"] = error
    if entry.opaque:
        row["opaque"] = entry.opaque
    return row | {"size": size_bytes}


def _in_parts(
    boundary: str, uuid: str, told: list[dict[str, Any]], archive: Iterator[bytes]
) -> Iterator[bytes]:
    about = json_body({"uuid": uuid, "out": told})
    form = 'Content-Disposition: form-data; name="{}"'
    file = f'{form.format("archive")}; filename="get-batch[{uuid}]"'
    kind = "Content-Type: application/octet-stream"
    heads = (
        f"--{boundary}\r\n{form.format('metadata')}\r\n\r\n".encode() + about,
        f"\r\n--{boundary}\r\n{file}\r\n{kind}\r\n\r\n".encode(),
    )
    yield from heads
    yield from archive
    yield f"\r\n--{boundary}--\r\n".encode()


def _file_pieces(file: FileIO, start: int, stop: int) -> Iterator[bytes]:
    while start < stop and (
        piece := os.pread(file.fileno(), min(PIECE_BYTES, stop - start), start)
    ):
        yield piece
        start += len(piece)
