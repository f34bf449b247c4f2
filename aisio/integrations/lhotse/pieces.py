"""The pieces of objects that a batch needs, read together: near ones by one request.

pieces ── join ──> ReadSpan ──> one get-batch a cluster, or GETs, several in flight ──> bytes
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from aisio.client.client import Client
from aisio.errors import AccessError, NotFoundError, RangeError, ShardError, StorageError
from aisio.integrations.lhotse.object_files import read_archived
from aisio.records import ByteRange
from aisio.stores import AisStore, Store, store_for
from aisio.transport.body import Body, read_with_retries
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.retries import Attempts
from aisio.urls import ObjectUrl
from aisio.wire.batch import BatchEntry

__all__ = ["Piece", "PieceReader", "ReadSpan", "Result", "join"]

MAX_GAP_BYTES = 128 * 1024
"""To read so many bytes costs about as much as a request."""

MAX_SPAN_BYTES = 2 * 1024 * 1024
"""From 1 MiB on, ranged requests in random order are as fast as whole shards that are streamed."""

MAX_GIVEN_UP = 3
"""So many objects of a batch may fail until the retry policy gives up: it waits a minute for each,
and more of them are an outage rather than bad objects."""

Result: TypeAlias = "bytes | StorageError | ShardError"
"""What a piece is, or why it cannot be read."""

_log = logging.getLogger("aisio.lhotse")


class Piece(NamedTuple):
    """An object, a range of it, or a file in an archive.

    Attributes:
        url: The object.
        archpath: The path of the file in it; "" for the object itself.
        start: Of a range, the first byte.
        stop: Of a range, one past the last byte; None for the whole object or file.
    """

    url: ObjectUrl
    archpath: str = ""
    start: int = 0
    stop: int | None = None

    def __str__(self) -> str:
        text = f"{self.url}/{self.archpath}" if self.archpath else str(self.url)
        return text if self.stop is None else f"{text}, bytes {self.start} to {self.stop - 1}"


class ReadSpan(NamedTuple):
    """What one request reads.

    Attributes:
        piece: What it reads.
        numbers: Of the pieces that are in it.
    """

    piece: Piece
    numbers: list[int]

    @property
    def size_bytes(self) -> int | None:
        """How many bytes are read; None for whatever there is."""
        return None if self.piece.stop is None else self.piece.stop - self.piece.start


def join(pieces: Sequence[Piece]) -> list[ReadSpan]:
    """Join pieces: what is named twice is read once, and near ranges of an object by one request.

    Returns:
        The spans to read, in the order of their first pieces.
    """
    spans: list[ReadSpan] = []
    wholes: dict[Piece, ReadSpan] = {}
    ranges: dict[ObjectUrl, list[int]] = {}
    for number, piece in enumerate(pieces):
        if piece.stop is not None:
            ranges.setdefault(piece.url, []).append(number)
        elif piece in wholes:
            wholes[piece].numbers.append(number)
        else:
            wholes[piece] = ReadSpan(piece, [number])
    spans.extend(wholes.values())
    for numbers in ranges.values():
        spans.extend(_join_ranges(pieces, numbers))
    return sorted(spans, key=lambda span: min(span.numbers))


def _join_ranges(pieces: Sequence[Piece], numbers: list[int]) -> Iterator[ReadSpan]:
    numbers.sort(key=lambda number: (pieces[number].start, pieces[number].stop))
    start, stop, found = 0, 0, list[int]()
    for number in numbers:
        piece = pieces[number]
        assert piece.stop is not None
        end = max(stop, piece.stop)
        if found and (piece.start - stop > MAX_GAP_BYTES or end - start > MAX_SPAN_BYTES):
            yield ReadSpan(Piece(piece.url, "", start, stop), found)
            found = []
        if not found:
            start, end = piece.start, piece.stop
        found.append(number)
        stop = end
    yield ReadSpan(Piece(pieces[found[0]].url, "", start, stop), found)


class PieceReader:
    """Reads pieces, and gives each one its own result; it pickles.

    Args:
        client: The cluster; None for the one that AIS_ENDPOINT names.
    """

    def __init__(self, client: Client | None = None) -> None:
        self.client = client
        self._limit = AdaptiveLimit()

    def read(
        self, pieces: Sequence[Piece], *, by_batch: bool, keeps_errors: bool = False
    ) -> list[Result]:
        """Read pieces.

        Args:
            pieces: What to read.
            by_batch: What is in a cluster comes by get-batch, and by GETs what its archive lacks.
            keeps_errors: What is wrong with an object takes the place of its bytes. Its bucket must
                exist. If a few objects could not be read until the retry policy gave up, the next
                one is an error.

        Returns:
            Bytes or errors, in the order of the pieces.

        Raises:
            StorageError: A piece cannot be read.
            ConfigError: No cluster or store is known for a URL.
        """
        roots = {piece.url.root: piece.url for piece in pieces}
        stores = {root: store_for(url, self.client) for root, url in roots.items()}
        run = _Run(pieces, stores, keeps_errors=keeps_errors)
        batches: dict[tuple[Client, str], list[ReadSpan]] = {}
        singles: list[ReadSpan] = []
        for span in join(pieces):
            url = span.piece.url
            store = stores[url.root]
            if by_batch and isinstance(store, AisStore):
                # A request names the namespace of one bucket, or has only the global one.
                key = (store.client, url.root if url.namespace else "")
                batches.setdefault(key, []).append(span)
            else:
                singles.append(span)
        for (client, _), spans in batches.items():
            singles.extend(run.read_batch(client, spans))
        while singles:
            apart: list[ReadSpan] = []
            for span, result in zip(singles, self._read_singly(stores, singles), strict=True):
                if isinstance(result, RangeError) and len(span.numbers) > 1:
                    # One of them lies behind the object's end; the others do not.
                    apart.extend(ReadSpan(pieces[number], [number]) for number in span.numbers)
                else:
                    run.hand_out(span, result)
            singles = apart
        return run.results

    def _read_singly(
        self, stores: Mapping[str, Store], spans: Sequence[ReadSpan]
    ) -> Iterator[Result]:
        return fetch_in_order(
            spans,
            lambda span: _read_span(stores[span.piece.url.root], span.piece),
            send_ahead=lambda span: _send_ahead(stores[span.piece.url.root], span.piece),
            limit=self._limit,
            size_of=lambda span: span.size_bytes,
            result_bytes=lambda result: len(result) if isinstance(result, bytes) else 0,
        )


def _read_span(store: Store, piece: Piece) -> Result:
    try:
        if piece.archpath:
            return read_archived(store, piece.url, piece.archpath)
        if piece.stop is None:
            return store.read(piece.url)
        return _read_range(store, piece, piece.stop)
    except (StorageError, ShardError) as error:
        return error


def _send_ahead(store: Store, piece: Piece) -> PendingGet | None:
    if piece.archpath:
        return None
    byte_range = None if piece.stop is None else ByteRange(piece.start, piece.stop)
    return store.send_ahead(piece.url, byte_range)


class _Run:
    """One read of pieces.

    Attributes:
        results: Of all pieces, as far as they are read.
    """

    def __init__(
        self, pieces: Sequence[Piece], stores: Mapping[str, Store], *, keeps_errors: bool
    ) -> None:
        self.results: list[Result] = [b""] * len(pieces)
        self._pieces = pieces
        self._stores = stores
        self._keeps_errors = keeps_errors
        self._buckets: set[str] = set()
        self._given_up = 0

    def read_batch(self, client: Client, spans: list[ReadSpan]) -> list[ReadSpan]:
        """Read spans by one get-batch; return those that are to be read by GETs.

        Where a batch fails, GETs may not, and if they do, their errors name the object.
        """
        left: list[ReadSpan] = []
        done = 0
        try:
            for _, data in client.get_batch(_entries(spans), missing="none", colocation=1):
                if not data:  # also an object that is said to be empty, as there is no checksum
                    left.append(spans[done])
                else:
                    self.hand_out(spans[done], data)
                done += 1
        except AccessError:
            raise
        except (StorageError, ShardError) as error:
            _log.debug("%d of a batch are read by GETs: %s", len(spans) - done, error)
            left.extend(spans[done:])
        return left

    def hand_out(self, span: ReadSpan, result: Result) -> None:
        """Give each piece of a span what was read.

        Raises:
            StorageError: It is an error, and not to be kept.
        """
        if not isinstance(result, bytes):
            self._check_error(result, span.piece.url)
            for number in span.numbers:
                self.results[number] = result
            return
        for number in span.numbers:
            piece = self._pieces[number]
            if piece == span.piece or piece.stop is None:
                self.results[number] = result
            else:
                first, last = piece.start - span.piece.start, piece.stop - span.piece.start
                self.results[number] = result[first:last]

    def _check_error(self, error: StorageError | ShardError, url: ObjectUrl) -> None:
        if isinstance(error, StorageError):
            self._given_up += error.given_up
        if not self._keeps_errors or isinstance(error, AccessError):
            raise error
        if self._given_up > MAX_GIVEN_UP:
            raise error
        if isinstance(error, NotFoundError) and not self._has_bucket(url):
            raise error

    def _has_bucket(self, url: ObjectUrl) -> bool:
        """Tell whether the bucket of a missing object exists; only clusters are asked."""
        store = self._stores[url.root]
        if url.root not in self._buckets and isinstance(store, AisStore):
            if not store.client.bucket(url.root).exists():
                return False
            self._buckets.add(url.root)
        return True


def _read_range(store: Store, piece: Piece, stop: int) -> bytes:
    open_body = partial(store.get, piece.url, ByteRange(piece.start, stop))
    data = read_with_retries(open_body, Body.readall, Attempts(store.retry_policy))
    if len(data) != stop - piece.start:
        raise RangeError(
            f"GET {piece}: there are only {len(data):,} bytes; its index is of another version",
            url=str(piece.url),
        )
    return data


def _entries(spans: Iterable[ReadSpan]) -> list[BatchEntry]:
    return [
        BatchEntry(span.piece.url, span.piece.archpath, span.piece.start, span.size_bytes or 0)
        for span in spans
    ]
