"""Write the members of an archive to a folder, or compare a folder with them.

While members are written no link is followed, neither in the path to a member nor at its end. After
that, no link may lead out of the folder: each link of a chain can look safe by itself.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from aisio.resources.unpack.compressed import PIECE_BYTES, Limits
from aisio.resources.unpack.members import (
    Allowance,
    Member,
    read_members,
    unsafe_member,
)

__all__ = ["compare_members", "write_members"]

# This file system cannot have such a name; ELOOP: the path goes through a link.
_BAD_NAME_ERRNOS = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP})
_NO_HARD_LINK_ERRNOS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})


def write_members(path: Path, kind: str, folder: Path, limits: Limits) -> None:
    """Unpack an archive into a new, empty folder.

    Raises:
        ArchiveError: The archive is damaged, or a member is not safe; earlier members are written.
        OSError: It cannot be written.
    """
    allowance = Allowance(path, limits)
    writer = _MemberWriter(folder, allowance)
    for member in read_members(kind, allowance):
        try:
            writer.write(member)
        except OSError as error:
            if error.errno not in _BAD_NAME_ERRNOS:
                raise
            writer.refuse(member, f"cannot be written here: {error.strerror}")
    writer.check_links()


def compare_members(path: Path, kind: str, folder: Path, limits: Limits) -> bool:
    """Return whether a folder holds all members of an archive, byte for byte; it may hold more.

    Where several members have the same name the last one counts, as in `write_members`.

    Raises:
        ArchiveError: The archive is damaged, or a member is not safe.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        # Few archives have a name twice. The others are read once, and no names are kept.
        members = read_members(kind, Allowance(path, limits))
        return all(_is_equal(member, folder) for member in members) or _last_members_are_equal(
            path, kind, folder, limits
        )
    except (FileNotFoundError, NotADirectoryError):
        return False


def _last_members_are_equal(path: Path, kind: str, folder: Path, limits: Limits) -> bool:
    """Compare each name with the member that was written to it last; reads the archive twice."""
    number_by_name: dict[tuple[str, ...], int] = {}
    for number, member in enumerate(read_members(kind, Allowance(path, limits))):
        # A hard link keeps the bytes that its target had then, even if the target is replaced.
        target = tuple(member.target.split("/")) if member.kind == "hardlink" else None
        number_by_name[member.parts] = number_by_name.get(target, -1) if target else number
    names_by_number: dict[int, list[tuple[str, ...]]] = {}
    for name, number in number_by_name.items():
        names_by_number.setdefault(number, []).append(name)
    for number, member in enumerate(read_members(kind, Allowance(path, limits))):
        names = names_by_number.pop(number, [])
        if not names:
            continue
        first, *others = names
        if not _is_equal(replace(member, parts=first), folder):
            return False
        link = replace(member, kind="hardlink", target="/".join(first))
        if not all(_is_equal(replace(link, parts=name), folder) for name in others):
            return False
    return not names_by_number


class _MemberWriter:
    """Writes members below a folder.

    Args:
        folder: The folder.
        allowance: Of the archive; folders and copies that are made besides its members count too.
        folds_case: Names that differ only in case are equal on the file system; without it the
            file system is tested.
    """

    def __init__(
        self, folder: Path, allowance: Allowance, *, folds_case: bool | None = None
    ) -> None:
        self._allowance = allowance
        self._folder = str(folder)
        self._safe_folders = {self._folder}  # created or checked: folders, and not links
        self._links: dict[tuple[str, ...], Member] = {}
        if folds_case is None:
            folds_case = folder.with_name(folder.name.swapcase()).exists()
        self._name_by_folded: dict[str, str] | None = {} if folds_case else None

    def write(self, member: Member) -> None:
        """Write one member.

        Raises:
            ArchiveError: It is not safe.
            OSError: It cannot be written.
        """
        self._check_case(member)
        if member.kind == "folder":
            self._make_folders(member, member.parts)
            return
        self._make_folders(member, member.parts[:-1])
        target = self._join(member.parts)
        self._remove_earlier(member, target)
        if member.kind == "symlink":
            Path(target).symlink_to(member.target)
            self._links[member.parts] = member
        elif member.kind == "hardlink":
            self._link(member, target)
        else:
            self._write_file(member, target)

    def check_links(self) -> None:
        """Refuse links that lead out of the folder through others, now that all are written."""
        root = os.path.realpath(self._folder)
        for link in self._links.values():
            end = os.path.realpath(self._join(link.parts))
            if end != root and not end.startswith(root + os.sep):
                self.refuse(link, f"is a link that leads out of the folder, to {link.target!r}")

    def refuse(self, member: Member, problem: str) -> NoReturn:
        """Raise an ArchiveError for a member."""
        raise unsafe_member(self._allowance.path, member.name, problem)

    def _join(self, parts: Iterable[str]) -> str:
        return "/".join((self._folder, *parts))

    def _make_folders(self, member: Member, parts: tuple[str, ...]) -> None:
        path = self._join(parts)
        if path in self._safe_folders:
            return
        path = self._folder
        for part in parts:
            path = f"{path}/{part}"
            if path in self._safe_folders:
                continue
            # A folder that is itself a member was counted as one.
            self._allowance.spend(member.name, members=int(path != self._join(member.parts)))
            try:
                Path(path).mkdir()
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    self.refuse(member, f"lies below {part!r}, which is a file or a link")
            self._safe_folders.add(path)

    def _remove_earlier(self, member: Member, target: str) -> None:
        """Remove an earlier member of the same name: in a tar the last one counts."""
        try:
            Path(target).unlink()
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            self.refuse(member, "has the name of a folder")
        self._links.pop(member.parts, None)

    def _link(self, member: Member, target: str) -> None:
        parts = tuple(member.target.split("/"))
        self._make_folders(member, parts[:-1])
        source = self._join(parts)
        try:
            is_file = stat.S_ISREG(os.lstat(source).st_mode)
        except FileNotFoundError:
            is_file = False
        if not is_file:
            self.refuse(member, f"is a hard link to {member.target!r}, no file before it")
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_HARD_LINK_ERRNOS:
                raise
            self._allowance.spend(member.name, size_bytes=os.lstat(source).st_size)
            shutil.copy2(source, target)

    def _write_file(self, member: Member, target: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(target, flags, 0o666), "wb", buffering=0) as file:
            for data in member.pieces():
                _write_all(file.fileno(), data)
            if member.mode is not None:
                os.fchmod(file.fileno(), member.mode)
            if member.mtime is not None:
                # A time that the file system cannot have is not worth an error.
                with suppress(OSError, OverflowError, ValueError):
                    os.utime(file.fileno(), (member.mtime, member.mtime))

    def _check_case(self, member: Member) -> None:
        if self._name_by_folded is None:
            return
        for stop in range(1, len(member.parts) + 1):
            name = "/".join(member.parts[:stop])
            if self._name_by_folded.setdefault(name.casefold(), name) != name:
                self.refuse(member, "differs from another only in upper and lower case")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _is_equal(member: Member, folder: Path) -> bool:
    """Return whether a member is in the folder, with its kind and bytes.

    Raises:
        FileNotFoundError, NotADirectoryError: It is not there.
    """
    path = folder.joinpath(*member.parts)
    status = path.lstat()
    if member.kind == "folder":
        return stat.S_ISDIR(status.st_mode)
    if member.kind == "symlink":
        return stat.S_ISLNK(status.st_mode) and os.readlink(path) == member.target  # noqa: PTH115 - a Path drops "./"
    if not stat.S_ISREG(status.st_mode):
        return False
    if member.kind == "hardlink":
        return _have_equal_bytes(path, folder / member.target)
    return status.st_size == member.size_bytes and _has_bytes(path, member)


def _have_equal_bytes(path: Path, other: Path) -> bool:
    """Compare two files; filecmp remembers a result while sizes and times are the same."""
    if not other.is_file():
        return False
    if path.samefile(other):
        return True
    with path.open("rb") as first, other.open("rb") as second:
        while data := first.read(PIECE_BYTES):
            if second.read(PIECE_BYTES) != data:
                return False
        return not second.read(1)


def _has_bytes(path: Path, member: Member) -> bool:
    with path.open("rb") as file:
        return all(file.read(len(data)) == data for data in member.pieces())
