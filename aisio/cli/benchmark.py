"""Measure how fast this machine can list and read the user's own data with aisio.

Nothing is written. Three kinds of work are timed separately, in the calling thread: listing,
reading objects one after another, and reading tar shards. The CPU time shows what aisio itself
costs.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from aisio.errors import ConfigError, ShardError
from aisio.records import ByteRange, ObjectInfo
from aisio.shards.reader import read_samples
from aisio.sources.base import Source, url_of
from aisio.sources.kinds import PrefixSource
from aisio.sources.nothing_found import no_name_begins_so
from aisio.stores import Store
from aisio.urls import ObjectUrl

__all__ = ["Limits", "Trial", "run_source_trials", "run_trials"]

MAX_LISTED = 100_000
"""Entries of a listing that are timed."""

CPU_BOUND_SHARE = 0.75
"""Share of CPU time in wall time from which on the CPU is the limit."""

_BUFFER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How much a benchmark reads.

    Attributes:
        objects: Maximum number of objects, and of shards, in one turn.
        size_bytes: Maximum number of bytes of objects, and of samples, in one turn.
        turns: Repetitions.

    Raises:
        ConfigError: A limit is below 1.
    """

    objects: int = 1000
    size_bytes: int = 1 << 30
    turns: int = 3

    def __post_init__(self) -> None:
        if min(self.objects, self.size_bytes, self.turns) < 1:
            raise ConfigError(f"{self}: each must be at least 1")


@dataclass(frozen=True)
class Trial:
    """The figures of one kind of work: medians over the turns.

    Attributes:
        work: "list", "objects" or "shards".
        items: Entries, objects or samples in one turn.
        size_bytes: Bytes read in one turn.
        wall_s: Wall time of a turn, in seconds.
        cpu_s: CPU time of this thread in a turn, in seconds.
        first_s: Time to the first entry, byte or sample, in seconds.
        latencies_s: Seconds that each object of all turns took, sorted; empty for other work.
    """

    work: str
    items: int
    size_bytes: int
    wall_s: float
    cpu_s: float
    first_s: float
    latencies_s: tuple[float, ...] = ()

    @property
    def items_per_s(self) -> float:
        """Items per second."""
        return self.items / self.wall_s

    @property
    def mb_per_s(self) -> float:
        """Megabytes (10^6 bytes) per second."""
        return self.size_bytes / self.wall_s / 1e6

    @property
    def cpu_us_per_item(self) -> float:
        """CPU time per item, in microseconds."""
        return self.cpu_s / self.items * 1e6

    @property
    def limited_by(self) -> str:
        """What limits the speed: "cpu" if this thread was mostly busy, else "store"."""
        return "cpu" if self.cpu_s >= CPU_BOUND_SHARE * self.wall_s else "store"

    def latency_s(self, share: float) -> float | None:
        """Return a percentile of the latencies.

        Args:
            share: The percentile as a fraction, as in 0.99.

        Returns:
            Seconds; None for work other than reading objects.
        """
        if not self.latencies_s:
            return None
        return self.latencies_s[math.ceil(share * len(self.latencies_s)) - 1]


@dataclass
class _Turn:
    """What was measured in one turn."""

    first_s: float = 0.0
    items: int = 0
    size_bytes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0


def run_trials(store: Store, url: ObjectUrl, limits: Limits) -> Iterator[Trial]:
    """List and read the objects below a URL; see `run_source_trials`.

    Args:
        store: The store of the URL.
        url: Plain-string prefix of the names.
        limits: How much to read.
    """
    return run_source_trials(PrefixSource(store, url), str(url), limits)


def run_source_trials(source: Source, about: str, limits: Limits) -> Iterator[Trial]:
    """List a source and read it: objects, and tar shards as samples.

    Args:
        source: What to read. Names that end in ".tar" are shards.
        about: The user's name of the source, for errors.
        limits: How much to read.

    Yields:
        A trial for each kind of work that the source has items for, listing first.

    Raises:
        NotFoundError: The source is empty.
        ShardError: A shard cannot be read, or no shard has a sample.
        IntegrityError: The bytes are not the ones that the store promised.
    """
    infos: list[ObjectInfo] = []

    def keep(info: ObjectInfo) -> int:
        infos.append(info)
        return 0

    def entries() -> Iterator[int]:
        infos.clear()
        return map(keep, islice(source.list(), MAX_LISTED))

    listing = _run_trial("list", entries, limits.turns)
    if not infos:
        raise no_name_begins_so(about)
    yield listing
    shards = [info for info in infos if info.name.endswith(".tar")]
    objects = [info for info in infos if not info.name.endswith((".tar", "/"))]
    if objects:
        yield _read_objects(source, objects[: limits.objects], limits)
    if shards:
        yield _read_shards(source, shards[: limits.objects], limits, about)


def _read_objects(source: Source, infos: Sequence[ObjectInfo], limits: Limits) -> Trial:
    timings: list[_ReadTiming] = []

    def objects() -> Iterator[int]:
        left_bytes = limits.size_bytes
        for info in infos:
            if left_bytes <= 0:
                return
            timing = _read(source, info, left_bytes)
            timings.append(timing)
            left_bytes -= timing.size_bytes
            yield timing.size_bytes

    trial = _run_trial("objects", objects, limits.turns)
    return replace(
        trial,
        first_s=statistics.median(timing.first_s for timing in timings),
        latencies_s=tuple(sorted(timing.whole_s for timing in timings)),
    )


@dataclass(frozen=True)
class _ReadTiming:
    """How long one object took to read."""

    size_bytes: int
    first_s: float
    whole_s: float


def _read(source: Source, info: ObjectInfo, max_bytes: int) -> _ReadTiming:
    """Read an object, or its first `max_bytes`."""
    is_cut = info.size_bytes is not None and info.size_bytes > max_bytes
    buffer = memoryview(bytearray(min(_BUFFER_BYTES, info.size_bytes or _BUFFER_BYTES)))
    started = time.perf_counter()
    store = source.store_of(info)
    with store.get(url_of(info), ByteRange(0, max_bytes)) if is_cut else source.get(info) as body:
        size_bytes = body.readinto(buffer)
        first_s = time.perf_counter() - started
        while count := body.readinto(buffer):
            size_bytes += count
    return _ReadTiming(size_bytes, first_s, time.perf_counter() - started)


def _read_shards(source: Source, infos: Sequence[ObjectInfo], limits: Limits, about: str) -> Trial:
    trial = _run_trial(
        "shards", lambda: _read_samples(source, infos, limits.size_bytes), limits.turns
    )
    if not trial.items:
        raise ShardError(f"{about}: there is no sample in {infos[0].url} and the other shards")
    return trial


def _read_samples(source: Source, shards: Iterable[ObjectInfo], max_bytes: int) -> Iterator[int]:
    """Yield the size of each sample, until `max_bytes` have been read."""
    left_bytes = max_bytes
    for info in shards:
        with source.get(info) as body:
            for sample in read_samples(body, url=info.url):
                size_bytes = sum(map(len, sample.fields.values()))
                yield size_bytes
                left_bytes -= size_bytes
                if left_bytes <= 0:
                    return


def _run_trial(work: str, start: Callable[[], Iterator[int]], turns: int) -> Trial:
    timed = [_time_turn(start()) for _ in range(turns)]
    return Trial(
        work=work,
        items=timed[-1].items,
        size_bytes=timed[-1].size_bytes,
        wall_s=statistics.median(turn.wall_s for turn in timed),
        cpu_s=statistics.median(turn.cpu_s for turn in timed),
        first_s=statistics.median(turn.first_s for turn in timed),
    )


def _time_turn(sizes: Iterator[int]) -> _Turn:
    turn = _Turn()
    cpu_s, started = time.thread_time(), time.perf_counter()
    for size_bytes in sizes:
        if not turn.items:
            turn.first_s = time.perf_counter() - started
        turn.items += 1
        turn.size_bytes += size_bytes
    turn.wall_s = time.perf_counter() - started
    turn.cpu_s = time.thread_time() - cpu_s
    return turn
