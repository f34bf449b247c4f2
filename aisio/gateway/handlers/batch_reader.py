"""BatchReader: makes the members of a batch's archive from objects and members of archives."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from io import FileIO
from typing import NamedTuple

from aisio.gateway.archives.content import ArchiveReader, NewMember
from aisio.gateway.archives.formats import format_of_file
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.handlers.archive_reads import find_member
from aisio.gateway.handlers.batch_request import BatchItem
from aisio.gateway.jobs.job import Job
from aisio.gateway.protocol.refusals import DamagedError, Refusal
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.pieces import PIECE_BYTES

MISSING_PREFIX = "__404__/"
MAX_SOFT_ERRORS = 8
"""How many missing entries a batch may have (AIStore's get_batch.max_soft_errs, as of 5.0)."""

_log = logging.getLogger(__name__)


class MissingError(Exception):
    """An item does not exist: a soft error, in AIStore's words.

    Args:
        refusal: The error of a request for the item alone.
        label: The name of the placeholder: of the missing member, or of the missing object.
    """

    def __init__(self, refusal: Refusal, label: str) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.placeholder = NewMember(MISSING_PREFIX + label, 0, 0, ())


class Outcome(NamedTuple):
    """What became of an item: its size in bytes, or why it is missing."""

    size_bytes: int
    error: str = ""


class BatchReader:
    """Reads the items of a batch.

    Args:
        folder: The served folder.
        archives: The indexes of its archives.
        continue_on_error: A few items may be missing.
    """

    def __init__(self, folder: Folder, archives: IndexCache, *, continue_on_error: bool) -> None:
        self._folder = folder
        self._archives = archives
        self._max_missing = MAX_SOFT_ERRORS if continue_on_error else 0

    def members(self, items: Sequence[BatchItem], job: Job) -> Iterator[NewMember]:
        """Yield the archive's members; a member's file is open until the next one is requested.

        They end early at an item that cannot be read, and after too many missing ones.
        """
        missing_items = 0
        for item in items:
            job.check()
            try:
                file, member = self._open(item)
            except DamagedError:
                raise
            except Refusal as refusal:
                _log.info("get-batch ends early: %s", refusal.message)
                return
            except MissingError as missing:
                missing_items += 1
                if not self._max_missing:
                    _log.info("get-batch ends early: %s", missing)
                    return
                yield missing.placeholder
                if missing_items > self._max_missing:
                    return
                continue
            with file:
                yield member
            job.count(member.size_bytes)

    def outcomes(self, items: Sequence[BatchItem]) -> Iterator[Outcome]:
        """Open each item, and yield what became of it.

        Raises:
            Refusal: An item cannot be read, or too many are missing.
        """
        missing_items = 0
        for item in items:
            try:
                file, member = self._open(item)
            except MissingError as missing:
                missing_items += 1
                if missing_items > self._max_missing:
                    raise missing.refusal from None
                yield Outcome(0, str(missing))
            else:
                file.close()
                yield Outcome(member.size_bytes)

    def _open(self, item: BatchItem) -> tuple[FileIO, NewMember]:
        """Open an item.

        Raises:
            MissingError: It does not exist.
            Refusal: It cannot be read, or has no such range.
        """
        try:
            file, status = self._folder.open_object(item.bucket, item.name)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            raise MissingError(refusal, item.object_label) from None
        try:
            if item.path:
                return file, self._archive_member(item, file, status)
            start, stop = item.range_of(status.st_size)
            mtime_s = 0 if item.is_range else int(status.st_atime)
            pieces = _file_pieces(file, start, stop)
            return file, NewMember(item.label, stop - start, mtime_s, pieces)
        except BaseException:
            file.close()
            raise

    def _archive_member(self, item: BatchItem, file: FileIO, status: os.stat_result) -> NewMember:
        index = self._archives.load(file, status, format_of_file(file, item.name))
        try:
            member = find_member(index, item.bucket, item.name, item.path)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            raise MissingError(refusal, item.label) from None
        start, stop = item.range_of(member.size_bytes)
        pieces = ArchiveReader(file, index).pieces(member, start, stop)
        return NewMember(item.label, stop - start, 0, pieces)


def _file_pieces(file: FileIO, start: int, stop: int) -> Iterator[bytes]:
    while start < stop and (
        piece := os.pread(file.fileno(), min(PIECE_BYTES, stop - start), start)
    ):
        yield piece
        start += len(piece)
