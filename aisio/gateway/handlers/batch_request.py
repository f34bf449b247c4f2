"""The JSON of a get-batch request, and the checks of its entries."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_name, parse_bucket, parse_uname


class BatchIn(msgspec.Struct):
    """One entry of a request: AIStore's MossIn.

    Attributes:
        name: The object.
        bucket: Its bucket; "" for the bucket in the request's path.
        provider: The bucket's provider.
        uname: Bucket and object in one; takes precedence over the bucket.
        path: The requested member, if the object is an archive and one member is requested.
        opaque: Text that the multipart form sends back.
        start: First byte.
        length: How many bytes; 0 for all, -1 for those up to the end.
    """

    name: str = msgspec.field(name="objname", default="")
    bucket: str = ""
    provider: str = ""
    uname: str = ""
    path: str = msgspec.field(name="archpath", default="")
    opaque: str | None = None
    start: int = 0
    length: int = 0


class BatchMessage(msgspec.Struct):
    """A request: AIStore's MossReq."""

    entries: list[BatchIn] | None = msgspec.field(name="in", default=None)
    mime: str = ""
    continue_on_error: bool = msgspec.field(name="coer", default=False)
    only_object_names: bool = msgspec.field(name="onob", default=False)
    is_streaming: bool = msgspec.field(name="strm", default=False)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One entry, checked.

    Attributes:
        entry: The entry of the request.
        bucket: The bucket of the object.
        name: The name of the object.
        path: The path of the archive's member; "" for the object itself.
        object_label: The name of the object in the batch's archive.
    """

    entry: BatchIn
    bucket: BucketName
    name: str
    path: str
    object_label: str

    @property
    def label(self) -> str:
        """The name of the item in the batch's archive."""
        return f"{self.object_label}/{self.path}" if self.path else self.object_label

    @property
    def is_range(self) -> bool:
        """Whether only a part is requested."""
        return bool(self.entry.start or self.entry.length)

    def range_of(self, size_bytes: int) -> tuple[int, int]:
        """Return the start and stop of the requested bytes.

        Args:
            size_bytes: The size of the object or member.

        Raises:
            Refusal: It does not have all these bytes.
        """
        start, length = self.entry.start, self.entry.length
        if not self.is_range:
            return 0, size_bytes
        stop = size_bytes if length < 0 else start + length
        if stop > size_bytes or start >= stop:
            raise Refusal(400, f"size={size_bytes}: {_bad_range(self.entry)}")
        return start, stop


def check_entry(
    entry: BatchIn, default: BucketName | None, *, only_object_names: bool
) -> BatchItem:
    """Return an entry as an item.

    Args:
        entry: The entry.
        default: The bucket of entries that name none; None if they must name one.
        only_object_names: Leave the bucket out of the item's label.

    Raises:
        Refusal: Bad name, path, range or bucket.
    """
    if not entry.name:
        raise Refusal(400, 'invalid object name ""')
    if entry.path.endswith("/") or "\0" in entry.path:
        path = entry.path.replace("\0", "\\0")
        raise Refusal(400, f'invalid archpath "{path}" (oname: "{entry.name}")')
    if entry.start < 0 or entry.length < -1 or (entry.start and not entry.length):
        raise Refusal(400, _bad_range(entry))
    bucket = default
    if entry.uname:
        bucket = parse_uname(entry.uname)[0]
    elif entry.bucket:
        bucket = parse_bucket(entry.bucket, entry.provider)
    if bucket is None:
        raise Refusal(400, f'missing bucket specification for object "{entry.name}"')
    name = check_name(entry.name)
    label = name if only_object_names else f"{bucket.name}/{name}"
    return BatchItem(entry, bucket, name, entry.path.lstrip("/"), label)


def _bad_range(entry: BatchIn) -> str:
    text = f'start={entry.start},length={entry.length} (oname: "{entry.name}")'
    return f"not satisfiable range [{text}]"
