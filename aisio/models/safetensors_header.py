"""What a safetensors file says of its own length.

Source:
    "Format" in the documentation of safetensors: 8 bytes with the size of the header, little
    endian; the header, JSON, in which each tensor has "data_offsets", [start, stop) counted from
    the header's end; the data, without gaps. A header has at most 100 MB.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aisio.errors import IntegrityError
from aisio.formats.safetensors import LENGTH_BYTES, MAX_HEADER_BYTES

__all__ = ["SAFETENSORS", "check_length", "header_bytes"]

SAFETENSORS = ".safetensors"


class _Tensor(msgspec.Struct):
    """A tensor in a header; "__metadata__" has no offsets.

    Attributes:
        data_offsets: Where its bytes begin and end.
    """

    data_offsets: tuple[int, int] = (0, 0)


def header_bytes(start: bytes, url: str) -> int:
    """Return the size of a header, with the eight bytes before it.

    Args:
        start: The first eight bytes of the file.
        url: What errors name.

    Raises:
        IntegrityError: It is not the start of such a file.
    """
    size = int.from_bytes(start, "little")
    if len(start) < LENGTH_BYTES or not 2 <= size <= MAX_HEADER_BYTES:
        raise IntegrityError(f"{url} does not begin as a safetensors file does", url=url)
    return LENGTH_BYTES + size


def check_length(read: Callable[[int, int], bytes], size_bytes: int, url: str) -> None:
    """Check that a safetensors file has the bytes that its header announces.

    Args:
        read: Returns so many bytes of the file from an offset on.
        size_bytes: Its size.
        url: What errors name.

    Raises:
        IntegrityError: It is shorter or longer, or its header is damaged.
    """
    header_stop = header_bytes(read(LENGTH_BYTES, 0), url)
    text = read(header_stop - LENGTH_BYTES, LENGTH_BYTES)
    try:
        tensors = msgspec.json.decode(text, type=dict[str, _Tensor])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(
            f"{url}: its safetensors header is damaged: {error}", url=url
        ) from error
    expected = header_stop + max((one.data_offsets[1] for one in tensors.values()), default=0)
    if expected != size_bytes:
        raise IntegrityError(
            f"{url}: its safetensors header announces {expected:,} bytes, the object has "
            f"{size_bytes:,}: store the file again",
            url=url,
        )
