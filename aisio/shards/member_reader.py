"""MemberReader: the regular files of a tar by their numbers, read by ranges.

Where they are is known from an index that has no hashes. So what is checked of a file is the
checksum of its headers, that it is a regular file, and that the bytes up to the next one hold no
other file: with another index than the tar's own, one of these is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aisio.errors import IntegrityError, ShardError
from aisio.escapes import one_line
from aisio.formats.tar import END, NEED_DATA, TarMember
from aisio.formats.tar_part import TarPart
from aisio.shards.index import IndexedShard, ShardIndex
from aisio.shards.sample_reader import SampleReader
from aisio.shards.sample_runs import SampleRun
from aisio.shards.samples import Sample
from aisio.shards.tar_index_loading import StoredFile, not_its_index
from aisio.stores.tar_index import without_dot_slash
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.urls import ObjectUrl

__all__ = ["CONTENT", "MemberReader"]

CONTENT = ""
"""The field of a sample that is the content of the file."""

_MAX_PLANNED = 1024
"""Number of files that are planned at a time."""


class MemberReader(SampleReader):
    """Reads the files of a tar as samples: the key is the name, without a leading "./".

    Args:
        index: Where the files are, as `load_tar_index` returns it.
        tar: The tar.
        index_url: Where the index came from, for errors.
        limit: How many requests may be in flight.
        reader: Name of the class that reads, to begin the text of errors with.
    """

    def __init__(
        self,
        index: ShardIndex,
        tar: StoredFile,
        index_url: ObjectUrl,
        *,
        limit: AdaptiveLimit | None = None,
        reader: str = "",
    ) -> None:
        super().__init__(index, [tar], limit=limit, reader=reader)
        self._index_url = index_url

    def plan(self, numbers: Iterable[int]) -> Iterator[SampleRun]:
        """Plan the requests that read files in any order, as often as they are named.

        Neighbours in the order of the tar come together, near ones too.
        """
        ascending: list[int] = []
        for number in numbers:
            if ascending and (number <= ascending[-1] or len(ascending) == _MAX_PLANNED):
                yield from super().plan(ascending)
                ascending = []
            ascending.append(number)
        yield from super().plan(ascending)

    def _parse_bytes(
        self, run: SampleRun, data: bytearray, part: TarPart, *, is_verified: bool
    ) -> list[Sample]:
        part.url = str(self._places[run.shard][1])
        places = zip(run.numbers, run.offsets, run.sizes, strict=True)
        return [
            self._file(number, offset, size_bytes, run, data, part)
            for number, offset, size_bytes in places
        ]

    def _file(
        self,
        number: int,
        offset: int,
        size_bytes: int,
        run: SampleRun,
        data: bytearray,
        part: TarPart,
    ) -> Sample:
        start = offset - run.start
        part.begin(data, start, start + size_bytes, offset)
        try:
            found = _only_file(part)
        except ShardError as error:
            raise self._not_its_index(str(error), offset) from error
        if part.has_global_records:
            why = f"a global PAX header behind byte {offset:,} says something of all files after it"
            raise self._not_its_index(why, offset)
        if found is None:
            why = f"file number {number} is not at byte {offset:,}, or is not alone in its bytes"
            raise self._not_its_index(why, offset)
        name, content = found
        return Sample(part.url, name, name, {CONTENT: content}, offset)

    def _not_its_index(self, why: str, offset: int) -> ShardError:
        return not_its_index(self._index_url, self._places[0][1], why, offset)

    def _replaced(self, shard: IndexedShard) -> IntegrityError:
        return IntegrityError(
            f"{self._prefix}{one_line(shard.url)}: the tar was replaced since its index was read:"
            " begin anew, with the index of the new one",
            url=shard.url,
        )


def _only_file(part: TarPart) -> tuple[str, bytes] | None:
    """Return name and content of the file that begins a part; None if it has no file, or two."""
    member = part.next_event()
    if not isinstance(member, TarMember) or member.kind != "file":
        return None
    content = part.read_payload()
    if content is NEED_DATA:
        return None
    while (event := part.next_event()) is not END:
        if event is NEED_DATA:
            part.finish()
        elif isinstance(event, TarMember) and event.kind == "file":
            return None
    return without_dot_slash(member.name), content
