"""AISMultiShardStream: the members of several streams of tar shards, one of each at a time.

Name and first argument are those of the official `aistore.pytorch`; what aisio adds is
keyword-only. The constructor has more than 8 arguments for that reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from aisio.errors import ConfigError, ShardError
from aisio.escapes import one_line
from aisio.extras import missing_extra
from aisio.forks import this_process
from aisio.patterns.name_patterns import Patterns
from aisio.shards.names import ShardNames
from aisio.shards.prefetch import Prefetch, Shard
from aisio.sources.source_set import SourceSet
from aisio.training.data_shard import DataShard
from aisio.training.member_stream import (
    Match,
    MemberStream,
    MemberZip,
    Places,
    places_of,
    require_match,
)
from aisio.training.shard_links import linked_shard
from aisio.training.shard_reader import PREFETCH_BYTES
from aisio.training.split import Partition, equal_count
from aisio.training.split_dataset import ListedObject, SplitDataset
from aisio.training.split_options import Equalize, Ranks, Split, SplitOptions
from aisio.training.stateful_iteration import after_error, check_patterns, patterns_state
from aisio.training.whole_number import whole_number

try:
    from torch.utils.data import IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["AISMultiShardStream", "SplitBy"]

SplitBy: TypeAlias = Literal["member", "shard"]
"""What ranks and workers divide: the positions of all members, or the shards."""

_log = logging.getLogger("aisio.shard_reader")


class _Step(NamedTuple):
    """What is yielded, and where the streams stand then; () for what "pad" repeats."""

    item: tuple[Any, ...]
    places: Places


class AISMultiShardStream(SplitDataset, IterableDataset[tuple[Any, ...]]):
    """Members of several streams in step: the n-th of each, as a tuple of bytes.

    A stream is the files of its shards, in the order of the listing and of each archive, whatever
    their names are. Each shard is one request, streamed, verified, and the beginnings of the next
    ones are read ahead.

    Args:
        data_sources: The streams: `DataShard`s, of aisio or of the official package, or URLs and
            anything else that `DataShard.from_url` takes.
        strict: Streams of unequal length are an error at the end of the shortest. False ends with
            the shortest, and logs what was left.
        with_names: Yield (name, bytes) of each member, in place of its bytes.
        match: Members that are yielded together must have the same "key", which is the path up to
            the first dot of the last part, or the same "basename", which is the key without
            folders. None compares nothing.
        split_by: "member": of all positions, each rank and worker yields every n-th, and reads all
            streams for that. "shard": each reads whole shards, the n-th of each stream together;
            these must have as many members.
        show_progress: Count on stderr, if that is a terminal, what each worker yields.
        prefetch_bytes: Maximum number of bytes held of the next shards of all streams; 0 opens a
            shard only when the one before it has ended.
        length: What `len()` returns; by default there is no length: see `count` and
            `count_batches`.
        split: What divides the dataset: "rank+worker"; "worker", which is ranks=None; or "none",
            where each worker reads all.
        ranks: Which rank this is, as `aisio.Loader` takes it. None, where each rank reads all.
        equalize: "drop" leaves out fewer tuples than there are ranks, so that all ranks make as
            many batches, in DataLoaders with the same arguments; "pad" repeats as few. "none" does
            neither.
        shard_names: Which objects of a listing are shards, by the last part of their names: a
            pattern, or several; by default those that end as tar files do.
        include: Patterns for names, as in "train/*": only shards that match one are read; see
            `aisio.patterns.name_patterns`.
        exclude: Patterns for names: shards that match one are left out.

    Raises:
        ValueError: No stream.
        NotFoundError: At iteration: a bucket or shard does not exist, or a stream has no shard.
        ConfigError: An argument has no such value, or two of them do not fit.
        ShardError: At iteration: a shard is cut, damaged or not a tar; a member is a symbolic link,
            or a hard link to nothing; streams are of unequal length, or members do not match.
        IntegrityError: At iteration: the bytes are not the ones the store promised.
    """

    LISTED = "shard"
    YIELDED = "tuple"

    def __init__(
        self,
        data_sources: Sequence[Any],
        *,
        strict: bool = True,
        with_names: bool = False,
        match: Match | None = None,
        split_by: SplitBy = "member",
        show_progress: bool = False,
        prefetch_bytes: int = PREFETCH_BYTES,
        length: int | None = None,
        split: Split = "rank+worker",
        ranks: Ranks = "auto",
        equalize: Equalize = "none",
        shard_names: str | Sequence[str] | None = None,
        include: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        owner = type(self).__name__
        self._strict = bool(strict)
        self._with_names = bool(with_names)
        require_match(match)
        self._match = match
        self._by_shard = _is_by_shard(split_by, strict=self._strict, equalize=equalize)
        self._prefetch_bytes = whole_number("prefetch_bytes", prefetch_bytes, 0)
        streams = _streams(data_sources, owner)
        self._etl_names = [stream.etl_name for stream in streams]
        self._labels = [
            f"<{owner}> stream {number} ({stream})" for number, stream in enumerate(streams)
        ]
        super().__init__(
            SourceSet(
                [stream.source for stream in streams],
                owner=owner,
                name_filter=ShardNames(shard_names),
                include=include,
                exclude=exclude,
                may_overlap=True,
            ),
            etl_name=None,
            show_progress=show_progress,
            by_source=False,
            length=length,
            options=SplitOptions(split, ranks, equalize),
        )

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        partition = self.partition()
        split_by = "shard" if self._by_shard else "member"
        begin = partial(self._steps_from, partition)
        return _Iteration(begin, [*astuple(partition), split_by], self._sources.patterns)

    def _steps_from(self, partition: Partition, yielded: int, places: Places) -> Iterator[_Step]:
        """Return a partition's steps behind so many, the last of which had these places."""
        if yielded and not places:
            return iter(())  # that was what "pad" repeats, at the end
        self._require_listed(partition, places)
        return self._counted(self._steps(partition, yielded, places))

    def _steps(self, partition: Partition, yielded: int, places: Places) -> Iterator[_Step]:
        with self._open_zip(partition, places) as members:
            if places:
                _go_to(members, places)
            if self._by_shard:
                while members.advance():
                    yield self._step(members)
            else:
                yield from self._every_nth(members, partition, yielded)

    def _every_nth(self, members: MemberZip, partition: Partition, yielded: int) -> Iterator[_Step]:
        """Yield the steps at this partition's positions, behind so many of them."""
        position = partition.first + partition.step * (yielded - 1) if yielded else -1
        held: _Step | None = None
        while members.advance():
            position += 1
            if position % partition.step == partition.first:
                held = self._step(members)
            is_round_complete = (position + 1) % partition.ranks == 0
            if held is not None and (is_round_complete or self._equalize != "drop"):
                yield held
                held = None
        self._end(members, position + 1, partition)
        total = position + 1
        count = equal_count(total, partition.ranks, self._equalize)
        padded = range(total, count)
        for position in padded:
            if position % partition.step == partition.first:
                yield self._repeated(position % total, partition)

    def _repeated(self, position: int, partition: Partition) -> _Step:
        """Return what is at a position, read once more from the beginning."""
        with self._open_zip(partition, ()) as members:
            for _ in range(position + 1):
                members.advance()
            return _Step(self._step(members).item, ())

    def _step(self, members: MemberZip) -> _Step:
        contents, places = members.read(), members.places()
        if not self._with_names:
            return _Step(contents, places)
        named = ((place.name, data) for place, data in zip(places, contents, strict=True))
        return _Step(tuple(named), places)

    def _end(self, members: MemberZip, total: int, partition: Partition) -> None:
        """Raise, or log, that streams are of unequal length."""
        uneven = members.uneven_end()
        if not uneven:
            return
        if self._strict:
            last = next(place for stream in members.streams if (place := stream.place))
            raise ShardError(
                f"<{type(self).__name__}> the streams are of unequal length, {total:,} members in"
                f" the shortest: {uneven}: repack them, or strict=False ends with the shortest",
                url=last.url,
            )
        if not partition.worker:
            left = ", ".join(
                f"{sum(1 for _ in self._rows(number, partition, stream.place.shard + 1)):,} more"
                f" shards of stream {number}"
                for number, stream in enumerate(members.streams)
                if stream.place is not None
            )
            _log.warning("%s; the rest of that shard and %s were not read", uneven, left)

    @contextmanager
    def _open_zip(self, partition: Partition, places: Places) -> Iterator[MemberZip]:
        """Open the streams at the shards of some places, or at their first ones."""
        with ExitStack() as stack:
            streams: list[MemberStream] = []
            for number, label in enumerate(self._labels):
                first = places[number].shard if places else 0
                shards: Iterable[Shard] = self._shards_of(number, partition, first)
                if self._prefetch_bytes:
                    limit = max(1, self._prefetch_bytes // len(self._labels))
                    shards = stack.enter_context(Prefetch(shards, limit))
                streams.append(MemberStream(label, shards, first))
            zipped = MemberZip(
                streams, by_shard=self._by_shard, match=self._match, owner=type(self).__name__
            )
            yield stack.enter_context(zipped)

    def _shards_of(self, number: int, partition: Partition, first: int) -> Iterator[Shard]:
        """List what this process reads of a stream, from one of its shards on."""
        rows = self._rows(number, partition, first)
        if self._by_shard and number == 0 and not first:
            rows = self._my_share(partition)  # which warns if there is nothing
        for source, info in rows:
            yield linked_shard(source, info, self._etl_names[number])

    def _rows(self, number: int, partition: Partition, first: int) -> Iterator[ListedObject]:
        start, step = (partition.first, partition.step) if self._by_shard else (0, 1)
        return self._listing.rows(number + 1, start + first * step, step)

    def _list_share(self, partition: Partition) -> Iterator[ListedObject]:
        return self._rows(0, partition, 0)

    def _require_listed(self, partition: Partition, places: Places) -> None:
        """Refuse places in shards that are not where they were."""
        if places and len(places) != len(self._labels):
            raise ConfigError(
                f"the state is of {len(places)} streams, and these are {len(self._labels)}"
            )
        for number, place in enumerate(places):
            found = next(self._rows(number, partition, place.shard), None)
            if found is None or found[1].url != place.url:
                there = one_line(found[1].url) if found is not None else "nothing"
                raise ConfigError(
                    f"the state is of other data: {self._labels[number]} stood at {place}, and has"
                    f" {there} as its shard {place.shard}: begin the epoch anew"
                )

    def _count(self, partition: Partition) -> int:
        """Count the tuples of a partition, by a pass over its shards that keeps nothing."""
        if not self._by_shard and partition != Partition():
            total = self._count_once(Partition())
            count = equal_count(total, partition.ranks, self._equalize)
            return len(range(partition.first, count, partition.step))
        with self._open_zip(partition, ()) as members:
            count = 0
            while members.advance():
                count += 1
            self._end(members, count, partition)
        return count


class _Iteration(Iterator[tuple[Any, ...]]):
    """Counts the tuples that an iteration yields, and begins it anew behind so many, or an error.

    Args:
        begin: Begins the iteration behind so many tuples, the last of which had these places.
        partition: Rank and worker of this process, and what they divide.
        patterns: See `SourceSet.patterns`.
    """

    def __init__(
        self,
        begin: Callable[[int, Places], Iterator[_Step]],
        partition: list[int | str],
        patterns: str,
    ) -> None:
        self._begin = begin
        self._patterns = patterns
        self._partition = partition
        self._yielded = 0
        self._places: Places = ()
        self._steps = begin(0, ())
        self._process = this_process()

    def __next__(self) -> tuple[Any, ...]:
        try:
            item, self._places = next(self._steps)
        except BaseException as error:
            begin = partial(self._begin, self._yielded, self._places)
            self._steps = after_error(error, self._steps, self._process, begin)
            raise
        self._yielded += 1
        return item

    def state_dict(self) -> dict[str, Any]:
        """Return how many tuples were yielded, where the last one's members are, and to whom."""
        return {
            "yielded": self._yielded,
            "places": [list(place) for place in self._places],
            "partition": self._partition,
            **patterns_state(self._patterns),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the iteration of the same rank and worker stood.

        The shards before are not read; those that were under way are read from their beginning.

        Raises:
            ConfigError: The state is of another rank or worker, or of other numbers of them; of
                other streams or patterns; or shards have come or gone since. At the next tuple:
                members have.
        """
        if state.get("partition") != self._partition:
            raise ConfigError(
                "the state is of (rank, ranks, worker, workers, split_by)"
                f" {state.get('partition')}, and this is {self._partition}: StatefulDataLoader can"
                " go on with the same alone"
            )
        check_patterns(state, self._patterns)
        yielded = whole_number("yielded", state.get("yielded"), 0)
        places = places_of(state.get("places"))
        self._steps = self._begin(yielded, places)
        self._yielded, self._places = yielded, places


def _go_to(members: MemberZip, places: Places) -> None:
    """Go to some places, in shards that are the first of their streams now."""
    for stream, place in zip(members.streams, places, strict=True):
        while stream.advance() and (now := stream.place) and now.member < place.member:
            if now.shard != place.shard:
                break
        if stream.place != place:
            raise ConfigError(
                f"the state is of other data: {stream.label} stood at {place}, and has"
                f" {stream.place or 'nothing'} there: begin the epoch anew"
            )


def _is_by_shard(split_by: SplitBy, *, strict: bool, equalize: Equalize) -> bool:
    if split_by not in get_args(SplitBy):
        raise ConfigError(f'split_by={split_by!r}: "member" or "shard" is needed')
    if split_by == "shard" and not strict:
        raise ConfigError(
            "split_by='shard' needs shards of equal length: strict=False is not for it"
        )
    if split_by == "shard" and equalize != "none":
        raise ConfigError(
            f"equalize={equalize!r} makes ranks equal by members, and split_by='shard' gives them"
            " whole shards: leave one of them out"
        )
    return split_by == "shard"


def _streams(data_sources: Any, owner: str) -> list[DataShard]:
    single = isinstance(data_sources, (str, bytes, DataShard)) or not isinstance(
        data_sources, Iterable
    )
    if single:
        raise ConfigError(
            f"<{owner}> data_sources={data_sources!r}: a list of DataShards is needed, one for each"
            " stream"
        )
    streams = [DataShard.of(one) for one in data_sources]
    if not streams:
        raise ValueError(f"<{owner}> data_sources must be provided")
    return streams
