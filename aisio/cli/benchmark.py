"""How fast somebody's own data can be listed and read from here, by this package.

Nothing is written. Listing, objects one after another and tar shards are timed apart, in this
process and thread; what `aisio` itself costs shows as processor time.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
"""Entries that a listing is followed for: enough to know its speed."""

CPU_BOUND_SHARE = 0.75
"""Share of the time above which the processor is what limits."""

_BUFFER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How much is read.

    Attributes:
        objects: Most objects, and most shards, in one turn.
        size_bytes: Most bytes of objects, and of shards' samples, in one turn.
        turns: Repetitions.

    Raises:
        ConfigError: One of them is below 1.
    """

    objects: int = 1000
    size_bytes: int = 1 << 30
    turns: int = 3

    def __post_init__(self) -> None:
        if min(self.objects, self.size_bytes, self.turns) < 1:
            raise ConfigError(f"{self}: each must be at least 1")


@dataclass(frozen=True)
class Trial:
    """One kind of work, done once or several times.

    Attributes:
        work: "list", "objects" or "shards".
        items: Entries, objects or samples in one turn.
        size_bytes: What was read in one turn.
        wall_s: Seconds a turn, the median.
        cpu_s: Processor seconds of this thread a turn, the median.
        first_s: Seconds to the first entry, byte or sample, the median.
        latencies_s: Seconds that each object took, of all turns, sorted; empty for other works.
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
        """Items a second."""
        return self.items / self.wall_s

    @property
    def mb_per_s(self) -> float:
        """Million bytes a second."""
        return self.size_bytes / self.wall_s / 1e6

    @property
    def cpu_us_per_item(self) -> float:
        """Processor time in microseconds an item."""
        return self.cpu_s / self.items * 1e6

    @property
    def limited_by(self) -> str:
        """Return "cpu" where this process was busy most of the time, "store" where it waited."""
        return "cpu" if self.cpu_s >= CPU_BOUND_SHARE * self.wall_s else "store"

    def latency_s(self, share: float) -> float | None:
        """Return the time within which this share of the objects was read.

        Args:
            share: As in 0.99.

        Returns:
            Seconds; None for other works.
        """
        if not self.latencies_s:
            return None
        return self.latencies_s[math.ceil(share * len(self.latencies_s)) - 1]


@dataclass
class _Turn:
    """What passes in one turn of one work."""

    first_s: float = 0.0
    items: int = 0
    size_bytes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0


def run_trials(store: Store, url: ObjectUrl, limits: Limits) -> Iterator[Trial]:
    """List what is below a URL and read it; see `run_source_trials`.

    Args:
        store: Where the URL leads to.
        url: Plain-string prefix of the names.
        limits: How much to read.
    """
    return run_source_trials(PrefixSource(store, url), str(url), limits)


def run_source_trials(source: Source, about: str, limits: Limits) -> Iterator[Trial]:
    """List a source and read it: objects, and tar shards as samples.

    Args:
        source: What to read. Names that end in ".tar" are shards.
        about: What the user calls it, for the text of errors.
        limits: How much to read.

    Yields:
        A trial of each work that there is something for, listing first.

    Raises:
        NotFoundError: Nothing has such a name.
        ShardError: A shard cannot be read, or no shard has a sample.
        IntegrityError: The bytes are not the ones that the store promised.
    """
    infos: list[ObjectInfo] = []

    def note(info: ObjectInfo) -> int:
        infos.append(info)
        return 0

    def entries() -> Iterator[int]:
        infos.clear()
        return map(note, islice(source.list(), MAX_LISTED))

    listing = _trial("list", entries, limits.turns)
    if not infos:
        raise no_name_begins_so(about)
    yield listing
    shards = [info for info in infos if info.name.endswith(".tar")]
    objects = [info for info in infos if not info.name.endswith((".tar", "/"))]
    if objects:
        yield _read_objects(source, objects[: limits.objects], limits)
    if shards:
        wanted = shards[: limits.objects]
        trial = _trial("shards", lambda: _samples(source, wanted, limits.size_bytes), limits.turns)
        if not trial.items:
            raise ShardError(f"{about}: there is no sample in {wanted[0].url} and the other shards")
        yield trial


def _read_objects(source: Source, infos: Sequence[ObjectInfo], limits: Limits) -> Trial:
    clock: list[_Timed] = []

    def objects() -> Iterator[int]:
        left = limits.size_bytes
        for info in infos:
            if left <= 0:
                return
            clock.append(_read(source, info, left))
            left -= clock[-1].size_bytes
            yield clock[-1].size_bytes

    trial = _trial("objects", objects, limits.turns)
    return Trial(
        trial.work,
        trial.items,
        trial.size_bytes,
        trial.wall_s,
        trial.cpu_s,
        statistics.median(timed.first_s for timed in clock),
        tuple(sorted(timed.whole_s for timed in clock)),
    )


@dataclass(frozen=True)
class _Timed:
    """One object that was read."""

    size_bytes: int
    first_s: float
    whole_s: float


def _read(source: Source, info: ObjectInfo, most: int) -> _Timed:
    """Read an object, or as much of its beginning as is allowed."""
    is_cut = info.size_bytes is not None and info.size_bytes > most
    buffer = memoryview(bytearray(min(_BUFFER_BYTES, info.size_bytes or _BUFFER_BYTES)))
    started = time.perf_counter()
    store = source.store_of(info)
    with store.get(url_of(info), ByteRange(0, most)) if is_cut else source.get(info) as body:
        size_bytes = body.readinto(buffer)
        first_s = time.perf_counter() - started
        while count := body.readinto(buffer):
            size_bytes += count
    return _Timed(size_bytes, first_s, time.perf_counter() - started)


def _samples(source: Source, shards: Iterable[ObjectInfo], most: int) -> Iterator[int]:
    """Yield the size of each sample, until so many bytes have been read."""
    left = most
    for info in shards:
        with source.get(info) as body:
            for sample in read_samples(body, url=info.url):
                size_bytes = sum(map(len, sample.fields.values()))
                yield size_bytes
                left -= size_bytes
                if left <= 0:
                    return


def _trial(work: str, start: Callable[[], Iterator[int]], turns: int) -> Trial:
    done = [_turn(start()) for _ in range(turns)]
    last = done[-1]
    return Trial(
        work,
        last.items,
        last.size_bytes,
        statistics.median(turn.wall_s for turn in done),
        statistics.median(turn.cpu_s for turn in done),
        statistics.median(turn.first_s for turn in done),
    )


def _turn(sizes: Iterator[int]) -> _Turn:
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
