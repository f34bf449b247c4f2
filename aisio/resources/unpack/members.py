"""What an archive holds, checked before any of it is written.

The standard library's own filters came with Python 3.12 (and some later 3.10 and 3.11), and differ
between versions; so every rule is here, and none of theirs is relied upon:

- a name is relative, without "..", and cannot be read as such on another system either
- a symbolic link leads to somewhere in the folder, a hard link to a member before it
- files, folders and links only: no device, no pipe, no sparse file
- so many members and so many bytes, and no more
- a tar ends with its end-of-archive block, as everywhere in aisio

A link in a zip is written as Python's zipfile writes it, as a small file that holds its target.
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
from typing import Any, Literal, NoReturn

from aisio.errors import ArchiveError
from aisio.resources.unpack.compressed import (
    PIECE_BYTES,
    ForwardReader,
    Limits,
    opened,
)

__all__ = ["Allowance", "Member", "read_members", "unsafe"]

_BLOCK_BYTES = 512
# Programs that walk folders by recursion, as shutil.rmtree does, end at about a thousand.
_MOST_PARTS = 256
_MOST_SHOWN = 200
# A comment of git's has 52. They are copied for each member that has records of its own.
_MOST_GLOBAL_BYTES = 64 * 1024
_DRIVE = re.compile(r"[A-Za-z]:($|[/\\])")
_KINDS = {
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
# zipfile's for a compression that it lacks, and a password that is wanted; RecursionError is one.
_DAMAGED = (
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
    """One member.

    Attributes:
        name: As the archive has it, for errors.
        parts: Of its path in the folder; none: the folder itself.
        kind: What it is.
        size_bytes: Of a file.
        mode: Permission bits that a file gets; None: the usual ones.
        mtime: Of a file, in seconds; None: now.
        target: Of a link: as it is written, or the path of the member for a hard link.
        pieces: Yields the bytes of a file; to be called before the next member is asked for.
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
    """What is left of an archive's limits, for its members and for what they bring along.

    Args:
        path: The archive.
        limits: The most that may be in it.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._left_members = limits.most_members(path)
        self._left_bytes = limits.most_bytes(path)

    def take(self, name: str, *, members: int = 0, size_bytes: int = 0) -> None:
        """Count what a member costs, before it is made.

        Raises:
            ArchiveError: It is more than is left.
        """
        self._left_members -= members
        self._left_bytes -= size_bytes
        if self._left_members < 0 or self._left_bytes < 0:
            _refuse(
                self.path,
                name,
                f"is over the limit for an archive of its size: "
                f"{self.limits.most_members(self.path):,} members, with the folders that they "
                f"need, and {self.limits.most_bytes(self.path):,} bytes",
            )


def read_members(kind: str, allowance: Allowance) -> Iterator[Member]:
    """Yield the members of an archive in their order.

    Args:
        kind: "tar", compressed or not, or "zip".
        allowance: Of the archive; each member is taken from it.

    Raises:
        ArchiveError: It is damaged, or a member is not safe.
    """
    path, limits = allowance.path, allowance.limits
    with _as_archive_errors(path):
        members = _tar_members(path, limits) if kind == "tar" else _zip_members(path, limits)
        for member in members:
            allowance.take(member.name, members=1, size_bytes=member.size_bytes)
            yield member


class _GlobalRecords(dict[str, str]):
    """The records that a tar has for all of its members; tarfile keeps them to the end."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._left_bytes = _MOST_GLOBAL_BYTES

    def __setitem__(self, key: str, value: str) -> None:
        self._left_bytes -= len(key) + len(value)
        if self._left_bytes < 0:
            raise ArchiveError(
                f"{self._path}: over {_MOST_GLOBAL_BYTES:,} bytes of global pax records: damaged, "
                "or made to fill the memory"
            )
        super().__setitem__(key, value)


def _tar_members(path: Path, limits: Limits) -> Iterator[Member]:
    with opened(path, limits) as stream:
        file: Any = stream
        tar: Any
        records = _GlobalRecords(path)
        with tarfile.open(fileobj=file, mode="r:", pax_headers=records) as tar:
            for info in tar:
                tar.members.clear()  # tarfile keeps them all
                yield _tar_member(path, info, stream)
        _check_end(path, stream)


def _tar_member(path: Path, info: tarfile.TarInfo, stream: ForwardReader) -> Member:
    name = info.name
    parts = _parts(path, name)
    if info.isdir():
        return Member(name, parts, "folder")
    if not parts:
        _refuse(path, name, "has no name")
    if info.issym():
        _check_symlink(path, name, parts, info.linkname)
        return Member(name, parts, "symlink", target=info.linkname)
    if info.islnk():
        target = _parts(path, info.linkname, of=f"the hard link {name!r}")
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
        name, parts, "file", info.size, mode=_mode(info.mode), mtime=info.mtime, pieces=pieces
    )


def _mode(mode: int) -> int:
    """Return what is safe of permission bits: the rule of tarfile's data_filter (PEP 706)."""
    mode &= 0o755
    if not mode & 0o100:
        mode &= ~0o111
    return mode | 0o600


def _check_end(path: Path, stream: ForwardReader) -> None:
    """Refuse what tarfile takes for an end: a missing or damaged header, data behind the end."""
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
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        total = sum(info.file_size for info in infos)
        most_members = limits.most_members(path)
        if len(infos) > most_members or total > limits.most_bytes(path):
            raise ArchiveError(
                f"{path}: {len(infos):,} members of {total:,} bytes are over the limit of "
                f"{most_members:,} and {limits.most_bytes(path):,}; if it is to be trusted, "
                "say unpack: false in the catalog and unpack it by hand"
            )
        for info in infos:
            yield _zip_member(path, archive, info)


def _zip_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename  # filename ends where a NUL was
    parts = _parts(path, name)
    if info.is_dir():
        return Member(name, parts, "folder")
    if not parts:
        _refuse(path, name, "has no name")
    if info.flag_bits & 0x1:
        _refuse(path, name, "is encrypted")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind in _KINDS:
        _refuse(path, name, f"is {_KINDS[kind]}")
    if kind == stat.S_IFLNK:
        with archive.open(info) as file:
            _check_symlink(path, name, parts, os.fsdecode(file.read(PIECE_BYTES)))
    pieces = partial(_zip_pieces, path, archive, info)
    return Member(name, parts, "file", info.file_size, pieces=pieces)


def _zip_pieces(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with _as_archive_errors(path), archive.open(info) as file:
        count = 0
        while data := file.read(PIECE_BYTES):
            count += len(data)
            yield data
        if count != info.file_size:
            _refuse(path, info.filename, f"has {count} bytes where {info.file_size} are due")


def _parts(path: Path, name: str, *, of: str = "") -> tuple[str, ...]:
    """Return the parts of a member's path, without "" and "."."""
    what = f"the target of {of}" if of else ""
    if "\0" in name:
        _refuse(path, name, f"{what} holds a NUL character".strip())
    for text in (name, name.replace("\\", "/")):
        if text.startswith("/") or _DRIVE.match(text):
            _refuse(path, name, f"{what} is an absolute path".strip())
        if ".." in text.split("/"):
            _refuse(path, name, f"{what} leads out of its folder by '..'".strip())
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if len(parts) > _MOST_PARTS:
        _refuse(path, name, f"{what} has {len(parts)} folders in its path".strip())
    return parts


def _check_symlink(path: Path, name: str, parts: tuple[str, ...], target: str) -> None:
    """Refuse a target that leads out, as far as it can be told without the other links."""
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


def _refuse(path: Path, name: str, what: str) -> NoReturn:
    raise unsafe(path, name, what)


def unsafe(path: Path, name: str, what: str) -> ArchiveError:
    """Return the error about a member.

    Args:
        path: The archive.
        name: Of the member.
        what: Is wrong with it.
    """
    shown = name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}..."
    return ArchiveError(
        f"{path}: member {shown!r} {what}; nothing of the archive was unpacked (unpack: false in "
        "the catalog leaves it as it is)"
    )


@contextmanager
def _as_archive_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        raise
    except _DAMAGED as error:
        text = str(error) or type(error).__name__
        raise ArchiveError(
            f"{path}: cannot be read as an archive: {text}; load it again"
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArchiveError(f"{path}: damaged: {error}; load it again") from error
