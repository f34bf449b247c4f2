"""Archives for the tests of tar and shards, and the shortest way to read one."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from aisio.formats.tar import END, NEED_DATA, TarMember, TarParser
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding

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
    """Pack a folder by GNU tar."""
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
    """Return a changed header with the right checksum."""
    total = sum(block[:148]) + sum(block[156:512]) + 8 * 0x20
    return block[:148] + b"%06o\0 " % total + block[156:]


def typed(flag: bytes, name: str, data: bytes = b"") -> bytes:
    """Write a member of any type."""
    block = header(name, len(data))
    return resum(block[:156] + flag + block[157:]) + data + padding(len(data))


def hard_link(name: str, target: str) -> bytes:
    """Write a hard link."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.LNKTYPE, target
    return member.tobuf(tarfile.USTAR_FORMAT)


def gnu_sparse(name: str, *, spans: int = 2) -> bytes:
    """Write a sparse file of GNU's old format, its map in as many blocks as it needs."""
    data = b"".join(b"%0512d" % span for span in range(spans))  # see sparse_content()
    numbers = [b"%011o\0%011o\0" % (span * 4096, 512) for span in range(spans)]
    block = bytearray(typed(b"S", name, data)[:512])
    block[257:265] = b"ustar  \0"
    block[345:512] = bytes(167)
    block[386:482] = b"".join(numbers[:4]).ljust(96, b"\0")
    block[482] = spans > 4
    block[483:495] = b"%011o\0" % len(sparse_content(spans))
    blocks = resum(bytes(block))
    for first in range(4, spans, 21):
        part = b"".join(numbers[first : first + 21]).ljust(504, b"\0")
        blocks += part + bytes([spans > first + 21]) + bytes(7)
    return blocks + data


def sparse_content(spans: int = 2) -> bytes:
    """Return the content of the sparse files of this module."""
    return b"".join((b"%0512d" % span).ljust(4096, b"\0") for span in range(spans))


def pax_sparse(name: str) -> bytes:
    """Write a sparse file as bsdtar and GNU tar do in POSIX's format: version 1.0."""
    data = b"2\n0\n512\n4096\n512\n".ljust(512, b"\0") + b"%0512d%0512d" % (0, 1)
    member = tarfile.TarInfo(f"GNUSparseFile.0/{name}")
    member.size = len(data)
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    member.pax_headers |= {"GNU.sparse.name": name, "GNU.sparse.realsize": "8192"}
    return member.tobuf(tarfile.PAX_FORMAT) + data


def pack_all_kinds(tar_format: int) -> bytes:
    """Write an archive of all kinds of members, by Python's tarfile."""
    file = io.BytesIO()
    long = "/".join(["d" * 60, "e" * 60, "f" * 120]) + ".bin"
    members: list[tuple[str, bytes, bytes, str]] = [
        ("folder", tarfile.DIRTYPE, b"", ""),
        ("./a.txt", tarfile.REGTYPE, b"x" * 1000, ""),
        ("ln", tarfile.SYMTYPE, b"", "a.txt"),
        ("p" * 90 + "/" + "q" * 80, tarfile.REGTYPE, b"yy", ""),
        (long, tarfile.REGTYPE, b"long", ""),
        ("hard", tarfile.LNKTYPE, b"", "./a.txt"),
        ("ln2", tarfile.SYMTYPE, b"", "z" * 150),
        ("empty", tarfile.REGTYPE, b"", ""),
        ("ü.bin", tarfile.REGTYPE, b"u" * 512, ""),
        ("fifo", tarfile.FIFOTYPE, b"", ""),
        ("last", tarfile.DIRTYPE, b"", ""),
    ]
    with tarfile.open(fileobj=file, mode="w", format=tar_format) as archive:
        for name, kind, data, link in members:
            if tar_format == tarfile.USTAR_FORMAT and name in (long, "ln2"):
                continue  # they do not fit
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), link
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()
