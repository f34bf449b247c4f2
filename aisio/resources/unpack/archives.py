"""An archive's members -> files in a folder, and back: are they there?

No link is followed while members are written, neither in the way to a member nor at its end, and
in the end no link may lead out: each of a chain of links can look safe by itself.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from aisio.resources.unpack.compressed import Limits
from aisio.resources.unpack.members import (
    Allowance,
    Member,
    read_members,
    unsafe,
)

__all__ = ["compare_members", "write_members"]

# Names that this file system cannot have; a loop is a path through links, which is not walked.
_IMPOSSIBLE = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP})
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})


def write_members(path: Path, kind: str, folder: Path, limits: Limits) -> None:
    """Unpack an archive into a new, empty folder.

    Raises:
        ArchiveError: The archive is damaged, or a member is not safe; some were written.
        OSError: It cannot be written.
    """
    allowance = Allowance(path, limits)
    writer = _Writer(folder, allowance)
    for member in read_members(kind, allowance):
        try:
            writer.write(member)
        except OSError as error:
            if error.errno not in _IMPOSSIBLE:
                raise
            writer.refuse(member, f"cannot be written here: {error.strerror}")
    writer.check_links()


def compare_members(path: Path, kind: str, folder: Path, limits: Limits) -> bool:
    """Tell whether a folder holds all members of an archive, byte for byte, and perhaps more.

    Where several have one name, the last one counts, as in `write_members`.

    Raises:
        ArchiveError: The archive is damaged, or a member is not safe.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        # Few archives have a name twice; the others are read once, and no name is kept.
        once = Allowance(path, limits)
        return all(
            _is_there(member, folder) for member in read_members(kind, once)
        ) or _last_ones_are_there(path, kind, folder, limits)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _last_ones_are_there(path: Path, kind: str, folder: Path, limits: Limits) -> bool:
    """Compare each name with the member whose bytes it has in the end; reads the archive twice."""
    member_of: dict[tuple[str, ...], int] = {}
    for number, member in enumerate(read_members(kind, Allowance(path, limits))):
        # A hard link has the bytes of its time, whatever gets the other name later.
        source = tuple(member.target.split("/")) if member.kind == "hardlink" else None
        member_of[member.parts] = member_of.get(source, -1) if source else number
    names_of: dict[int, list[tuple[str, ...]]] = {}
    for parts, number in member_of.items():
        names_of.setdefault(number, []).append(parts)
    for number, member in enumerate(read_members(kind, Allowance(path, limits))):
        names = names_of.pop(number, [])
        if names and not _is_there(replace(member, parts=names[0]), folder):
            return False
        copies = (replace(member, kind="hardlink", parts=parts) for parts in names[1:])
        if not all(_is_there(replace(one, target="/".join(names[0])), folder) for one in copies):
            return False
    return not names_of


class _Writer:
    """Writes members below a folder.

    Args:
        folder: Where to.
        allowance: Of the archive; what is made besides its members is taken from it.
        folds_case: The file system takes names for equal that differ in case; without it that is
            looked up.
    """

    def __init__(
        self, folder: Path, allowance: Allowance, *, folds_case: bool | None = None
    ) -> None:
        self._allowance = allowance
        self._folder = str(folder)
        self._made = {self._folder}  # folders that are known to be no links
        self._links: dict[tuple[str, ...], Member] = {}
        if folds_case is None:
            folds_case = folder.with_name(folder.name.swapcase()).exists()
        self._names: dict[str, str] | None = {} if folds_case else None

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
        self._make_room(member, target)
        if member.kind == "symlink":
            Path(target).symlink_to(member.target)
            self._links[member.parts] = member
        elif member.kind == "hardlink":
            self._link(member, target)
        else:
            self._write_file(member, target)

    def check_links(self) -> None:
        """Refuse links that lead out by way of others, now that all are there."""
        root = os.path.realpath(self._folder)
        for link in self._links.values():
            end = os.path.realpath(self._join(link.parts))
            if end != root and not end.startswith(root + os.sep):
                self.refuse(link, f"is a link that leads out of the folder, to {link.target!r}")

    def refuse(self, member: Member, what: str) -> NoReturn:
        """Raise an ArchiveError about a member."""
        raise unsafe(self._allowance.path, member.name, what)

    def _join(self, parts: Iterable[str]) -> str:
        return "/".join((self._folder, *parts))

    def _make_folders(self, member: Member, parts: tuple[str, ...]) -> None:
        path = self._join(parts)
        if path in self._made:
            return
        path = self._folder
        for part in parts:
            path = f"{path}/{part}"
            if path in self._made:
                continue
            # A member that is a folder was counted as such, those in the way to it were not.
            self._allowance.take(member.name, members=int(path != self._join(member.parts)))
            try:
                Path(path).mkdir()
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    self.refuse(member, f"lies below {part!r}, which is a file or a link")
            self._made.add(path)

    def _make_room(self, member: Member, target: str) -> None:
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
            if error.errno not in _NO_HARD_LINKS:
                raise
            self._allowance.take(member.name, size_bytes=os.lstat(source).st_size)
            shutil.copy2(source, target)

    def _write_file(self, member: Member, target: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(target, flags, 0o666), "wb", buffering=0) as file:
            for data in member.pieces():
                _write_all(file.fileno(), data)
            if member.mode is not None:
                os.fchmod(file.fileno(), member.mode)
            if member.mtime is not None:
                # A time that no file system has is not worth an error.
                with suppress(OSError, OverflowError, ValueError):
                    os.utime(file.fileno(), (member.mtime, member.mtime))

    def _check_case(self, member: Member) -> None:
        if self._names is None:
            return
        for stop in range(1, len(member.parts) + 1):
            name = "/".join(member.parts[:stop])
            if self._names.setdefault(name.casefold(), name) != name:
                self.refuse(member, "differs from another only in upper and lower case")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _is_there(member: Member, folder: Path) -> bool:
    path = folder.joinpath(*member.parts)
    status = path.lstat()
    if member.kind == "folder":
        return stat.S_ISDIR(status.st_mode)
    if member.kind == "symlink":
        return stat.S_ISLNK(status.st_mode) and os.readlink(path) == member.target  # noqa: PTH115 - a Path drops "./"
    if not stat.S_ISREG(status.st_mode):
        return False
    if member.kind == "hardlink":
        return filecmp.cmp(path, folder / member.target, shallow=False)
    return status.st_size == member.size_bytes and _has_bytes(path, member)


def _has_bytes(path: Path, member: Member) -> bool:
    with path.open("rb") as file:
        return all(file.read(len(data)) == data for data in member.pieces())
