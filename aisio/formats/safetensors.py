"""The header of a safetensors file: which tensors it holds, and where.

    8 bytes   N, the length of the header, little-endian
    N bytes   JSON, filled up with spaces:
              {"__metadata__": {"key": "value"}, "name": {"dtype": "F32", "shape": [2, 3],
              "data_offsets": [0, 24]}, ...}
    the rest  the bytes of the tensors, little-endian, in row-major order

Offsets count from the end of the header. The tensors cover the rest of the file without a gap.

Source:
    https://github.com/huggingface/safetensors, "Format", and what the library safetensors 0.8
    accepts and writes. A name that is there twice is refused here; the library keeps the last one.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from aisio.errors import CheckpointError, ConfigError
from aisio.escapes import one_line

__all__ = [
    "DTYPE_BITS",
    "LENGTH_BYTES",
    "MAX_HEADER_BYTES",
    "SUFFIX",
    "Header",
    "TensorInfo",
    "check_data_bytes",
    "encode_header",
    "header_bytes",
    "parse_header",
    "unique_keys",
]

SUFFIX: Final = ".safetensors"
LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 100_000_000
DTYPE_BITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "BOOL": 8,
        "F4": 4,
        "F6_E2M3": 6,
        "F6_E3M2": 6,
        "U8": 8,
        "I8": 8,
        "F8_E5M2": 8,
        "F8_E4M3": 8,
        "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8,
        "F8_E5M2FNUZ": 8,
        "I16": 16,
        "U16": 16,
        "F16": 16,
        "BF16": 16,
        "I32": 32,
        "U32": 32,
        "F32": 32,
        "C64": 64,
        "F64": 64,
        "I64": 64,
        "U64": 64,
    }
)
"""Bits of an element. A file is written with the last of these first, so that all are aligned."""

_METADATA: Final = "__metadata__"
_DTYPES: Final = list(DTYPE_BITS)
_MAX_U64: Final = (1 << 64) - 1
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class TensorInfo(NamedTuple):
    """What a header says of one tensor.

    Attributes:
        name: Its name.
        dtype: A key of DTYPE_BITS.
        shape: Its shape in elements; of F4, two of which are in a byte, as well.
        start: Where its bytes begin, counted from the end of the header.
        stop: Where they end.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """The number of its bytes."""
        return self.stop - self.start


class Header(NamedTuple):
    """The header of a file.

    Attributes:
        tensors: The tensors by name, in the order of their bytes.
        metadata: The file's own texts; None if it has none.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] | None

    @property
    def data_bytes(self) -> int:
        """The size of all tensors."""
        return max((tensor.stop for tensor in self.tensors.values()), default=0)


def header_bytes(start: bytes | memoryview, size_bytes: int, url: str) -> int:
    """Return the length of the JSON behind the first eight bytes of a file.

    Args:
        start: The first eight bytes, or all that the file has.
        size_bytes: The size of the file.
        url: The file, for errors.

    Raises:
        CheckpointError: The file is not so long, or no header is.
    """
    if len(start) < LENGTH_BYTES:
        raise _error(url, f"it has {size_bytes:,} bytes, and no header fits into them")
    (length,) = struct.unpack_from("<Q", start)
    if length > MAX_HEADER_BYTES:
        raise _error(
            url, f"its first 8 bytes announce a header of {length:,} bytes; at most 100 MB are one"
        )
    if LENGTH_BYTES + length > size_bytes:
        raise _error(
            url, f"its header has {length:,} bytes, the file {size_bytes:,}: it was cut, or is none"
        )
    return int(length)


def parse_header(text: bytes | memoryview, data_bytes: int, url: str) -> Header:
    """Parse the JSON of a header, and check that the tensors cover the rest of the file exactly.

    Args:
        text: The JSON.
        data_bytes: The size of the file behind the header.
        url: The file, for errors.

    Raises:
        CheckpointError: It is no such JSON, or offsets, shapes and sizes do not belong together.
    """
    try:
        fields = json.loads(
            bytes(text).decode("utf-8"),
            object_pairs_hook=unique_keys,
            parse_int=_whole_number,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise _error(url, f"its header cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise _error(url, f"its header is {_kind(fields)}, not an object")
    metadata = _parse_metadata(fields.pop(_METADATA, None), url)
    tensors = [_parse_tensor(name, entry, url) for name, entry in fields.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.stop, tensor.name))
    _check_cover(tensors, data_bytes, url)
    return Header({tensor.name: tensor for tensor in tensors}, metadata)


class _Entry(msgspec.Struct):
    """An entry of a header. Of "__metadata__", which has no offsets, it takes no bytes."""

    data_offsets: tuple[int, int] = (0, 0)


def check_data_bytes(text: bytes, data_bytes: int, url: str) -> None:
    """Check that a file is as long as its header says, whatever is in it.

    It is for files that other programs read: they may know more dtypes than `parse_header`, which
    also takes seven times as long.

    Args:
        text: The JSON.
        data_bytes: The size of the file behind the header.
        url: The file, for errors.

    Raises:
        CheckpointError: It is no such JSON, or the file is shorter or longer.
    """
    try:
        entries = msgspec.json.decode(text, type=dict[str, _Entry])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _error(url, f"its header cannot be read: {error}") from error
    end = max((entry.data_offsets[1] for entry in entries.values()), default=0)
    if end != data_bytes:
        raise _error(
            url,
            f"its tensors end at byte {end:,} of {data_bytes:,} behind the header: store it again",
        )


def encode_header(
    tensors: Mapping[str, tuple[str, Sequence[int]]], metadata: Mapping[str, str] | None
) -> tuple[bytes, Header]:
    """Return the first bytes of a file, and where its tensors belong behind them.

    Args:
        tensors: Name -> dtype and shape, in elements.
        metadata: Texts of the caller.

    Raises:
        ConfigError: A name, or something in the metadata, is no text that JSON can carry.
    """
    _check_texts(tensors, metadata)
    order = sorted(tensors, key=lambda name: (-_DTYPES.index(tensors[name][0]), name))
    fields: dict[str, Any] = {} if metadata is None else {_METADATA: dict(metadata)}
    infos: dict[str, TensorInfo] = {}
    start = 0
    for name in order:
        dtype, shape = tensors[name]
        stop = start + prod(shape) * DTYPE_BITS[dtype] // 8
        infos[name] = TensorInfo(name, dtype, tuple(shape), start, stop)
        fields[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise ConfigError(f"the header would have {len(text):,} bytes; readers take up to 100 MB")
    return struct.pack("<Q", len(text)) + text, Header(infos, metadata)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a JSON object, as an `object_pairs_hook`.

    Raises:
        ValueError: A key is there twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{_shown(key)} is there twice")
        found[key] = value
    return found


def _error(url: str, problem: str) -> CheckpointError:
    return CheckpointError(f"{url} is not a sound safetensors file: {problem}", url=url)


def _shown(text: str) -> str:
    return repr(one_line(text[:200]))


def _whole_number(text: str) -> int:
    return -1 if text.startswith("-") else int(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _kind(value: Any) -> str:
    return {list: "an array", dict: "an object", str: "a text", bool: "a truth value"}.get(
        type(value), "null" if value is None else "a number"
    )


def _parse_metadata(value: Any, url: str) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _error(url, f"its {_METADATA} is {_kind(value)}, not an object")
    for key, text in value.items():
        if not isinstance(text, str):
            raise _error(url, f"{_shown(key)} in its {_METADATA} is {_kind(text)}, not a text")
        if _SURROGATES.search(key + text):
            raise _error(url, f"{_shown(key)} in its {_METADATA} is not Unicode")
    return value


def _parse_tensor(name: str, entry: Any, url: str) -> TensorInfo:
    shown = f"tensor {_shown(name)}"
    if _SURROGATES.search(name):
        raise _error(url, f"the name of {shown} is not Unicode")
    if not isinstance(entry, dict):
        raise _error(url, f"the entry of {shown} is {_kind(entry)}, not an object")
    missing = [key for key in ("dtype", "shape", "data_offsets") if key not in entry]
    if missing:
        raise _error(url, f"{shown} has no {missing[0]}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _error(url, f"{shown} is of the unknown dtype {str(dtype)[:100]!r}")
    if not _are_sizes(shape):
        raise _error(url, f"the shape of {shown} is {str(shape)[:100]}, not a list of sizes")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _error(url, f"the data_offsets of {shown} are {str(offsets)[:100]}, not two offsets")
    start, stop = offsets
    bits = _size_bits(shape, dtype)
    if bits is None:
        raise _error(url, f"the size of {shown}, {dtype} of shape {str(shape)[:100]}, overflows")
    if bits % 8 or bits // 8 != stop - start:
        raise _error(
            url,
            f"{shown}, {dtype} of shape {str(shape)[:100]}, has {bits / 8:,g} bytes, but its "
            f"data_offsets are [{start:,}, {stop:,}]",
        )
    return TensorInfo(name, dtype, tuple(shape), start, stop)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(number) is int and 0 <= number <= _MAX_U64 for number in value
    )


def _size_bits(shape: Sequence[int], dtype: str) -> int | None:
    """Return the size of a tensor; None where a reader that counts in 64 bits would go wrong."""
    count = 1
    for size in shape:
        count *= size
        if count > _MAX_U64:
            return None
    bits = count * DTYPE_BITS[dtype]
    return bits if bits <= _MAX_U64 else None


def _check_cover(tensors: Sequence[TensorInfo], data_bytes: int, url: str) -> None:
    end, before = 0, "the header"
    for tensor in tensors:
        name = _shown(tensor.name)
        if tensor.start > end:
            raise _error(
                url, f"bytes {end:,} to {tensor.start:,} before tensor {name} belong to no tensor"
            )
        if tensor.start < end:
            raise _error(
                url, f"tensor {name} begins at byte {tensor.start:,}; {before} ends at {end:,}"
            )
        end, before = tensor.stop, f"tensor {name}"
    if end > data_bytes:
        raise _error(
            url, f"{before} ends at byte {end:,} of {data_bytes:,} behind the header: it was cut"
        )
    if end < data_bytes:
        raise _error(url, f"{data_bytes - end:,} bytes follow the last tensor")


def _check_texts(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None) -> None:
    for name in tensors:
        if not isinstance(name, str) or name == _METADATA or _SURROGATES.search(name):
            raise ConfigError(f"{name!r} cannot be the name of a tensor in a safetensors file")
    if metadata is None:
        return
    if not isinstance(metadata, Mapping):
        raise ConfigError(f"metadata={type(metadata).__name__}: expected a dict of texts")
    for key, text in metadata.items():
        for one in (key, text):
            if not isinstance(one, str):
                raise ConfigError(
                    f"metadata[{key!r}] = {text!r}: keys and values are texts; {one!r} is of type "
                    f"{type(one).__name__}: write it as a text, for example by json.dumps"
                )
            if _SURROGATES.search(one):
                raise ConfigError(f"metadata[{key!r}]: the text is not Unicode")
