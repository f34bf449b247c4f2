"""Archives: zips of folders, which are the same whenever the files are.

All members have the times of 1980-01-01, the earliest that a zip can say, and stand in bytewise
order of their names. The checksum of an archive is that of anylearn: BLAKE2b of 512 bits.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from aisio.atomic_write import atomic_write
from aisio.errors import ConfigError
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.scan import ScannedFile
from aisio.tasks.resources.tree import Tree, TreeFile
from aisio.tasks.resources.upload import OnProgress

__all__ = ["archive_checksum", "write_archive", "write_download"]

_READ_BYTES = 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE, _PROGRAM = 0o100644 << 16, 0o100755 << 16
_UNIX = 3


def archive_checksum(path: Path) -> str:
    """Return BLAKE2b of 512 bits of a file, in 128 hexadecimal digits.

    Raises:
        ConfigError: There is no such file.
    """
    digest = hashlib.blake2b()
    for data in _chunks(path):
        digest.update(data)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                yield data
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(f"{path} is not an existing file") from error


def write_archive(files: Iterable[ScannedFile], path: Path) -> None:
    """Write files of this machine as a zip; the file appears when it is complete.

    Raises:
        OSError: A file cannot be read, or the archive not be written.
    """
    members = (
        (file.name, file.executable, file.stat.st_size, _chunks(file.path)) for file in files
    )
    _write(members, path)


def write_download(
    tree: Tree, store: PieceStore, path: Path, on_progress: OnProgress | None = None
) -> None:
    """Write a resource as one file: the file that it is, or a zip of its folder.

    Each piece is verified, and the file appears when it is complete.

    Raises:
        NotFoundError: The store has lost a piece.
        IntegrityError: A piece has other bytes.
        OSError: The file cannot be written.
    """
    done, total = 0, tree.size

    def chunks(file: TreeFile) -> Iterator[bytes]:
        nonlocal done
        for piece in file.pieces:
            yield store.read(piece)
            done += piece.size
            if on_progress:
                on_progress(done, total)

    if tree.kind != "file":
        _write(((file.name, file.executable, file.size, chunks(file)) for file in tree.files), path)
        return
    with atomic_write(path) as out:
        for data in chunks(tree.files[0]):
            out.write(data)


def _write(members: Iterable[tuple[str, bool, int, Iterable[bytes]]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, executable, size, data in members:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = _PROGRAM if executable else _FILE
            info.create_system = _UNIX
            info.file_size = size
            with archive.open(info, "w") as member:
                for chunk in data:
                    member.write(chunk)
