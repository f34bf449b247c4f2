"""ListingBlocks: the blocks of a listing that is not complete, from the sources or another rank."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from itertools import chain, islice

from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.digest import ListingDigest
from aisio.sources.listing_table import ListingTable, encode_blocks
from aisio.sources.source_set import SourceSet
from aisio.training.listing.listing_file import RecordKind
from aisio.training.listing.listing_view import ListingView
from aisio.training.listing.rank_listing import ListingUnavailableError, RankChannel, RankListing

__all__ = ["ListingBlocks"]

_log = logging.getLogger("aisio.placing")


class ListingBlocks:
    """Yields the blocks of a part of a listing that follow those that the file has.

    Each block must be in the file before the next one is taken.

    Args:
        sources: What is listed.
        part: Which part; see `aisio.training.listing.shared_listing`.
        view: What is known of it.
        ranks: Shares the listing with the other ranks.
    """

    def __init__(
        self, sources: SourceSet, part: int, view: ListingView, ranks: RankListing
    ) -> None:
        self._sources = sources
        self._part = part
        self._view = view
        self._ranks = ranks
        self._published_on: RankChannel | None = None

    def __iter__(self) -> Iterator[bytes]:
        channel = self._ranks.channel(self._part)
        if channel is None:
            yield from self._list()
            return
        role = self._view.roles.get(self._part)
        if role is None:
            role = yield from self._receive(channel)
        if role is RecordKind.PUBLISHED:
            yield from self._publish(channel)
        elif role is RecordKind.UNSHARED:
            yield from self._list()
            self._compare(channel)

    def abandon(self) -> None:
        """Have the other ranks list for themselves, if they wait for this one."""
        if self._published_on is not None:
            try:
                self._published_on.abandon()
            except ListingUnavailableError as error:
                _log.info("cannot tell the other ranks that this one has stopped: %s", error)

    def _receive(self, channel: RankChannel) -> Generator[bytes, None, RecordKind | None]:
        """Yield what another rank lists; return what this rank does if that does not come."""
        role = RecordKind.UNSHARED
        try:
            if channel.claim():
                role = RecordKind.PUBLISHED
            else:
                yield from channel.receive(self._table.block_count)
                return None
        except ListingUnavailableError as error:
            _log.warning("this rank lists for itself: %s", error)
        self._view.append(role, self._part)
        return role

    def _publish(self, channel: RankChannel) -> Iterator[bytes]:
        """Yield what this rank lists, and give it to the others."""
        self._published_on = channel
        for block in self._list():
            yield block
            self._publish_new()
        self._publish_new(is_complete=True)
        if self._published_on is None or channel.has_others:
            self._compare(channel)

    def _publish_new(self, *, is_complete: bool = False) -> None:
        """Publish the blocks of the file that are not published."""
        channel = self._published_on
        if channel is None:
            return
        try:
            for block in islice(self._table.blocks, channel.published, None):
                channel.publish(block)
            if is_complete:
                channel.complete()
        except ListingUnavailableError as error:
            _log.warning("the other ranks must list for themselves: %s", error)
            self._published_on = None

    def _compare(self, channel: RankChannel) -> None:
        digest = ListingDigest("")
        for _, info in self._table:
            digest.add(info)
        try:
            channel.compare(digest.text())
        except ListingUnavailableError as error:
            _log.warning("this listing is not compared with those of other ranks: %s", error)

    @property
    def _table(self) -> ListingTable:
        return self._view.table(self._part)

    def _list(self) -> Iterator[bytes]:
        """Yield the blocks that follow those of the file, if those are still the same."""
        rows, known = self._rows(), self._table
        for number, (_, info) in enumerate(known):
            row = next(rows, None)
            if row is None or not _is_same(row[1], info):
                self._view.append(RecordKind.RESTART, self._part)
                self.abandon()
                self._published_on = None
                first = self._numbered(islice(known, number))
                return encode_blocks(chain(first, [] if row is None else [row], rows))
        return encode_blocks(rows)

    def _rows(self) -> Iterator[tuple[int, ObjectInfo]]:
        only = slice(self._part - 1, self._part) if self._part else slice(None)
        return self._numbered(self._sources.list(only))

    def _numbered(
        self, listed: Iterable[tuple[Source, ObjectInfo]]
    ) -> Iterator[tuple[int, ObjectInfo]]:
        numbers = {id(source): number for number, source in enumerate(self._sources.sources)}
        return ((numbers[id(source)], info) for source, info in listed)


def _is_same(first: ObjectInfo, second: ObjectInfo) -> bool:
    """Tell whether two listings say the same of an object, but for its times."""
    return (first.root, first.name, first.size_bytes, first.checksum) == (
        second.root,
        second.name,
        second.size_bytes,
        second.checksum,
    )
