r"""The file `.metadata` of a checkpoint: torch's pickle, what aisio adds to it, and its digest.

    pickle of torch.distributed.checkpoint.metadata.Metadata
    b"\naisio XXH3-64 " + 16 hexadecimal digits of the bytes before it

`pickle.load` stops at the end of the pickle, so torch's own reader takes the file as well. Each
entry of `storage_data` has attributes of aisio's beside torch's, which torch ignores.

Unpickling builds the classes that metadata is made of, and no others, so that a file in a bucket
cannot run code here.

Source: torch/distributed/checkpoint/filesystem.py and metadata.py, torch 2.4 to 2.15.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

import xxhash

from aisio.checkpoint.dcp.place import CheckpointPlace
from aisio.errors import IntegrityError, NotFoundError
from aisio.extras import missing_extra
from aisio.transport.writer import WriteOptions

try:
    import torch
    from torch.distributed.checkpoint.filesystem import _StorageInfo
    from torch.distributed.checkpoint.metadata import Metadata
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = [
    "BLOCK_BYTES",
    "Digested",
    "Item",
    "item_of",
    "read_metadata",
    "referenced_files",
    "storage_info",
    "write_metadata",
]

BLOCK_BYTES = 256 * 1024
"""A larger item has a digest of each so many of its bytes, so that a part of it can be verified."""

_MARK = b"\naisio XXH3-64 "
_TRAILER_BYTES = len(_MARK) + 16
_DIGEST, _DATA, _BLOCKS = "aisio_xxh3_64", "aisio_data", "aisio_blocks"
_DIGEST_BYTES = 8

_SAFE = frozenset(
    {
        ("builtins", "set"),
        ("builtins", "frozenset"),
        ("builtins", "slice"),
        ("builtins", "complex"),
        ("builtins", "bytearray"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("pathlib", "Path"),
        ("pathlib", "PosixPath"),
        ("pathlib", "PurePosixPath"),
        ("pathlib._local", "Path"),
        ("pathlib._local", "PosixPath"),
        ("torch", "Size"),
        ("torch", "device"),
        ("torch.serialization", "_get_layout"),
        ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    }
)
_SAFE_MODULE = "torch.distributed.checkpoint.metadata"


class Digested(NamedTuple):
    """Bytes of a file whose digest is known.

    Attributes:
        start: The first of them.
        stop: One past the last.
        xxh3_64: XXH3-64 of them in hexadecimal digits.
    """

    start: int
    stop: int
    xxh3_64: str


class Item:
    """A tensor or other value as it is stored, or blocks of it.

    Attributes:
        path: The file, below the checkpoint's URL.
        offset: Its first byte in the file.
        length: Its size in bytes.
        xxh3_64: XXH3-64 of its bytes in hexadecimal digits; None of blocks, and where torch has
            written it.
        data: Offset in the item, and size, of the memory of a contiguous tensor, where that is
            stored as one piece of at least 64 KiB; else None.
        blocks: XXH3-64 of each BLOCK_BYTES of it, one behind the other; none for small items.
    """

    __slots__ = ("blocks", "data", "length", "offset", "path", "xxh3_64")

    def __init__(self, info: Any) -> None:
        self.path: str = info.relative_path
        self.offset: int = info.offset
        self.length: int = info.length
        self.xxh3_64: str | None = info.__dict__.get(_DIGEST)
        self.data: tuple[int, int] | None = info.__dict__.get(_DATA)
        self.blocks: bytes = info.__dict__.get(_BLOCKS, b"")

    @property
    def stop(self) -> int:
        """One past its last byte in the file."""
        return self.offset + self.length

    @property
    def place(self) -> tuple[str, int, int]:
        """What tells it apart: its file, offset and length. One without bytes shares its offset."""
        return self.path, self.offset, self.length

    @property
    def has_all_blocks(self) -> bool:
        """Whether there is a digest of each of its blocks, or of none."""
        count = -(-self.length // BLOCK_BYTES)
        return len(self.blocks) in (0, count * _DIGEST_BYTES)

    def digested(self) -> Iterator[Digested]:
        """Yield the bytes by which it can be verified: the whole, or each of some blocks."""
        if self.xxh3_64 is not None:
            yield Digested(self.offset, self.stop, self.xxh3_64)
        elif self.blocks:
            for number, start in enumerate(range(self.offset, self.stop, BLOCK_BYTES)):
                digest = self.blocks[number * _DIGEST_BYTES :][:_DIGEST_BYTES]
                yield Digested(start, min(start + BLOCK_BYTES, self.stop), digest.hex())

    def part(self, start: int, stop: int) -> Item:
        """Return the blocks that hold some of its bytes; the whole if they have no digests.

        Args:
            start: The first of the bytes, counted from the first of the item.
            stop: One past the last.
        """
        if not self.blocks:
            return self
        first, end = start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)
        if (first, end) == (0, -(-self.length // BLOCK_BYTES)):
            return self
        found = copy.copy(self)
        found.offset = self.offset + first * BLOCK_BYTES
        found.length = min(end * BLOCK_BYTES, self.length) - first * BLOCK_BYTES
        found.blocks = self.blocks[first * _DIGEST_BYTES : end * _DIGEST_BYTES]
        found.xxh3_64 = found.data = None
        return found


def storage_info(
    path: str,
    offset: int,
    length: int,
    xxh3_64: str,
    data: tuple[int, int] | None,
    blocks: bytes = b"",
) -> Any:
    """Return torch's entry for an item, with what aisio adds; arguments as in `Item`."""
    info = _StorageInfo(path, offset, length)
    info.__dict__[_DIGEST] = xxh3_64
    if data is not None:
        info.__dict__[_DATA] = data
    if blocks:
        info.__dict__[_BLOCKS] = blocks
    return info


def item_of(metadata: Metadata, index: Any, url: str) -> Item:
    """Return where an entry of a checkpoint is stored.

    Raises:
        IntegrityError: The checkpoint has no such entry, or one that is no place in a file.
    """
    try:
        item = Item(metadata.storage_data[index])
        data_start, data_bytes = item.data or (0, 0)
        is_place = 0 <= item.offset <= item.stop and 0 <= data_start <= item.length - data_bytes
        is_place = is_place and item.has_all_blocks
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise IntegrityError(f"{url}: it does not say where {index} is stored", url=url) from error
    if not is_place:
        raise IntegrityError(f"{url}: no place in a file is said for {index}", url=url)
    return item


def referenced_files(metadata: Metadata) -> set[str]:
    """Return the names of the files that a checkpoint consists of."""
    return {info.relative_path for info in metadata.storage_data.values()}


def write_metadata(place: CheckpointPlace, metadata: Metadata) -> None:
    """Store the metadata of a checkpoint; from then on it is one.

    Raises:
        StorageError: It could not be stored: the old one stays.
    """
    data = pickle.dumps(metadata)
    digest = xxhash.xxh3_64_hexdigest(data).encode()
    with place.store.writer(place.metadata_url, WriteOptions()) as file:
        file.write(data + _MARK + digest)


def read_metadata(place: CheckpointPlace) -> tuple[Metadata, str]:
    """Return the metadata of a checkpoint, and the XXH3-64 of its file.

    Raises:
        NotFoundError: There is no checkpoint at this place, or an unfinished one.
        IntegrityError: The bytes are not metadata, or not those that were written.
    """
    url = place.metadata_url
    try:
        data = place.store.read(url)
    except NotFoundError as error:
        raise NotFoundError(
            f"{place.url} is no checkpoint: it has no .metadata, which is stored last, so a save "
            f"may not have finished ({error})",
            url=str(place.url),
        ) from error
    content, trailer = data[:-_TRAILER_BYTES], data[-_TRAILER_BYTES:]
    is_ours = trailer.startswith(_MARK)
    if is_ours and trailer[len(_MARK) :].decode("latin-1") != xxhash.xxh3_64_hexdigest(content):
        raise IntegrityError(f"{url}: the bytes are not those that were written", url=str(url))
    try:
        metadata = _Unpickler(io.BytesIO(data)).load()
    except Exception as error:
        raise IntegrityError(
            f"{url}: not the metadata of a checkpoint: {error}", url=str(url)
        ) from error
    if not isinstance(metadata, Metadata) or not isinstance(metadata.storage_data, dict):
        raise IntegrityError(f"{url}: not the metadata of a checkpoint", url=str(url))
    if not is_ours and any(_DIGEST in vars(info) for info in metadata.storage_data.values()):
        raise IntegrityError(f"{url}: the digest at its end is missing or damaged", url=str(url))
    return metadata, xxhash.xxh3_64_hexdigest(data)


class _Unpickler(pickle.Unpickler):
    """Builds the classes that metadata consists of, and those that torch was told are safe."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class by its name; nothing else is imported.

        Raises:
            pickle.UnpicklingError: It may not be built.
        """
        if (module, name) in _SAFE:
            return super().find_class(module, name)
        if module in (_SAFE_MODULE, "torch") and "." not in name:
            found = super().find_class(module, name)
            is_of_metadata = module == _SAFE_MODULE and isinstance(found, type)
            if is_of_metadata or isinstance(found, (torch.dtype, torch.layout)):
                return found
        for known in torch.serialization.get_safe_globals():
            found = known[0] if isinstance(known, tuple) else known
            if (found.__module__, found.__qualname__) == (module, name):
                return found
        raise pickle.UnpicklingError(
            f"it holds a {module}.{name}, which is not part of a checkpoint; if it is yours, name "
            f"it by torch.serialization.add_safe_globals"
        )
