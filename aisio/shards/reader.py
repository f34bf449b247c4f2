"""Members of a tar shard -> samples; samples -> samples that all have the same fields.

Key and field. A member's name is cut at the first dot of its last part: `train/0001.left.png` is
field "left.png" of the sample with key "train/0001", whose basename is "0001". Members are grouped
by the full key, so `a/1.jpg` and `b/1.jpg` stay apart; a leading "./" does not count.

Not part of any sample, and passed over: directories, devices and FIFOs; names whose last part has
no dot or nothing behind it (`README`); names whose last part begins with a dot (`.DS_Store`, and
`._0001.jpg`, which macOS adds). A shard of such files alone is an error. A wanted field must be a
file as it stands: a link is an error, as its data is elsewhere (GNU tar writes a hard link wherever
it meets a file for the second time). The holes of a sparse file are read as zeros.

Members of one sample are adjacent. So one sample is held at a time, and a key that comes back later
is an error, since its sample is already gone. To see that, the keys of one shard are remembered:
about 0.1 KB a sample, forgotten at the shard's end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from time import perf_counter
from typing import Literal, NoReturn

from aisio.errors import ShardError, StorageError
from aisio.escapes import one_line
from aisio.formats.decompress import (
    MAGIC_BYTES,
    Decompressed,
    ReadIntoStream,
    compression_of,
)
from aisio.formats.tar import (
    END,
    NEED_DATA,
    Signal,
    TarMember,
    TarParser,
)
from aisio.shards.samples import Sample, split_name
from aisio.stats import thread_counters

__all__ = ["ShardPass", "read_samples"]


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
        stream: The shard's bytes, as a tar or as a compressed one (`aisio.formats.decompress`); it
            is read to its end, which is where it verifies itself, and not closed.
        url: The shard's URL.
        keys: Copy only these fields; others are left out, but a sample without any of these is not.
        payloads: False gives b"" for each field, to count samples; errors are the same.
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
        payloads: bool = True,
        interleaved: bool = False,
        reader: str = "",
    ) -> None:
        self._stream = stream
        self._url = url
        self._name = one_line(url)  # in the text of errors
        self._keys = keys
        self._payloads = payloads
        self._interleaved = interleaved
        self._reader = reader
        self._parser = TarParser(url, give_unreadable=True)
        self._stray: TarMember | None = None  # the first file that belongs to no sample
        self._strays = 0
        self._begun: set[str] = set()
        self._given = 0
        self._parsing_since = perf_counter()
        self._refused = ""  # key of the sample that a member was refused for

    def samples(self) -> Iterator[Sample]:
        """Yield samples in the order of the shard.

        Each comes once everything that belongs to it has been seen, the last one after the end.

        A shard without any file gives a warning.

        Raises:
            ShardError: The shard is cut, damaged or not a tar; it has files, and none belongs to a
                sample; a wanted member is a link or unreadable; a key comes back after other
                samples (unless interleaved), or has a field twice.
        """
        try:
            self._begin_stream()
            for sample in self._collected() if self._interleaved else self._adjacent():
                thread_counters().parse_s += perf_counter() - self._parsing_since
                yield sample
                self._parsing_since = perf_counter()
            if not self._begun:
                self._tell_no_sample()
        except ShardError as error:
            if not self._reader:
                raise
            text = f"<{self._reader}> {error}"
            raise ShardError(text, url=self._url, offset=error.offset) from error

    def _tell_no_sample(self) -> None:
        if self._stray is None:
            reader = f"<{self._reader}> " if self._reader else ""
            warnings.warn(f"{reader}{self._name}: a shard without files: no sample", stacklevel=2)
            return
        raise ShardError(
            f"{self._name}: no sample: none of its {self._strays} files has a name of the form"
            f" KEY.EXTENSION; the first is {self._stray.name!r} at byte {self._stray.offset}",
            url=self._url,
            offset=self._stray.offset,
        )

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
                if split is not None and _has_content(member):
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
        self._name = f"{one_line(self._url)} ({kind}; bytes are counted unpacked)"
        self._parser = TarParser(self._name, give_unreadable=True)

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
        if self._keys is not None and extension not in self._keys:
            sample.left_out.append(extension)
            self._parser.skip_payload()
            return
        if member.kind == "sparse":
            content = self._all_of(self._parser.read_sparse)
            sample.fields[extension] = content if self._payloads else b""
        elif member.kind != "file":
            self._refuse(member, sample.key, _why_no_field(member))
        elif self._payloads:
            sample.fields[extension] = self._all_of(self._parser.read_payload)
        else:
            sample.fields[extension] = b""
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
            if not _has_content(member):
                continue
            split = split_name(member.name)
            if split is None:
                self._parser.skip_payload()
                self._stray = self._stray or member
                self._strays += 1
                continue
            yield member, split[0], split[1]

    def _tar_members(self) -> Iterator[TarMember]:
        parser = self._parser
        while (event := parser.next_event()) is not END:
            if event is NEED_DATA:
                self._fill()
                continue
            assert isinstance(event, TarMember)
            yield event

    def _refuse(self, member: TarMember, key: str, why: str) -> NoReturn:
        self._refused = key
        raise ShardError(f"{self._name}: {why}", url=self._url, offset=member.offset)

    def _all_of(self, read: Callable[[], bytes | Literal[Signal.NEED_DATA]]) -> bytes:
        while (payload := read()) is NEED_DATA:
            self._fill()
        return payload

    def _fill(self) -> None:
        thread_counters().parse_s += perf_counter() - self._parsing_since
        count = self._stream.readinto(self._parser.get_buffer())
        self._parsing_since = perf_counter()
        if count:
            self._parser.buffer_updated(count)
        else:
            self._parser.finish()


def _has_content(member: TarMember) -> bool:
    """Say whether a member stands for the content of a file, here or elsewhere."""
    return member.kind not in ("directory", "other") or bool(member.unreadable)


def _why_no_field(member: TarMember) -> str:
    if member.unreadable:
        return member.describe_unreadable()
    return (
        f"member {member.name!r} at byte {member.offset} is a {member.kind} to"
        f" {member.link_name!r}: its data is not here; repack the shard with"
        " `tar --dereference --hard-dereference`"
    )
