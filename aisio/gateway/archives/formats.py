"""Archive formats: recognized by name, MIME type or first bytes, and opened for reading.

A format is named by its usual file name ending: ".tar", ".tgz", ".zip" or ".tar.lz4".
"""

from __future__ import annotations

import gzip
import importlib
import io
import os
import zipfile
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, BinaryIO, cast

from aisio.gateway.protocol.refusals import Refusal

FORMATS: Mapping[str, str] = MappingProxyType(
    {".tar": ".tar", ".tgz": ".tgz", ".tar.gz": ".tgz", ".zip": ".zip", ".tar.lz4": ".tar.lz4"}
)
"""File name endings of archives, and the format that each one means."""

CONTENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".tar": "application/x-tar",
        ".tgz": "application/gzip",
        ".zip": "application/zip",
        ".tar.lz4": "application/x-lz4",
    }
)
"""The MIME type of each format."""

_MAGICS = (
    (257, b"ustar", ".tar"),
    (0, b"\x1f\x8b", ".tgz"),
    (0, b"PK\x03\x04", ".zip"),
    (0, b"\x04\x22\x4d\x18", ".tar.lz4"),
)
"""Offset, bytes there, and the format that they mean."""

_START_BYTES = 512

_MAX_DIRECTORY_BYTES = 256 << 20
"""The largest central directory of a zip that is read: 268 bytes for each of 1,000,000 members."""


def format_of_name(name: str) -> str:
    """Return the format that an object's name means; "" for none."""
    return next((known for ending, known in FORMATS.items() if name.endswith(ending)), "")


def format_of_mime(mime: str) -> str:
    """Return the format that a client names: an ending such as ".tgz", or a MIME type; "" for none.

    Raises:
        Refusal: AIStore has no such format.
    """
    if not mime:
        return ""
    by_ending = FORMATS.get(mime) or FORMATS.get(f".{mime}")
    if by_ending is not None:
        return by_ending
    for archive_format, content_type in CONTENT_TYPES.items():
        if content_type == mime:
            return archive_format
    raise Refusal(400, f'unknown mime type "{mime}"', tcode="errUnknownMime")


def format_of_file(file: io.FileIO, name: str, mime: str = "") -> str:
    """Return the format of an object: as the client says, by its name, or by its first bytes.

    Raises:
        Refusal: It is not an archive.
    """
    known = format_of_mime(mime) or format_of_name(name)
    if known:
        return known
    start = os.pread(file.fileno(), _START_BYTES, 0)
    for offset, magic, archive_format in _MAGICS:
        if start.startswith(magic, offset):
            return archive_format
    raise Refusal(400, f'unrecognized or unsupported file format: "{name}"')


def open_tar(file: io.FileIO, archive_format: str) -> BinaryIO:
    """Return the uncompressed tar of an open archive that is not a zip, from its start.

    Raises:
        Refusal: It is lz4, and the package lz4 is not installed.
    """
    file.seek(0)
    if archive_format == ".tgz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if archive_format == ".tar.lz4":
        return cast(BinaryIO, require_lz4().LZ4FrameFile(file))
    return cast(BinaryIO, file)


def require_lz4() -> Any:
    """Return the module that reads and writes lz4.

    Raises:
        Refusal: It is not installed.
    """
    try:
        return importlib.import_module("lz4.frame")
    except ImportError:
        raise Refusal(
            501,
            "lz4 archives need the package lz4 where the gateway runs (pip install lz4) - "
            "operation not supported",
            tcode="ErrUnsupp",
        ) from None


def open_zip(file: io.FileIO) -> zipfile.ZipFile:
    """Open a zip whose directory is not too large.

    Raises:
        BadZipFile: It is damaged, or too large.
    """
    try:
        return zipfile.ZipFile(cast("BinaryIO", _BoundedReads(file)))
    except (OSError, ValueError, NotImplementedError) as error:
        raise zipfile.BadZipFile(str(error)) from None


class _BoundedReads:
    """A file that refuses very large reads: zipfile reads a directory of any size at once."""

    def __init__(self, file: io.FileIO) -> None:
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable
        self._file = file

    def read(self, count: int = -1) -> bytes:
        if count > _MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"a directory of {count:,} bytes is too large")
        return self._file.read(count)
