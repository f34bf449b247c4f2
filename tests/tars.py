"""Archives for the tests of tar and shards, and the shortest way to read one."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from aisio.tar import (
    END,
    END_OF_ARCHIVE,
    NEED_DATA,
    TarMember,
    TarParser,
    header,
    padding,
)

LONG_NAME = "/".join(["folder-" + "x" * 60] * 4) + "/0001.left.png"


def pack(*members: tuple[str, bytes]) -> bytes:
    """Write an archive of files by aisio's own headers."""
    parts = [header(name, len(data)) + data + padding(len(data)) for name, data in members]
    return b"".join(parts) + END_OF_ARCHIVE


def pack_by_tarfile(members: Iterable[tuple[str, bytes]], tar_format: int) -> bytes:
    """Write an archive of files by Python's tarfile."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tar_format) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def pack_by_gnu_tar(folder: Path, *options: str) -> bytes:
    """Write an archive of all that is in a folder by GNU tar."""
    command = ["tar", "--create", "--sort=name", *options, "--file=-", "."]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


def read_all(data: bytes, *, step_bytes: int = 1 << 20) -> list[tuple[TarMember, bytes]]:
    """Read an archive, fed a number of bytes at a time."""
    parser = TarParser("test.tar", buffer_bytes=1024)
    found: list[tuple[TarMember, bytes]] = []
    position = 0
    while (event := parser.next_event()) is not END:
        if isinstance(event, TarMember):
            found.append((event, b""))
        elif isinstance(event, bytes):
            found[-1] = (found[-1][0], found[-1][1] + event)
        elif position < len(data):
            assert event is NEED_DATA
            parser.feed(data[position : position + step_bytes])
            position += step_bytes
        else:
            parser.finish()
    return found


def resum(block: bytes) -> bytes:
    """Put the right checksum into a header that was changed."""
    total = sum(block[:148]) + sum(block[156:512]) + 8 * 0x20
    return block[:148] + b"%06o\0 " % total + block[156:]
