"""The members of an archive, each checked before it is written.

The filters of the standard library came with Python 3.12 (and some later 3.10 and 3.11), and differ
between versions. So every rule is here, and none of theirs is relied upon:

- a name is relative and without "..", also as another operating system would read it
- a symbolic link points into the folder, a hard link to a member before it
- only files, folders and links: no device, no pipe, no sparse file
- no more members and bytes than the limits allow
- a tar ends with its end-of-archive block, as everywhere in aisio

A link in a zip becomes what Python's zipfile makes of it: a small file that holds the target.
"""

from __future__ import annotations

import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

from aisio.errors import ArchiveError
from aisio.formats.zip_member import ZipEntry, read_zip_member
from aisio.resources.unpack.compressed import (
    PIECE_BYTES,
    ForwardReader,
    Limits,
    open_decompressed,
)

__all__ = ["Allowance", "Member", "read_members", "unsafe_member"]

_BLOCK_BYTES = 512
# Programs that walk folders by recursion, as shutil.rmtree does, fail at about a thousand.
_MAX_PARTS = 256
_MAX_NAME_CHARS_SHOWN = 200
# git writes a comment of 52 bytes. tarfile copies all of them for each member with own records.
_MAX_GLOBAL_BYTES = 64 * 1024
_DRIVE = re.compile(r"[A-Za-z]:($|[/\\])")
_ZIP_KINDS = {
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
_TAR_KINDS = {
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a pipe",
}
# RuntimeError: zipfile raises it for a compression that it lacks and for a missing password, and
# RecursionError is one.
_DAMAGE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    LookupError,
    struct.error,
)


@dataclass(frozen=True)
class Member:
    """One member of an archive.

    Attributes:
        name: Name in the archive, for errors.
        parts: Parts of its path in the folder; none for the folder itself.
        kind: Kind of the member.
        size_bytes: Size of a file.
        mode: Permission bits of a file; None for those of the umask.
        mtime: Modification time of a file, in seconds since 1970; None for now.
        target: Target of a symbolic link as it is written; path of the member that a hard link is
            to.
        pieces: Yields the bytes of a file; to be called before the next member is read.
    """

    name: str
    parts: tuple[str, ...]
    kind: Literal["folder", "file", "symlink", "hardlink"]
    size_bytes: int = 0
    mode: int | None = None
    mtime: float | None = None
    target: str = ""
    pieces: Callable[[], Iterator[bytes]] = lambda: iter(())


class Allowance:
    """The members and bytes that an archive may still unpack to.

    Args:
        path: The archive.
        limits: How much may be in it.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._members_left = limits.max_members_of(path)
        self._bytes_left = limits.max_bytes_of(path)

    def spend(self, name: str, *, members: int = 0, size_bytes: int = 0) -> None:
        """Subtract what a member needs, before it is written.

        Raises:
            ArchiveError: It is more than the archive may still unpack to.
        """
        self._members_left -= members
        self._bytes_left -= size_bytes
        if self._members_left < 0 or self._bytes_left < 0:
            _refuse(
                self.path,
                name,
                f"is over the limit for an archive of its size: "
                f"{self.limits.max_members_of(self.path):,} members, with the folders that they "
                f"need, and {self.limits.max_bytes_of(self.path):,} bytes",
            )


def read_members(kind: str, allowance: Allowance) -> Iterator[Member]:
    """Yield the members of an archive in their order.

    Args:
        kind: "tar", compressed or not, or "zip".
        allowance: Of the archive; each member is subtracted from it.

    Raises:
        ArchiveError: It is damaged, or a member is not safe.
    """
    path, limits = allowance.path, allowance.limits
    with _as_archive_errors(path):
        members = _tar_members(path, limits) if kind == "tar" else _zip_members(path, limits)
        for member in members:
            allowance.spend(member.name, members=1, size_bytes=member.size_bytes)
            yield member


class _BoundedRecords(dict[str, str]):
    """The global pax records of a tar, which hold for all members; tarfile keeps all of them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._bytes_left = _MAX_GLOBAL_BYTES

    def __setitem__(self, key: str, value: str) -> None:
        self._bytes_left -= len(key) + len(value)
        if self._bytes_left < 0:
            raise ArchiveError(
                f"{self._path}: over {_MAX_GLOBAL_BYTES:,} bytes of global pax records: damaged, "
                "or made to fill the memory"
            )
        super().__setitem__(key, value)


def _tar_members(path: Path, limits: Limits) -> Iterator[Member]:
    with open_decompressed(path, limits) as stream:
        file: Any = stream
        tar: Any
        records = _BoundedRecords(path)
        with tarfile.open(fileobj=file, mode="r:", pax_headers=records) as tar:
            for info in tar:
                tar.members.clear()  # tarfile would keep all of them
                yield _tar_member(path, info, stream)
        _check_end(path, stream)


def _tar_member(path: Path, info: tarfile.TarInfo, stream: ForwardReader) -> Member:
    name = info.name
    parts = _safe_parts(path, name)
    if info.isdir():
        return Member(name, parts, "folder")
    if not parts:
        _refuse(path, name, "has no name")
    if info.issym():
        _check_symlink(path, name, parts, info.linkname)
        return Member(name, parts, "symlink", target=info.linkname)
    if info.islnk():
        target = _safe_parts(path, info.linkname, of=f"the hard link {name!r}")
        return Member(name, parts, "hardlink", target="/".join(target))
    if info.issparse() or not info.isreg():
        what = "a sparse file" if info.issparse() else _TAR_KINDS.get(info.type)
        _refuse(path, name, f"is {what or f'of the unknown type {info.type!r}'}")
    if info.size < 0:
        _refuse(path, name, f"has {info.size} bytes")

    def pieces() -> Iterator[bytes]:
        stream.seek(info.offset_data)
        return stream.pieces(info.size)

    return Member(
        name, parts, "file", info.size, mode=_safe_mode(info.mode), mtime=info.mtime, pieces=pieces
    )


def _safe_mode(mode: int) -> int:
    """Return the safe permission bits, by the rule of tarfile's data_filter (PEP 706)."""
    mode &= 0o755
    if not mode & 0o100:
        mode &= ~0o111
    return mode | 0o600


def _check_end(path: Path, stream: ForwardReader) -> None:
    """Refuse what tarfile accepts as the end: a missing or damaged header, or data behind it."""
    at = stream.tell() - len(stream.last)
    if not stream.last:
        raise ArchiveError(
            f"{path}: cut at byte {at}: the end-of-archive block is missing; load it again"
        )
    if stream.last != bytes(_BLOCK_BYTES):
        raise ArchiveError(f"{path}: damaged at byte {at}: no tar header there; load it again")
    while data := stream.read(PIECE_BYTES):
        if data.count(0) != len(data):
            raise ArchiveError(
                f"{path}: data after the end-of-archive block at byte {at}: archives were "
                "concatenated (join them by `tar --concatenate`), or it is damaged"
            )


def _zip_members(path: Path, limits: Limits) -> Iterator[Member]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        total = sum(info.file_size for info in infos)
        max_members = limits.max_members_of(path)
        if len(infos) > max_members or total > limits.max_bytes_of(path):
            raise ArchiveError(
                f"{path}: {len(infos):,} members of {total:,} bytes are over the limit of "
                f"{max_members:,} and {limits.max_bytes_of(path):,}; if it is to be trusted, "
                "say unpack: false in the catalog and unpack it by hand"
            )
        for info in infos:
            yield _zip_member(path, file, info)


def _zip_member(path: Path, file: BinaryIO, info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename  # filename ends at the first NUL
    parts = _safe_parts(path, name)
    if name.endswith("/"):
        return Member(name, parts, "folder")
    if not parts:
        _refuse(path, name, "has no name")
    if info.flag_bits & 0x1:
        _refuse(path, name, "is encrypted")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind in _ZIP_KINDS:
        _refuse(path, name, f"is {_ZIP_KINDS[kind]}")
    pieces = partial(_zip_pieces, path, file, info)
    if kind == stat.S_IFLNK:
        _check_symlink(path, name, parts, os.fsdecode(next(pieces(), b"")))
    return Member(name, parts, "file", info.file_size, pieces=pieces)


def _zip_pieces(path: Path, file: BinaryIO, info: zipfile.ZipInfo) -> Iterator[bytes]:
    def read_at(offset: int, count: int) -> bytes:
        return os.pread(file.fileno(), count, offset)

    with _as_archive_errors(path, f"member {info.filename!r}: "):
        yield from read_zip_member(ZipEntry.of(info), read_at)


def _safe_parts(path: Path, name: str, *, of: str = "") -> tuple[str, ...]:
    """Return the parts of a member's path, without "" and "."; refuse a path that is not safe."""
    what = f"the target of {of}" if of else ""
    if "\0" in name:
        _refuse(path, name, f"{what} holds a NUL character".strip())
    for text in (name, name.replace("\\", "/")):
        if text.startswith("/") or _DRIVE.match(text):
            _refuse(path, name, f"{what} is an absolute path".strip())
        if ".." in text.split("/"):
            _refuse(path, name, f"{what} leads out of its folder by '..'".strip())
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if len(parts) > _MAX_PARTS:
        _refuse(path, name, f"{what} has {len(parts)} folders in its path".strip())
    return parts


def _check_symlink(path: Path, name: str, parts: tuple[str, ...], target: str) -> None:
    """Refuse a target that leads out of the folder by itself, whatever the other links are."""
    if not target or "\0" in target:
        _refuse(path, name, "is a link to nothing")
    for text in (target, target.replace("\\", "/")):
        if text.startswith("/") or _DRIVE.match(text):
            _refuse(path, name, f"is a link to an absolute path, {target!r}")
        depth = len(parts) - 1
        for part in text.split("/"):
            depth += -1 if part == ".." else part not in ("", ".")
            if depth < 0:
                _refuse(path, name, f"is a link that leads out of the folder, to {target!r}")


def _refuse(path: Path, name: str, problem: str) -> NoReturn:
    raise unsafe_member(path, name, problem)


def unsafe_member(path: Path, name: str, problem: str) -> ArchiveError:
    """Return the error for a member.

    Args:
        path: The archive.
        name: Name of the member.
        problem: What is wrong with it, as in "is encrypted".
    """
    shown = name if len(name) <= _MAX_NAME_CHARS_SHOWN else f"{name[:_MAX_NAME_CHARS_SHOWN]}..."
    return ArchiveError(
        f"{path}: member {shown!r} {problem}; nothing of the archive was unpacked (unpack: false "
        "in the catalog leaves it as it is)"
    )


@contextmanager
def _as_archive_errors(path: Path, where: str = "") -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        raise
    except _DAMAGE_ERRORS as error:
        text = str(error) or type(error).__name__
        raise ArchiveError(
            f"{path}: cannot be read as an archive: {where}{text}; load it again"
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArchiveError(f"{path}: damaged: {where}{error}; load it again") from error
