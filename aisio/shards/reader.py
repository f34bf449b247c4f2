"""ShardPass: the members of a tar shard as samples.

Key and field. A member's name is cut at the first dot of its last part: `train/0001.left.png` is
field "left.png" of the sample with key "train/0001", whose basename is "0001". Members are grouped
by the full key, so `a/1.jpg` and `b/1.jpg` stay apart; a leading "./" does not count.

Members that belong to no sample are skipped: directories, devices and FIFOs; names whose last part
has no dot, or nothing after it (`README`); names whose last part begins with a dot (`.DS_Store`,
and `._0001.jpg`, which macOS adds). A shard with no other files is an error. A wanted field must be
a plain file. The holes of a sparse file are read as zeros. A hard link, which tar writes where it
meets a file for the second time, is read as that file, see `aisio.shards.linked_files`. A symbolic
link is an error, as its data is elsewhere. Members of unknown types are passed over, with one line
of log, if they have no data, or no name of a field.

The members of a sample are adjacent, so memory holds one sample at a time. A key that comes back
later is an error, as its sample has been yielded. To detect that, the pass remembers the keys of
the shard, about 0.1 KB a sample, until the shard's end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from io import BytesIO
from time import perf_counter
from typing import NoReturn

from aisio.errors import ShardError, StorageError
from aisio.formats.decompress import ReadIntoStream
from aisio.formats.tar import TarMember, TarParser
from aisio.formats.tar_part import TarPart
from aisio.shards.linked_files import Links
from aisio.shards.samples import Sample, split_name
from aisio.shards.tar_stream import TarStream
from aisio.stats import thread_counters

__all__ = ["ShardPass", "has_content", "read_part", "read_samples", "why_no_field"]


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


def read_part(
    part: TarPart,
    *,
    url: str,
    keys: Collection[str] | None = None,
    links: Links | None = None,
) -> Iterator[Sample]:
    """Read whole samples, neighbours in a shard, that are in memory.

    Args:
        part: Stands at the first header of the first sample.
        url: The shard's URL.
        keys: See `ShardPass`.
        links: See `ShardPass`.

    Raises:
        ShardError: As from `ShardPass.samples`, without what concerns a whole shard.
    """
    return ShardPass(BytesIO(), url=url, keys=keys, parser=part, links=links).adjacent()


class ShardPass:
    """One pass over one shard, from its start to its end.

    More than 10 attributes: seven are the options of the pass.

    Args:
        stream: The shard's bytes, as a tar or as a compressed one (`aisio.formats.decompress`). It
            is read to its end, where it verifies itself, and not closed.
        url: The shard's URL.
        keys: Copy only these fields. Others are left out; a sample that has none of these is not.
        payloads: False yields b"" for each field, to count samples; errors are the same, but for
            hard links, which are not looked up.
        interleaved: Accept samples whose members are not adjacent: collect the whole shard in
            memory, then yield its samples in the order of their first members.
        reader: Name of the class that reads, to begin the text of errors with.
        on_member: Called with each member that belongs to a sample, and the sample's key, before
            its payload is read.
        parser: Has bytes of the shard that come before those of the stream; by default a new one.
        links: Reads what hard links stand for; without it, and in compressed shards, that must be
            in the same sample, or a small file not long before.

    Attributes:
        yielded: Number of samples that were yielded.
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
        on_member: Callable[[TarMember, str], None] | None = None,
        parser: TarParser | None = None,
        links: Links | None = None,
    ) -> None:
        self._tar = TarStream(stream, url, parser)
        self._keys = keys
        self._payloads = payloads
        self._interleaved = interleaved
        self._reader = reader
        self._on_member = on_member
        self._links = links
        self._first_stray: TarMember | None = None  # a file that belongs to no sample
        self._stray_count = 0
        self._seen_keys: set[str] = set()
        self.yielded = 0
        self._refused_key = ""  # of the sample whose member ended the pass

    @property
    def parser(self) -> TarParser:
        """The parser of the shard, after decompression."""
        return self._tar.parser

    @property
    def is_compressed(self) -> bool:
        """Whether the shard is compressed; known once its first bytes have been read."""
        return self._tar.is_compressed

    def samples(self) -> Iterator[Sample]:
        """Yield samples in the order of the shard.

        A sample comes once all its members have been read, the last one after the shard's end.

        A shard without any file gives a warning.

        Raises:
            ShardError: The shard is cut, damaged or not a tar; it has files, and none belongs to a
                sample; a wanted member is a link or unreadable; a key comes back after other
                samples (unless interleaved), or has a field twice.
        """
        tar = self._tar
        try:
            tar.detect_compression()
            for sample in self._interleaved_samples() if self._interleaved else self.adjacent():
                thread_counters().parse_s += perf_counter() - tar.parsing_since
                yield sample
                tar.parsing_since = perf_counter()
            if not self._seen_keys:
                self._report_no_sample()
        except ShardError as error:
            if not self._reader:
                raise
            text = f"<{self._reader}> {error}"
            raise ShardError(text, url=tar.url, offset=error.offset) from error

    def count_lost(self) -> int | None:
        """Count the samples that were not yielded, after samples() has raised; reads the rest.

        Returns:
            None if the rest cannot be read. It can be read only after a member was refused.
        """
        if not self._refused_key:
            return None
        keys = self._seen_keys | {self._refused_key}
        try:
            self._tar.parser.skip_payload()
            for _, key, _ in self._members():
                self._tar.parser.skip_payload()
                keys.add(key)
        except (ShardError, StorageError):
            return None
        return len(keys) - self.yielded

    def adjacent(self) -> Iterator[Sample]:
        """Yield samples whose members are adjacent, of a plain tar; errors as for `samples`."""
        sample: Sample | None = None
        for member, key, extension in self._members():
            if sample is None or key != sample.key:
                if sample is not None:
                    self.yielded += 1
                    yield sample
                if key in self._seen_keys:
                    self._refuse_returning_key(member, key)
                sample = self._start_sample(member, key)
            self._add_field(sample, member, extension)
        if sample is not None:
            self.yielded += 1
            yield sample

    def _interleaved_samples(self) -> Iterator[Sample]:
        samples: dict[str, Sample] = {}
        for member, key, extension in self._members():
            sample = samples.get(key)
            if sample is None:
                sample = samples[key] = self._start_sample(member, key)
            self._add_field(sample, member, extension)
        for key in list(samples):
            self.yielded += 1
            yield samples.pop(key)

    def _members(self) -> Iterator[tuple[TarMember, str, str]]:
        """Yield the members that belong to samples, with key and extension."""
        tar = self._tar
        parser = tar.parser
        while (event := tar.next_member()) is not None:
            if event.kind != "file" and not has_content(event):
                if event.unknown_type:
                    tar.pass_over(event)
                continue
            split = split_name(event.name)
            if split is None:
                parser.skip_payload()
                if event.unknown_type:
                    tar.pass_over(event)
                self._first_stray = self._first_stray or event
                self._stray_count += 1
                continue
            if self._on_member is not None:
                self._on_member(event, split[0])
            yield event, split[0], split[1]
        tar.log_passed_over()

    def _start_sample(self, member: TarMember, key: str) -> Sample:
        self._seen_keys.add(key)
        return Sample(self._tar.url, key, key[key.rfind("/") + 1 :], {}, member.offset)

    def _add_field(self, sample: Sample, member: TarMember, extension: str) -> None:
        if extension in sample.fields:
            self._refuse(
                member,
                sample.key,
                f"sample {sample.key!r} has the field {extension!r} twice, again in"
                f" member {member.name!r} at byte {member.offset}; one of the two would be lost"
                " (with interleaved=True as well): repack the shard",
            )
        tar = self._tar
        if self._keys is not None and extension not in self._keys:
            sample.left_out.append(extension)
            tar.parser.skip_payload()
        elif member.kind == "file":
            if self._payloads:
                sample.fields[extension] = tar.read_file(member)
            else:
                sample.fields[extension] = b""
                tar.parser.skip_payload()
        elif member.kind == "sparse":
            content = tar.read(tar.parser.read_sparse)
            sample.fields[extension] = content if self._payloads else b""
        elif member.kind == "hardlink":
            sample.fields[extension] = self._linked(sample, member)
        else:
            self._refuse(member, sample.key, why_no_field(member))

    def _linked(self, sample: Sample, link: TarMember) -> bytes:
        """Return what a hard link stands for; b"" if payloads are not wanted."""
        split = split_name(link.link_name)
        if split is not None and split[0] == sample.key and split[1] in sample.fields:
            return sample.fields[split[1]]
        if not self._payloads:
            return b""
        try:
            content = self._tar.read_linked(link, self._links)
        except ShardError as error:
            self._refuse(link, sample.key, f"{why_no_field(link)} ({error})")
        if content is None:
            self._refuse(link, sample.key, why_no_field(link))
        return content

    def _refuse_returning_key(self, member: TarMember, key: str) -> NoReturn:
        self._refuse(
            member,
            key,
            f"sample {key!r} comes back in member {member.name!r} at byte"
            f" {member.offset}, after other samples; its members are not adjacent: pass"
            " interleaved=True, which collects a whole shard in memory, or repack the shard sorted",
        )

    def _refuse(self, member: TarMember, key: str, why: str) -> NoReturn:
        self._refused_key = key
        raise ShardError(f"{self._tar.name}: {why}", url=self._tar.url, offset=member.offset)

    def _report_no_sample(self) -> None:
        name, stray = self._tar.name, self._first_stray
        if stray is None:
            reader = f"<{self._reader}> " if self._reader else ""
            warnings.warn(f"{reader}{name}: a shard without files: no sample", stacklevel=2)
            return
        raise ShardError(
            f"{name}: no sample: none of its {self._stray_count} files has a name of the form"
            f" KEY.EXTENSION; the first is {stray.name!r} at byte {stray.offset}",
            url=self._tar.url,
            offset=stray.offset,
        )


def has_content(member: TarMember) -> bool:
    """Return whether a member stands for the content of a file, stored in it or elsewhere."""
    return member.kind not in ("directory", "other") or bool(member.unreadable)


def why_no_field(member: TarMember) -> str:
    """Return why the data of a member cannot be read, and what to do about it."""
    if member.unreadable:
        return member.describe_unreadable()
    return (
        f"member {member.name!r} at byte {member.offset} is a {member.kind} to"
        f" {member.link_name!r}: its data is not here; repack the shard with"
        " `tar --dereference --hard-dereference`"
    )
