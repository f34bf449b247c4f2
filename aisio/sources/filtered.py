"""FilteredSource: the objects of another source whose names match patterns."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator

from aisio.patterns.name_patterns import NamePatterns
from aisio.patterns.selections import Selection
from aisio.records import ByteRange, ObjectInfo
from aisio.skipped import SkippedNames
from aisio.sources.base import Source
from aisio.stores import Store
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet

__all__ = ["FilteredSource", "filtered"]

_log = logging.getLogger("aisio.sources")


def filtered(source: Source, patterns: NamePatterns) -> Source:
    """Return the objects of a source that patterns take; the source itself if there are none."""
    return FilteredSource(source, patterns) if patterns else source


class FilteredSource(Source):
    """Some of the objects of a source, in its order.

    Args:
        inner: The source.
        patterns: Tells which.
    """

    def __init__(self, inner: Source, patterns: NamePatterns) -> None:
        self.inner = inner
        self.patterns = patterns
        self.etl_name = inner.etl_name
        self.why_empty = inner.why_empty or patterns.why_empty
        self.needs_single_reads = inner.needs_single_reads

    def __repr__(self) -> str:
        return f"FilteredSource({self.inner!r}, {self.patterns.text})"

    def _key(self) -> Hashable:
        return self.inner, self.patterns.text

    @property
    def base_url(self) -> str:
        """See `Source.base_url`."""
        return self.inner.base_url

    @property
    def unpinned(self) -> Source:
        """See `Source.unpinned`."""
        inner = self.inner.unpinned
        return self if inner is self.inner else FilteredSource(inner, self.patterns)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`."""
        return self._selected(self.inner.list(prefix))

    def select(self, text: str = "", *, allow_empty: bool = False) -> Iterator[ObjectInfo]:
        """See `Source.select`; an object that was found and left out is not missed."""
        return self._selected(self.inner.select(text, allow_empty=allow_empty))

    def selected(self, selection: Selection) -> Iterator[ObjectInfo]:
        """See `Source.selected`."""
        return self._selected(self.inner.selected(selection))

    def _selected(self, infos: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
        left_out = SkippedNames()
        yield from self.patterns.select(infos, self.base_url, left_out)
        if left_out:
            _log.info("%r: %s", self, left_out)

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.inner.store_of(info)

    def completed(self, info: ObjectInfo) -> ObjectInfo:
        """See `Source.completed`."""
        return self.inner.completed(info)

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`."""
        return self.inner.is_named(info)

    def listed_url(self, info: ObjectInfo, etl_name: str | None = None) -> str:
        """See `Source.listed_url`."""
        return self.inner.listed_url(info, etl_name)

    def get(
        self,
        info: ObjectInfo,
        *,
        byte_range: ByteRange | None = None,
        etl_name: str | None = None,
    ) -> Body:
        """See `Source.get`."""
        return self.inner.get(info, byte_range=byte_range, etl_name=etl_name)

    def send_ahead(self, info: ObjectInfo, *, etl_name: str | None = None) -> PendingGet | None:
        """See `Source.send_ahead`."""
        return self.inner.send_ahead(info, etl_name=etl_name)

    def read(self, info: ObjectInfo, *, etl_name: str | None = None) -> bytes:
        """See `Source.read`."""
        return self.inner.read(info, etl_name=etl_name)
