"""SampleReader: samples by their numbers, read by ranges of their shards, each verified.

A store has no checksum of a range. So the bytes of each sample are compared with the hash that the
index has of them, and the version of the shard with the one that was indexed. Bytes that are wrong
are read once more before that is an error: a bit may have flipped on the way.

Memory: a request is read into a buffer that is used again, and the fields are copied out of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, cast

import xxhash

from aisio.errors import ConfigError, IntegrityError, RangeError, ShardError
from aisio.escapes import one_line
from aisio.formats.tar_part import TarPart
from aisio.records import ByteRange
from aisio.shards.index import IndexedShard, ShardIndex
from aisio.shards.index_pins import is_indexed
from aisio.shards.linked_files import LinksByShard
from aisio.shards.reader import ShardPass
from aisio.shards.run_parsing import parse_run
from aisio.shards.sample_runs import MAX_RUN_BYTES, SampleRun, plan_runs
from aisio.shards.samples import Sample
from aisio.stats import thread_counters
from aisio.stores import Store
from aisio.transport.body import Body, read_with_retries
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.parallel import PARALLEL_FROM_BYTES, read_into
from aisio.transport.retries import Attempts
from aisio.transport.targets import BufferTarget
from aisio.urls import ObjectUrl

__all__ = ["KEPT_SHARD_BYTES", "ReadSamples", "SampleReader"]

_MAX_SPARE_BYTES = 2 * MAX_RUN_BYTES
"""A larger buffer is not kept for the next request."""

KEPT_SHARD_BYTES = 64 << 20
"""Of a shard that is read whole: so many bytes of its samples are kept for the next ones."""

ReadSamples = list[tuple[int, Sample]]
"""The samples of a run, each with its number."""


class _Buffer(NamedTuple):
    """Memory for one request, and a parser for it.

    Attributes:
        data: The bytes.
        part: The parser.
    """

    data: bytearray
    part: TarPart


class _Fetched(NamedTuple):
    """What was read for a run.

    Attributes:
        run: The run.
        buffer: Its bytes; None for a shard that was read whole.
        samples: Those of such a shard.
    """

    run: SampleRun
    buffer: _Buffer | None
    samples: ReadSamples


class SampleReader:
    """Reads samples of indexed shards; it pickles, and threads may share it.

    Args:
        index: Where the samples are.
        places: Where each shard of the index is: its store, and its address in it.
        keys: Fields to read; None for all.
        limit: How many requests may be in flight.
        reader: Name of the class that reads, to begin the text of errors with.
        kept_shard_bytes: The samples of a shard that is read whole are kept for the next ones, if
            they have no more bytes.
    """

    def __init__(
        self,
        index: ShardIndex,
        places: Sequence[tuple[Store, ObjectUrl]],
        *,
        keys: Collection[str] | None = None,
        limit: AdaptiveLimit | None = None,
        reader: str = "",
        kept_shard_bytes: int = KEPT_SHARD_BYTES,
    ) -> None:
        self._index = index
        self._places = places
        self._keys = None if keys is None else frozenset(keys)
        self._limit = limit or AdaptiveLimit()
        self._owner = reader
        self._kept_shard_bytes = kept_shard_bytes
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_spare", "_interleaved", "_kept", "_links")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @property
    def _prefix(self) -> str:
        return f"<{self._owner}> " if self._owner else ""

    def _forget(self) -> None:
        self._spare: deque[_Buffer] = deque()
        self._interleaved: set[int] = set()
        self._kept: tuple[int, list[Sample]] | None = None
        self._links = LinksByShard(self._index, self._places)

    def read(self, numbers: Iterable[int]) -> Iterator[ReadSamples]:
        """Read samples, each once, in the order of shards and bytes.

        Raises:
            IndexError: There is no such sample.
            IntegrityError: The bytes are not those that were indexed, or the shard was replaced.
            ShardError: The bytes are no sample.
            NotFoundError: A shard is missing.
        """
        return self.read_runs(self.plan(numbers))

    def read_one(self, number: int) -> list[Sample]:
        """Read a sample by one request; errors as for `read`."""
        return [sample for run in self.plan([number]) for _, sample in self.read_run(run)]

    def plan(self, numbers: Iterable[int]) -> Iterator[SampleRun]:
        """See `plan_runs`."""
        return plan_runs(self._index, numbers)

    def read_runs(self, runs: Iterable[SampleRun]) -> Iterator[ReadSamples]:
        """Read runs in their order, several requests sent ahead; errors as for `read`."""
        fetched = fetch_in_order(
            runs,
            self._fetch,
            send_ahead=self._send_ahead,
            limit=self._limit,
            size_of=lambda run: run.size_bytes,
            result_bytes=lambda fetched: fetched.run.size_bytes,
            max_ahead_bytes=MAX_RUN_BYTES,
        )
        with closing(cast("Generator[_Fetched, None, None]", fetched)):
            # Here, as threads that parse would wait for the interpreter's lock.
            yield from map(self._samples_of, fetched)

    def read_run(self, run: SampleRun) -> ReadSamples:
        """Read one run; errors as for `read`."""
        return self._samples_of(self._fetch(run))

    def _fetch(self, run: SampleRun) -> _Fetched:
        """Read and verify the bytes of a run; of a shard that is read whole, its samples."""
        if not run.offsets:
            return _Fetched(run, None, self._read_whole(run))
        buffer = self._buffer_for(run.size_bytes)
        try:
            self._fill(run, buffer.data)
            self._verify(run, buffer.data)
        except _Damaged:
            self._fill_again(run, buffer.data)
        return _Fetched(run, buffer, [])

    def _samples_of(self, fetched: _Fetched) -> ReadSamples:
        run, buffer = fetched.run, fetched.buffer
        if buffer is None:
            return fetched.samples
        try:
            try:
                return self._parse(run, buffer)
            except _Damaged:
                self._fill_again(run, buffer.data)
            return self._parse(run, buffer)
        except _Damaged as error:
            raise error.final from error
        finally:
            self._free(buffer)

    def _buffer_for(self, size_bytes: int) -> _Buffer:
        try:
            buffer = self._spare.pop()
        except IndexError:
            buffer = _Buffer(bytearray(), TarPart())
        if len(buffer.data) < size_bytes:
            size_bytes = max(size_bytes, min(2 * len(buffer.data), MAX_RUN_BYTES))
            buffer = buffer._replace(data=bytearray(size_bytes))
        return buffer

    def _free(self, buffer: _Buffer) -> None:
        if len(buffer.data) <= _MAX_SPARE_BYTES:
            self._spare.append(buffer)

    def _fill_again(self, run: SampleRun, buffer: bytearray) -> None:
        thread_counters().retries += 1
        self._fill(run, buffer)
        try:
            self._verify(run, buffer)
        except _Damaged as error:
            raise error.final from error

    def _fill(self, run: SampleRun, buffer: bytearray) -> None:
        """Read the bytes of a run."""
        store, url = self._places[run.shard]
        shard = self._index.shard(run.shard)
        span = ByteRange(run.start, run.start + run.size_bytes)
        view = memoryview(buffer)[: run.size_bytes]

        def read(body: Body) -> None:
            if not is_indexed(shard, store, url, body.info) or body.size_bytes != run.size_bytes:
                raise self._replaced(shard)
            if run.size_bytes >= PARALLEL_FROM_BYTES:
                read_into(body, BufferTarget(view))
                return
            position = 0
            while position < run.size_bytes:
                position += body.readinto(view[position:])

        try:
            read_with_retries(partial(store.get, url, span), read, Attempts(store.retry_policy))
        except RangeError as error:
            raise self._replaced(shard) from error

    def _verify(self, run: SampleRun, buffer: bytearray) -> None:
        """Compare the samples of a run with their hashes."""
        started = perf_counter()
        view, shift = memoryview(buffer), run.start
        hashes = self._index.hashes(run.numbers)
        for number, offset, size, xxh3 in zip(
            run.numbers, run.offsets, run.sizes, hashes, strict=True
        ):
            start = offset - shift
            if xxh3 is not None:
                got = xxhash.xxh3_64_intdigest(view[start : start + size])
                if got != xxh3:
                    raise _Damaged(self._wrong_bytes(number, got))
        thread_counters().verify_s += perf_counter() - started

    def _parse(self, run: SampleRun, buffer: _Buffer) -> ReadSamples:
        """Return the samples of a run whose bytes have come."""
        started = perf_counter()
        url = str(self._places[run.shard][1])
        # A shard has the hashes of all its samples, or of none.
        is_verified = self._index.span(run.numbers[0]).xxh3 is not None
        try:
            samples = self._parse_bytes(run, buffer.data, buffer.part, is_verified=is_verified)
        except ShardError as error:
            final = ShardError(f"{self._prefix}{error}", url=url, offset=error.offset)
            if is_verified:
                raise final from error  # these are the bytes that were indexed
            raise _Damaged(final) from error
        if [sample.offset for sample in samples] != run.offsets:
            raise _Damaged(self._no_samples(run, samples))
        thread_counters().parse_s += perf_counter() - started
        return list(zip(run.numbers, samples, strict=True))

    def _parse_bytes(
        self, run: SampleRun, data: bytearray, part: TarPart, *, is_verified: bool
    ) -> list[Sample]:
        url, links = str(self._places[run.shard][1]), self._links.of(run.shard)
        return parse_run(
            run, data, part, url=url, keys=self._keys, is_verified=is_verified, links=links
        )

    def _read_whole(self, run: SampleRun) -> ReadSamples:
        """Read a shard from start to end for some of its samples."""
        first = self._index.shard(run.shard).first_sample
        kept = self._kept
        if kept is not None and kept[0] == run.shard:
            return [(number, kept[1][number - first]) for number in run.numbers]
        if run.shard not in self._interleaved:
            try:
                return self._pass_over(run, first, interleaved=False)
            except ShardError:
                # It may be one whose samples are not adjacent; whatever else is wrong shows again.
                self._interleaved.add(run.shard)
        return self._pass_over(run, first, interleaved=True)

    def _pass_over(self, run: SampleRun, first: int, *, interleaved: bool) -> ReadSamples:
        store, url = self._places[run.shard]
        shard = self._index.shard(run.shard)
        wanted = set(run.numbers)
        found: ReadSamples = []
        kept, size_bytes = list[Sample](), 0
        with closing(store.get(url)) as body:
            if not is_indexed(shard, store, url, body.info):
                raise self._replaced(shard)
            shard_pass = ShardPass(
                body,
                url=str(url),
                keys=self._keys,
                interleaved=interleaved,
                reader=self._owner,
                links=self._links.of(run.shard),
            )
            for number, sample in enumerate(shard_pass.samples(), first):
                if number in wanted:
                    found.append((number, sample))
                size_bytes += _payload_bytes(sample)
                if size_bytes <= self._kept_shard_bytes:
                    kept.append(sample)
                else:
                    kept.clear()
        if shard_pass.yielded != shard.samples:
            raise self._replaced(shard)
        self._kept = (run.shard, kept) if kept else None
        return found

    def _send_ahead(self, run: SampleRun) -> PendingGet | None:
        if not run.offsets:
            return None
        store, url = self._places[run.shard]
        return store.send_ahead(url, ByteRange(run.start, run.start + run.size_bytes))

    def _replaced(self, shard: IndexedShard) -> IntegrityError:
        return IntegrityError(
            f"{self._prefix}{one_line(shard.url)}: the shard was replaced since it was indexed: run"
            " `aisio index` on the data again, and begin anew",
            url=shard.url,
        )

    def _wrong_bytes(self, number: int, got: int) -> IntegrityError:
        span = self._index.span(number)
        url = self._index.shard(span.shard).url
        return IntegrityError(
            f"{self._prefix}{one_line(url)}: {self._about(number)} at byte {span.offset}: its"
            f" {span.size_bytes:,} bytes have the XXH3-64 {got:016x}, and had {span.xxh3:016x} when"
            " the shard was indexed, also when they were read once more: the stored shard is"
            " damaged, or something on the way to it",
            url=url,
        )

    def _no_samples(self, run: SampleRun, samples: list[Sample]) -> ShardError:
        url = self._index.shard(run.shard).url
        places = zip(run.numbers, run.offsets, strict=True)
        starts = {sample.offset for sample in samples}
        number, offset = next(
            ((number, offset) for number, offset in places if offset not in starts),
            (run.numbers[0], run.start),
        )
        return ShardError(
            f"{self._prefix}{one_line(url)}: {self._about(number)} does not begin at byte"
            f" {offset}, where the index has it: run `aisio index --rebuild`",
            url=url,
            offset=offset,
        )

    def _about(self, number: int) -> str:
        with suppress(ConfigError, KeyError):
            return f"sample {self._index.key(number)!r}"
        return f"sample number {number}"


class _Damaged(Exception):
    """Bytes that came are not a sample; they may be if they are read once more.

    Args:
        final: The error if they are not.
    """

    def __init__(self, final: IntegrityError | ShardError) -> None:
        super().__init__(str(final))
        self.final = final


def _payload_bytes(sample: Sample) -> int:
    """Return how many bytes the fields of a sample have."""
    return sum(map(len, sample.fields.values()))
