"""GET of members of an archive: one by its path, or all whose names match."""

from __future__ import annotations

import asyncio
import functools
import io
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from aiohttp import web

from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.gateway.archives.content import ArchiveReader
from aisio.gateway.archives.formats import format_of_file
from aisio.gateway.archives.index import Index, Member
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.handlers.single_flight import SingleFlight
from aisio.gateway.http.exchange import Exchange
from aisio.gateway.http.responses import (
    INLINE_BYTES,
    OCTET_STREAM,
    make_response,
    send_file,
    send_pieces,
)
from aisio.gateway.protocol.refusals import DamagedError, Refusal, object_not_found
from aisio.gateway.protocol.regexes import RegexError, search_each
from aisio.gateway.protocol.targets import BucketName, check_member_path
from aisio.gateway.storage.folder import Folder, OpenObject
from aisio.gateway.storage.records import FileState

MODES = ("regexp", "prefix", "suffix", "substr", "wdskey")
_THREADS = 2
_TAR = {"Content-Type": "application/x-tar"}


class ArchiveQuery(NamedTuple):
    """Which members of an archive are requested.

    Attributes:
        path: The path of the one member; "" for those that match the pattern.
        pattern: What the members' names match.
        mode: How they match it, one of MODES; "" for one member.
        mime: The format of the archive, if its name does not say it.
    """

    path: str
    pattern: str
    mode: str
    mime: str

    def __str__(self) -> str:
        """The query as messages show it."""
        if self.mode:
            return f"(archregx={self.pattern}, archmode={self.mode})"
        return f"(archpath={self.path})"


def parse_archive_query(query: Mapping[str, str]) -> ArchiveQuery | None:
    """Return which members of an archive a GET requests; None if it requests the object itself.

    A pattern without a mode requests the object itself. A live cluster of AIStore 5.0 does so,
    although its documentation names regexp as the default.

    Raises:
        Refusal: Both a path and a mode, a folder's path, one with "." or "..", or an unknown mode.
    """
    path, mode = query.get("archpath", ""), query.get("archmode", "")
    if mode and mode not in MODES:
        known = " ".join(MODES)
        why = f'invalid matching mode "{mode}", expecting one of: [{known}]'
        raise Refusal(400, f"dpq: 'archmode={mode}', err: {why}")
    try:
        check_member_path(path)
    except Refusal as refusal:
        raise Refusal(400, f"dpq: 'archpath={path}', err: {refusal.message}") from None
    pattern = query.get("archregx", "")
    if path and (mode or pattern):
        raise Refusal(
            400, "dpq: archpath (match one) and archregx (match many) are mutually exclusive"
        )
    if not path and not mode:
        return None
    return ArchiveQuery(path, pattern, mode, query.get("archmime", ""))


class ArchiveReads:
    """Members of archives, over HTTP.

    Args:
        folder: The served folder.
        archives: The indexes of its archives.
    """

    def __init__(self, folder: Folder, archives: IndexCache) -> None:
        self._folder = folder
        self._archives = archives
        self._indexing = SingleFlight[tuple[FileState, str], Index](_THREADS, "archive")
        # Separate threads: a regular expression may take seconds and must not delay other requests.
        self._matching = ThreadPoolExecutor(_THREADS, "regex")

    async def get(self, exchange: Exchange, query: ArchiveQuery) -> web.StreamResponse:
        """Send one member as it is, or the matching members as a tar."""
        bucket, name = exchange.target.bucket, exchange.target.name
        opened = self._folder.open_object(bucket, name)
        with opened.file:
            if byte_range := exchange.request.headers.get("Range"):
                what = f"archived content range: {byte_range}, arch query: {query}"
                message = f"cannot range-read {what} - operation not supported"
                raise Refusal(400, message, tcode="ErrUnsupp")
            index = await self._index(opened, format_of_file(opened.file, name, query.mime))
            if query.mode:
                return await self._send_many(exchange, opened, index, query)
            member = find_member(index, bucket, name, query.path)
            return await self._send_one(exchange, opened, index, member)

    def close(self) -> None:
        """Wait for the threads to end."""
        self._indexing.close()
        self._matching.shutdown(wait=True, cancel_futures=True)

    async def _index(self, opened: OpenObject, form: str) -> Index:
        """Return the index of an open archive; a new one is built once for all who wait for it."""
        index = self._archives.cached(opened.status, form)
        if index is not None:
            return index
        key = FileState.of(opened.status), form
        if key not in self._indexing:
            # The caller may be cancelled and close its file: _read_index() has its own.
            handle = os.dup(opened.file.fileno())
            work = functools.partial(self._read_index, handle, opened.status, form)
            self._indexing.start(key, work)
        return await self._indexing.result(key)

    def _read_index(self, handle: int, status: os.stat_result, form: str) -> Index:
        with io.FileIO(handle, "rb") as file:
            return self._archives.load(file, status, form)

    async def _send_one(
        self, exchange: Exchange, opened: OpenObject, index: Index, member: Member
    ) -> web.StreamResponse:
        request, start = exchange.request, member.data_offset
        is_stored = index.format == ".tar" and not member.sparse_stop
        if is_stored and member.size_bytes <= INLINE_BYTES:
            body = os.pread(opened.file.fileno(), member.size_bytes, start)
            if len(body) != member.size_bytes:
                raise DamagedError("the archive was cut while it was read")
            return make_response(body, content_type=OCTET_STREAM)
        response = web.StreamResponse(headers={"Content-Type": OCTET_STREAM})
        if is_stored:
            return await send_file(request, opened.file, start, start + member.size_bytes, response)
        response.content_length = member.size_bytes
        return await send_pieces(
            request, ArchiveReader(opened.file, index).pieces(member), response
        )

    async def _send_many(
        self, exchange: Exchange, opened: OpenObject, index: Index, query: ArchiveQuery
    ) -> web.StreamResponse:
        url = f"{exchange.target.bucket.url}/{exchange.target.name}"
        if index.damage:  # the rest of the archive may hold matching members
            raise DamagedError(f"{url}: {index.damage}")
        names = [member.name for member in index.members]
        loop = asyncio.get_running_loop()
        matches = await loop.run_in_executor(self._matching, match_names, query, names, url)
        members = [*itertools.compress(index.members, matches)]
        if index.format == ".zip":  # the tar made from a zip has no folders
            members = [member for member in members if not member.is_folder]
        if not members:
            raise Refusal(404, f"{query} in {url} does not exist", tcode="ErrNotFound")
        pieces = _as_tar(ArchiveReader(opened.file, index), members)
        return await send_pieces(exchange.request, pieces, web.StreamResponse(headers=_TAR))


def find_member(index: Index, bucket: BucketName, name: str, path: str) -> Member:
    """Return the member of a path.

    Args:
        index: The archive's index.
        bucket: The archive's bucket.
        name: The archive's name; a path may begin with it.
        path: The member's path.

    Raises:
        DamagedError: There is none in the readable part of a damaged archive.
        Refusal: There is none.
    """
    path = path.removeprefix("/").removeprefix(f"{name}/")
    member = index.find(path)
    if member is not None:
        return member
    if index.damage:
        raise DamagedError(f"{bucket.url}/{name}: {index.damage}")
    raise object_not_found(f"{path} in {bucket.url}/{name}")


def match_names(query: ArchiveQuery, names: Sequence[str], url: str) -> list[bool]:
    """Return for each member's name whether it matches.

    Raises:
        Refusal: The pattern is not a regular expression, or takes too long.
    """
    pattern = query.pattern
    if pattern in ("", "*"):
        return [True] * len(names)
    if query.mode == "prefix":
        return [name.startswith(pattern) for name in names]
    if query.mode == "suffix":
        return [name.endswith(pattern) for name in names]
    if query.mode == "substr":
        return [pattern in name for name in names]
    if query.mode == "wdskey":
        return [without_extension(name) == pattern for name in names]
    try:
        return search_each(pattern, names)
    except RegexError as error:
        message = f"failed to extract files that match {query.mode} from {url}, err: {error}"
        raise Refusal(400, message, tcode="ErrFailedTo") from None


def without_extension(name: str) -> str:
    """Return a member's name up to the last dot of its last part, as AIStore does."""
    dot = name.rfind(".")
    return name[:dot] if dot > name.rfind("/") else name


def _as_tar(reader: ArchiveReader, members: list[Member]) -> Iterator[bytes]:
    raw = itertools.chain.from_iterable(reader.raw(member) for member in members)
    return itertools.chain(raw, (END_OF_ARCHIVE,))
