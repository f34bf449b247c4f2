"""A store in memory that counts its requests, and files in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import xxhash

from aisio.checkpoint.safetensors.opened_file import OpenedFile
from aisio.errors import NotFoundError, RangeError
from aisio.formats.safetensors import encode_header
from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy
from aisio.stores import Store
from aisio.transport.body import Body
from aisio.urls import ObjectUrl

URL = ObjectUrl.parse("ais://b/model.safetensors")


class CountingStore(Store):
    """Objects in memory, with checksums and versions.

    Attributes:
        objects: Bytes by name.
        version: What responses say; another one for an object that was replaced.
        ranges: What was asked for.
        before: Called with each range before it is answered.
        damaged: Offsets of bytes that arrive as others.
        sums_ranges: The checksum in the response to a range is that of the range.
    """

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = dict(objects)
        self.version = "1"
        self.ranges: list[ByteRange | None] = []
        self.before: Callable[[ByteRange | None], object] = lambda byte_range: None
        self.damaged: tuple[int, ...] = ()
        self.sums_ranges = False

    @property
    def retry_policy(self) -> RetryPolicy:
        """Without waits."""
        return RetryPolicy(attempts=3, first_wait_s=0)

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """See `Store.get`."""
        self.before(byte_range)
        self.ranges.append(byte_range)
        if url.name not in self.objects:
            raise NotFoundError(f"{url}: not there", url=str(url), status=404)
        whole = self.objects[url.name]
        asked = byte_range or ByteRange(0)
        if byte_range and asked.start >= len(whole):
            raise RangeError("outside")
        data = whole[asked.start : asked.stop]
        summed = data if self.sums_ranges else whole
        checksum = Checksum("xxhash2", xxhash.xxh64_hexdigest(summed))
        info = ObjectInfo(url.root, url.name, len(whole), checksum, self.version)
        sent = bytearray(data)
        for offset in self.damaged:
            if asked.start <= offset < asked.start + len(data):
                sent[offset - asked.start] ^= 1
        return Body(io.BytesIO(sent), info, len(data), checksum if data == whole else None)

    def is_same(self, url: ObjectUrl, first: ObjectInfo, now: ObjectInfo) -> bool:
        """See `Store.is_same`."""
        return first.version == now.version

    def open_file(self, concurrency: int = 3) -> OpenedFile:
        """Open the file at URL."""
        return OpenedFile(self, URL, concurrency)

    def head(self, url: ObjectUrl) -> ObjectInfo:
        """No test needs it."""
        raise NotImplementedError

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """No test needs it."""
        raise NotImplementedError

    def put(self, url: ObjectUrl, data: Any) -> ObjectInfo:
        """No test needs it."""
        raise NotImplementedError

    def writer(self, url: ObjectUrl, options: Any = None) -> Any:
        """No test needs it."""
        raise NotImplementedError

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        """No test needs it."""
        raise NotImplementedError


def file_of(sizes: Mapping[str, int], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a file of tensors of bytes, each full of numbers of its own."""
    start, header = encode_header({name: ("U8", (size,)) for name, size in sizes.items()}, metadata)
    return start + b"".join(data_of(name, sizes[name]) for name in header.tensors)


def data_of(name: str, size: int) -> bytes:
    """Return the bytes of a tensor of such a file."""
    pattern = bytes((ord(name[-1]) + index) % 251 for index in range(251))
    return (pattern * (size // 251 + 1))[:size]


def bytes_of(tensor: torch.Tensor) -> bytes:
    """Return the bytes of a tensor."""
    copy = tensor.detach().clone(memory_format=torch.contiguous_format)
    return bytes(copy.reshape(-1).view(torch.uint8).numpy())


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors have the same dtype, shape and bytes."""
    is_alike = one.dtype == other.dtype and one.shape == other.shape
    return is_alike and bytes_of(one) == bytes_of(other)
