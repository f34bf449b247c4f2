"""Members of a tar shard -> samples; samples -> samples that all have the same fields.

Key and field. A member's name is cut at the first dot of its last part: `train/0001.left.png` is
field "left.png" of the sample with key "train/0001", whose basename is "0001". Members are grouped
by the full key, so `a/1.jpg` and `b/1.jpg` stay apart; a leading "./" does not count.

Not part of any sample, and passed over: directories, devices and FIFOs; names whose last part has
no dot or nothing behind it (`README`); names whose last part begins with a dot (`.DS_Store`, and
`._0001.jpg`, which macOS adds). A link with a field's name is an error and not passed over: its
data is elsewhere, and GNU tar writes a hard link wherever it meets a file for the second time.

Members of one sample are adjacent. So one sample is held at a time, and a key that comes back later
is an error, since its sample is already gone. To see that, the keys of one shard are remembered:
about 0.1 KB a sample, forgotten at the shard's end.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NoReturn

import msgspec

from aisio.compression import MAGIC_BYTES, Decompressed, ReadIntoStream, compression_of
from aisio.errors import ConfigError, ShardError, StorageError
from aisio.stats import here
from aisio.tar import END, NEED_DATA, TarMember, TarParser

__all__ = [
    "FieldPadder",
    "Sample",
    "ShardPass",
    "ZeroDict",
    "read_samples",
    "split_name",
]


class Sample(msgspec.Struct, frozen=True):
    """One sample of a shard.

    Attributes:
        url: The shard's URL.
        key: The path of its members in the shard up to the first dot of the last part.
        basename: The key without folders.
        fields: Extension -> payload, in the order of the members.
        offset: Byte of the shard where its first member begins.
    """

    url: str
    key: str
    basename: str
    fields: dict[str, bytes]
    offset: int


class ZeroDict(dict[str, bytes]):
    """The fields of a sample, b"" for those it lacks, so that torch's default collate takes it.

    A plain dict otherwise: other keys are a KeyError, and it pickles and copies as itself.

    Args:
        contents: Field -> payload.
        keys: The fields to have; they come first and in this order, whatever the order in contents.
    """

    __slots__ = ()

    def __init__(self, contents: Mapping[str, bytes], keys: Iterable[str] = ()) -> None:
        super().__init__(dict.fromkeys(keys, b""))
        self.update(contents)


def split_name(name: str) -> tuple[str, str] | None:
    """Split a member's name into sample key and extension.

    Returns:
        Key with folders, and extension without its first dot; None for a name of no sample.
    """
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    dot = name.find(".", name.rfind("/") + 1)
    key, extension = name[:dot], name[dot + 1 :]
    if dot < 0 or not extension or not key or key.endswith("/"):
        return None
    return key, extension


def read_samples(
    stream: ReadIntoStream,
    *,
    url: str,
    keys: Collection[str] | None = None,
    interleaved: bool = False,
    reader: str = "",
) -> Iterator[Sample]:
    """Read a tar shard from start to end, holding one sample and one buffer; see ShardPass."""
    shard = ShardPass(stream, url=url, keys=keys, interleaved=interleaved, reader=reader)
    return shard.samples()


class ShardPass:
    """One pass over one shard, from its start to its end.

    Args:
        stream: The shard's bytes, as a tar or as a compressed one (`aisio.compression`); it is read
            to its end, which is where it verifies itself, and not closed.
        url: The shard's URL.
        keys: Copy only these fields; others are left out, but a sample without any of these is not.
        interleaved: Members of a sample may stand anywhere: collect the whole shard in memory, then
            give its samples in the order of their first members.
        reader: Name of the class that reads, to begin the text of errors with.
    """

    def __init__(
        self,
        stream: ReadIntoStream,
        *,
        url: str,
        keys: Collection[str] | None = None,
        interleaved: bool = False,
        reader: str = "",
    ) -> None:
        self._stream = stream
        self._url = url
        self._name = url  # in the text of errors
        self._keys = keys
        self._interleaved = interleaved
        self._reader = reader
        self._parser = TarParser(url)
        self._begun: set[str] = set()
        self._given = 0
        self._parsing_since = perf_counter()
        self._refused = ""  # key of the sample that a member was refused for

    def samples(self) -> Iterator[Sample]:
        """Yield samples in the order of the shard.

        Each comes once everything that belongs to it has been seen, the last one after the end.

        Raises:
            ShardError: The shard is cut, damaged or not a tar; a member is a link; a key comes back
                after other samples (unless interleaved), or has a field twice.
        """
        try:
            self._begin_stream()
            for sample in self._collected() if self._interleaved else self._adjacent():
                here().parse_s += perf_counter() - self._parsing_since
                yield sample
                self._parsing_since = perf_counter()
        except ShardError as error:
            if not self._reader:
                raise
            text = f"<{self._reader}> {error}"
            raise ShardError(text, url=self._url, offset=error.offset) from error

    def count_lost(self) -> int | None:
        """Count the samples that were not given, once samples() has raised; reads the rest.

        Returns:
            None where the rest cannot be read on: only after a member was refused it can.
        """
        if not self._refused:
            return None
        keys = self._begun | {self._refused}
        try:
            self._parser.skip_payload()
            for member in self._tar_members():
                self._parser.skip_payload()
                split = split_name(member.name)
                if split is not None and member.kind not in ("directory", "other"):
                    keys.add(split[0])
        except (ShardError, StorageError):
            return None
        return len(keys) - self._given

    def _begin_stream(self) -> None:
        start = b""
        while len(start) < MAGIC_BYTES:
            piece = memoryview(bytearray(MAGIC_BYTES - len(start)))
            count = self._stream.readinto(piece)
            if not count:
                break
            start += bytes(piece[:count])
        kind = compression_of(start)
        if not kind:
            self._parser.feed(start)
            return
        self._stream = Decompressed(kind, start, self._stream, self._url)
        self._name = f"{self._url} ({kind}; bytes are counted unpacked)"
        self._parser = TarParser(self._name)

    def _adjacent(self) -> Iterator[Sample]:
        sample: Sample | None = None
        for member, key, extension in self._members():
            if sample is None or key != sample.key:
                if sample is not None:
                    self._given += 1
                    yield sample
                if key in self._begun:
                    self._fail_closed(member, key)
                sample = self._begin(member, key)
            self._add(sample, member, extension)
        if sample is not None:
            self._given += 1
            yield sample

    def _collected(self) -> Iterator[Sample]:
        samples: dict[str, Sample] = {}
        for member, key, extension in self._members():
            sample = samples.get(key)
            if sample is None:
                sample = samples[key] = self._begin(member, key)
            self._add(sample, member, extension)
        for key in list(samples):
            self._given += 1
            yield samples.pop(key)

    def _begin(self, member: TarMember, key: str) -> Sample:
        self._begun.add(key)
        return Sample(self._url, key, key[key.rfind("/") + 1 :], {}, member.offset)

    def _add(self, sample: Sample, member: TarMember, extension: str) -> None:
        if extension in sample.fields:
            self._refuse(
                member,
                sample.key,
                f"sample {sample.key!r} has the field {extension!r} twice, again in"
                f" member {member.name!r} at byte {member.offset}; one of the two would be lost"
                " (with interleaved=True as well): repack the shard",
            )
        if self._keys is None or extension in self._keys:
            sample.fields[extension] = self._payload()
        else:
            self._parser.skip_payload()

    def _fail_closed(self, member: TarMember, key: str) -> NoReturn:
        self._refuse(
            member,
            key,
            f"sample {key!r} comes back in member {member.name!r} at byte"
            f" {member.offset}, after other samples; its members are not adjacent: pass"
            " interleaved=True, which collects a whole shard in memory, or repack the shard sorted",
        )

    def _members(self) -> Iterator[tuple[TarMember, str, str]]:
        """Give the members that belong to samples, with key and extension."""
        for member in self._tar_members():
            split = split_name(member.name)
            if split is None or member.kind in ("directory", "other"):
                self._parser.skip_payload()
                continue
            if member.kind != "file":
                self._fail_link(member, split[0])
            yield member, split[0], split[1]

    def _tar_members(self) -> Iterator[TarMember]:
        parser = self._parser
        while (event := parser.next_event()) is not END:
            if event is NEED_DATA:
                self._fill()
                continue
            assert isinstance(event, TarMember)
            yield event

    def _fail_link(self, member: TarMember, key: str) -> NoReturn:
        self._refuse(
            member,
            key,
            f"member {member.name!r} at byte {member.offset} is a {member.kind} to"
            f" {member.link_name!r}: its data is not here; repack the shard with"
            " `tar --dereference --hard-dereference`",
        )

    def _refuse(self, member: TarMember, key: str, why: str) -> NoReturn:
        self._refused = key
        raise ShardError(f"{self._name}: {why}", url=self._url, offset=member.offset)

    def _payload(self) -> bytes:
        while (payload := self._parser.read_payload()) is NEED_DATA:
            self._fill()
        return payload

    def _fill(self) -> None:
        here().parse_s += perf_counter() - self._parsing_since
        count = self._stream.readinto(self._parser.get_buffer())
        self._parsing_since = perf_counter()
        if count:
            self._parser.buffer_updated(count)
        else:
            self._parser.finish()


@dataclass(frozen=True, slots=True)
class FieldPadder:
    """Gives all samples the same fields in the same order: b"" stands for what a sample lacks.

    Attributes:
        keys: The fields to give, in this order; others are dropped. None learns them from the first
            samples, in alphabetical order, before any is given; a field that is met only later is
            added from that sample on, with a warning.
        look_ahead_samples: Learn from at most so many samples ...
        look_ahead_bytes: ... and stop at the one that fills so many bytes.
    """

    keys: Sequence[str] | None = None
    look_ahead_samples: int = 100
    look_ahead_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        if isinstance(self.keys, str):
            raise ConfigError(f"keys={self.keys!r}: a sequence of field names is needed, not one")
        if self.keys is not None:
            object.__setattr__(self, "keys", tuple(self.keys))
        if self.look_ahead_samples < 1 or self.look_ahead_bytes < 1:
            raise ConfigError(f"{self}: the look-ahead must be at least one sample and one byte")

    def pad(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Pad samples; the fields are learned anew for each call, and kept across shards within it.

        Args:
            samples: Those of any number of shards, in order.

        Yields:
            The same samples in the same order, their fields in a ZeroDict. What was read before an
            error in the look-ahead is given before that error is raised.
        """
        return self._learn(iter(samples)) if self.keys is None else self._select(samples, self.keys)

    def _select(self, samples: Iterable[Sample], keys: Sequence[str]) -> Iterator[Sample]:
        for sample in samples:
            fields = sample.fields
            yield _with_fields(sample, ZeroDict({key: fields.get(key, b"") for key in keys}))

    def _learn(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        ahead: deque[Sample] = deque()
        failure: Exception | None = None
        try:
            self._fill(ahead, samples)
        except Exception as error:  # raised again below, when its turn has come
            failure = error
        keys = tuple(sorted({key for sample in ahead for key in sample.fields}))
        while ahead:
            sample = ahead.popleft()
            yield _with_fields(sample, ZeroDict(sample.fields, keys))
        if failure is not None:
            raise failure
        known = set(keys)
        for sample in samples:
            if not known.issuperset(sample.fields):
                for key in sorted(sample.fields.keys() - known):
                    _warn_newcomer(sample, key)
                known.update(sample.fields)
                keys = tuple(sorted(known))
            yield _with_fields(sample, ZeroDict(sample.fields, keys))

    def _fill(self, ahead: deque[Sample], samples: Iterator[Sample]) -> None:
        size_bytes = 0
        while len(ahead) < self.look_ahead_samples and size_bytes < self.look_ahead_bytes:
            sample = next(samples, None)
            if sample is None:
                return
            ahead.append(sample)
            size_bytes += sum(map(len, sample.fields.values()))


def _with_fields(sample: Sample, fields: ZeroDict) -> Sample:
    return Sample(sample.url, sample.key, sample.basename, fields, sample.offset)


def _warn_newcomer(sample: Sample, key: str) -> None:
    warnings.warn(
        f"{sample.url}: sample {sample.key!r} has the field {key!r}, which none before it had:"
        " batches before and after it differ in their fields; pass keys= with all fields there are",
        stacklevel=3,
    )
