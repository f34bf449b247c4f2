"""Get-batch: many objects in one response, as one archive. The protocol without I/O.

    entries ── batch_path, batch_query, batch_message ──> one GET with a JSON body
    response, streaming:  the archive itself (application/x-tar)
    response, multipart:  MultipartResponse -> metadata about each entry, then the archive
    archive ── TarParser ──> member names ── BatchMatcher.match ──> entry by entry, in order

By the protocol there is one member for each entry, in the order of the entries. A live cluster does
less. A streamed archive that fails ends early and looks complete. A missing object may end the
archive, cause a 404, or stand in the archive as an empty member `__404__/name`; which of these
depends on the target that misses it, whatever `continue_on_error` says. For a range beyond an
object's end the whole object may come. So BatchMatcher compares each name and size, and knows which
entries have no member.

Source:
    AIStore 5.0, api/apc/ml.go and xact/xs/moss.go; each deviation was seen on a live cluster.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from aisio.errors import ConfigError, IntegrityError
from aisio.limits import is_whole
from aisio.urls import ObjectUrl
from aisio.wire.decoding import decoding
from aisio.wire.messages import bucket_query

__all__ = [
    "BatchEntry",
    "BatchMatcher",
    "BatchOutcome",
    "MemberMatch",
    "batch_message",
    "batch_path",
    "batch_query",
    "member_name",
    "parse_batch_metadata",
]

BATCH_PATH: Final = "/v1/ml/moss"
MISSING_PREFIX: Final = "__404__/"
MIMES: Final = (".tar", ".tgz", ".tar.gz", ".tar.lz4", ".zip")


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One item of a batch: an object, a member of an archive, or a range of either.

    Attributes:
        url: The object.
        archpath: Path of a member, to fetch one member of an object that is an archive; a leading
            slash is ignored.
        start: First byte, counted from 0.
        length: Number of bytes; 0 (with start 0) for all. A range without a length is not
            supported: a target that falls back on a copy elsewhere sends the whole object, which
            only a known length detects.
        opaque: Any bytes; the multipart form sends them back.
    """

    url: ObjectUrl
    archpath: str = ""
    start: int = 0
    length: int = 0
    opaque: bytes = b""

    def __post_init__(self) -> None:
        self.url.require_object()
        is_range = is_whole(self.start) and is_whole(self.length)
        if not is_range or (self.start and not self.length):
            raise ConfigError(
                f"get-batch {self.url}: start={self.start}, length={self.length} is not a range: "
                "give start >= 0 and length > 0, or neither for the whole"
            )
        if self.archpath.endswith("/"):
            raise ConfigError(
                f"get-batch {self.url}: archpath={self.archpath!r} names a folder of the archive; "
                "name a file in it"
            )


def batch_path(entries: Sequence[BatchEntry]) -> str:
    """Return the path of the request: it names the bucket if all entries are in one.

    Raises:
        ConfigError: No entries.
    """
    shared = _shared_bucket(entries)
    return f"{BATCH_PATH}/{shared.bucket}" if shared else BATCH_PATH


def batch_query(entries: Sequence[BatchEntry], *, colocation: int = 0) -> dict[str, str]:
    """Return the query parameters that go with `batch_path`.

    Args:
        entries: The entries of the batch.
        colocation: 1 lets the target that holds most of the objects assemble the batch; 0 any.
    """
    shared = _shared_bucket(entries)
    query = dict(bucket_query(shared)) if shared else {}
    return query | ({"coloc": str(colocation)} if colocation else {})


def batch_message(
    entries: Sequence[BatchEntry],
    *,
    mime: str = ".tar",
    streaming: bool = True,
    continue_on_error: bool = True,
    only_object_name: bool = False,
    colocation: int = 0,
) -> dict[str, Any]:
    """Return the JSON body of a get-batch request.

    Args:
        entries: The entries of the batch, in order.
        mime: Format of the archive: .tar, .tgz, .tar.gz, .tar.lz4 or .zip.
        streaming: True for the bare archive, which the server sends while it makes it; False for
            the multipart form, which the server completes first and which has each entry's error.
        continue_on_error: Skip missing objects; the server still fails after 8 of them
            (`get_batch.max_soft_errs`).
        only_object_name: Name members by the object only, without its bucket.
        colocation: As for `batch_query`.

    Raises:
        ConfigError: There are no entries, the format is unknown, or the protocol cannot name the
            buckets in one request.
    """
    if mime not in MIMES:
        raise ConfigError(f"get-batch: mime={mime!r}; expected one of {', '.join(MIMES)}")
    whole_bucket = _shared_bucket(entries) is not None
    message: dict[str, Any] = {
        "mime": mime,
        "in": [_wire_entry(entry, with_bucket=not whole_bucket) for entry in entries],
        "coer": continue_on_error,
        "onob": only_object_name,
        "strm": streaming,
    }
    return message | ({"coloc": colocation} if colocation else {})


def _shared_bucket(entries: Sequence[BatchEntry]) -> ObjectUrl | None:
    if not entries:
        raise ConfigError("get-batch: no entries; the server refuses an empty batch")
    first = entries[0].url
    bucket = (first.bucket, first.provider, first.namespace)
    for entry in entries:
        url = entry.url
        if (url.bucket, url.provider, url.namespace) != bucket:
            return None
    return first


def _wire_entry(entry: BatchEntry, *, with_bucket: bool) -> dict[str, Any]:
    # An entry has no bucket if the path names it: entries have no field for a namespace, and the
    # bucket of an entry is in the global namespace.
    url = entry.url
    wire: dict[str, Any] = {"objname": url.name}
    if with_bucket:
        if url.namespace:
            raise ConfigError(
                f"get-batch: {url.root} has a namespace and cannot be asked for together with "
                "other buckets; ask bucket by bucket"
            )
        wire |= {"bucket": url.bucket, "provider": url.provider}
    if entry.archpath:
        wire["archpath"] = entry.archpath.lstrip("/")
    if entry.length:
        wire |= {"start": entry.start, "length": entry.length}
    if entry.opaque:
        wire["opaque"] = base64.b64encode(entry.opaque).decode()
    return wire


def _name_of(entry: BatchEntry) -> str:
    name, archpath = entry.url.name, entry.archpath
    return f"{name}/{archpath.lstrip('/')}" if archpath else name


def member_name(entry: BatchEntry, *, only_object_name: bool = False) -> str:
    """Return the name that the archive's member for an entry should have."""
    name = _name_of(entry)
    return name if only_object_name else f"{entry.url.bucket}/{name}"


class BatchOutcome(NamedTuple):
    """The metadata of one entry in the multipart form.

    Attributes:
        size_bytes: Size of its member; 0 if it is missing.
        error: Why it is missing; "" if it is not.
        opaque: That of the entry.
    """

    size_bytes: int
    error: str
    opaque: bytes


class _Outcome(msgspec.Struct):
    objname: str
    bucket: str = ""
    archpath: str = ""
    err_msg: str = ""
    opaque: bytes = b""
    size: int = 0


class _Reply(msgspec.Struct):
    out: list[_Outcome] | None = None
    uuid: str = ""


_reply = msgspec.json.Decoder(_Reply, strict=False)


def parse_batch_metadata(body: bytes, entries: Sequence[BatchEntry]) -> tuple[BatchOutcome, ...]:
    """Parse the metadata of a multipart response: one outcome for each entry.

    Raises:
        IntegrityError: The bytes are not such metadata, or not about these entries.
    """
    with decoding("get-batch: the metadata cannot be read"):
        rows = _reply.decode(body).out or []
    if len(rows) != len(entries):
        raise IntegrityError(
            f"get-batch: the metadata has {len(rows)} entries, {len(entries)} were asked for"
        )
    for index, (row, entry) in enumerate(zip(rows, entries, strict=True)):
        # A target that gets a member from another one joins the two names, without an archpath.
        name = f"{row.objname}/{row.archpath}" if row.archpath else row.objname
        if name != _name_of(entry) or row.bucket != entry.url.bucket:
            raise IntegrityError(
                f"get-batch: the metadata of entry {index} is about {row.bucket}/{name!r}, "
                f"{member_name(entry)!r} was asked for",
                url=str(entry.url),
            )
    return tuple(BatchOutcome(row.size, row.err_msg, row.opaque) for row in rows)


class MemberMatch(NamedTuple):
    """The entry that a member of the archive belongs to.

    Attributes:
        entry_index: Index of the entry, counted from 0.
        is_found: False if the member is a placeholder for something missing. Read that alone before
            you report it: a range beyond the object's end may look the same.
    """

    entry_index: int
    is_found: bool


class BatchMatcher:
    """Matches an archive's members with the entries of the request.

    Args:
        entries: Those of the request, in order.
        only_object_name: As in `batch_message`.
        outcomes: From `parse_batch_metadata`, for a multipart response.

    Attributes:
        answered: Number of entries whose member has come.
        not_found: Indices of entries whose member is a placeholder.
    """

    def __init__(
        self,
        entries: Sequence[BatchEntry],
        *,
        only_object_name: bool = False,
        outcomes: Sequence[BatchOutcome] | None = None,
    ) -> None:
        self._entries = entries
        self._only_object_name = only_object_name
        self._outcomes = outcomes
        self.answered = 0
        self.not_found: list[int] = []

    @property
    def unanswered(self) -> range:
        """Indices of the entries whose member has not come yet."""
        return range(self.answered, len(self._entries))

    def match(self, name: str, size_bytes: int) -> MemberMatch:
        """Match the archive's next member with its entry.

        Args:
            name: The member's name.
            size_bytes: Size of its payload.

        Raises:
            IntegrityError: It is not the member for the next entry.
        """
        index = self.answered
        if index == len(self._entries):
            raise IntegrityError(
                f"get-batch: member {name!r} came after all {index} entries were answered"
            )
        entry = self._entries[index]
        is_found = name == member_name(entry, only_object_name=self._only_object_name)
        if not is_found and not self._is_placeholder(name, entry):
            expected = member_name(entry, only_object_name=self._only_object_name)
            raise self._mismatch(f"is {name!r}, {expected!r} was asked for")
        self._check_size(entry, is_found, size_bytes)
        self.answered = index + 1
        if not is_found:
            self.not_found.append(index)
        return MemberMatch(index, is_found)

    def _is_placeholder(self, name: str, entry: BatchEntry) -> bool:
        missing = name.removeprefix(MISSING_PREFIX)
        if missing == name:
            return False
        # A target that misses a whole shard of its own names the shard only.
        shard = entry.url.name if self._only_object_name else f"{entry.url.bucket}/{entry.url.name}"
        return missing in (shard, member_name(entry, only_object_name=self._only_object_name))

    def _check_size(self, entry: BatchEntry, is_found: bool, size_bytes: int) -> None:
        if not is_found:
            if size_bytes:
                raise self._mismatch(f"stands for a missing object and yet has {size_bytes} bytes")
            return
        if entry.length and size_bytes != entry.length:
            raise self._mismatch(
                f"has {size_bytes} bytes, the range of {entry.length} from {entry.start} was asked "
                "for: it ends beyond the object, or the whole object was sent"
            )
        if self._outcomes is None:
            return
        outcome = self._outcomes[self.answered]
        if outcome.error or size_bytes != outcome.size_bytes:
            expected = outcome.error or f"{outcome.size_bytes} bytes"
            raise self._mismatch(f"has {size_bytes} bytes, its metadata says: {expected}")

    def _mismatch(self, what: str) -> IntegrityError:
        url = self._entries[self.answered].url
        return IntegrityError(
            f"get-batch {url}: member {self.answered} of the archive {what}; read it alone",
            url=str(url),
        )
