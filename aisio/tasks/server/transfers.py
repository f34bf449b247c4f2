"""What clients upload and download, as it is kept on this machine meanwhile."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from aisio.atomic_write import atomic_write
from aisio.errors import AccessError, AisioError, NotFoundError
from aisio.file_locks import acquire, release
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.records.locks import locked
from aisio.tasks.resources.archive import write_download
from aisio.tasks.service import TaskService
from aisio.tasks.states import ResourceState

__all__ = ["Archives", "UnfinishedUploads"]

_ARCHIVE_ID = re.compile(r"[0-9a-f]{32,128}")
_KEPT_S = 24 * 3600


class Archives:
    """Resources as one file: made when a client asks for one, and deleted after a day.

    The file is the one that was uploaded, or a zip of the folder.

    Args:
        service: Where the resources are.
    """

    def __init__(self, service: TaskService) -> None:
        self._service = service
        self._folder = service.settings.home / "archives" / "downloads"

    def make(self, resource_id: str) -> str:
        """Make the archive of a resource; return its id. One that is there is not made again."""
        tree = self._service.resources.tree(resource_id)
        archive_id = tree.checksum()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / archive_id
        lock = acquire(self._folder / f".{archive_id}.lock", on_wait=lambda: None)
        try:
            if not path.exists():
                write_download(tree, self._service.resources.store, path)
            os.utime(path)
        finally:
            release(lock)
        self._remove_old()
        return archive_id

    def path(self, resource_id: str, archive_id: str) -> Path:
        """Return an archive that was made.

        Raises:
            NotFoundError: It was not, or not of this resource.
        """
        if not _ARCHIVE_ID.fullmatch(archive_id):
            raise InvalidArguments(f"compression_id={archive_id[:50]!r} is none")
        path = self._folder / archive_id
        if self._service.resources.tree(resource_id).checksum() != archive_id or not path.exists():
            raise NotFoundError(
                f"there is no archive {archive_id} of {resource_id}: ask for it anew"
            )
        return path

    def is_zip_of_folder(self, resource_id: str) -> bool:
        """Tell whether the archive is a zip; else it is the one file that was uploaded."""
        return self._service.resources.tree(resource_id).kind != "file"

    def _remove_old(self) -> None:
        for path in self._folder.glob("[!.]*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _KEPT_S:
                    path.unlink()


class UnfinishedUploads:
    """Uploads whose chunks have all come, and which are being stored.

    Each has a file in the home folder. So a server that was killed goes on where it was.

    Args:
        service: Where the resources are.
    """

    def __init__(self, service: TaskService) -> None:
        self._service = service
        self._folder = service.settings.home / "uploads"

    def add(self, resource_id: str, count: int | None = None) -> None:
        """Note that the chunks of a resource have all come.

        Args:
            resource_id: The resource.
            count: How many there are, if the client says so.

        Raises:
            NotFoundError: There is no such resource.
        """
        row = self._service.resources.get_own(resource_id)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(self._file(row.id)) as file:
            file.write(b"" if count is None else b"%d" % count)

    def all(self) -> list[str]:
        """Return the user's resources that are to be stored; those of others stay for them."""
        return [path.stem for path in self._folder.glob("*.finish") if self._is_own(path.stem)]

    def _is_own(self, resource_id: str) -> bool:
        try:
            self._service.resources.get_own(resource_id)
        except AccessError:
            return False
        except NotFoundError:  # it was deleted: `finish` takes its note away
            pass
        return True

    def finish(self, resource_id: str) -> None:
        """Store the file of a resource. If that fails, its state is ERROR, with the reason.

        A client that has not read the answer asks again: the second call waits for the first.
        """
        with locked(self._service.settings.home, f"upload {resource_id}"):
            self._finish(resource_id)

    def _finish(self, resource_id: str) -> None:
        try:
            row = self._service.resources.get(resource_id)
            if row.state == ResourceState.READY and not (self._folder / resource_id).exists():
                return  # another call, or a server that was killed then, has done it
            self._service.resources.finish_chunks(resource_id, self._count(resource_id))
        except (AisioError, OSError) as error:
            with suppress(AisioError):
                self._service.resources.fail(self._service.resources.get(resource_id), str(error))
        finally:
            self._file(resource_id).unlink(missing_ok=True)

    def _count(self, resource_id: str) -> int | None:
        try:
            text = self._file(resource_id).read_text("ascii")
        except FileNotFoundError:  # another call has stored a file, and more chunks have come
            return None
        return int(text) if text else None

    def _file(self, resource_id: str) -> Path:
        return self._folder / f"{resource_id}.finish"
