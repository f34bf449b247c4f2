"""Algorithms, data sets, models and files: their rows, and their data in the store."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from aisio.errors import AccessError, AisioError, ConflictError, NotFoundError
from aisio.tasks.errors import InvalidArguments, ResourceError
from aisio.tasks.records.ids import new_id
from aisio.tasks.resources.archive import write_download
from aisio.tasks.resources.chunk_folder import ChunkFolder
from aisio.tasks.resources.commit import Begun, PieceSender, begin, commit_tree
from aisio.tasks.resources.download import mount, write_files
from aisio.tasks.resources.mounted_files import files_list
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.scan import ScannedFile
from aisio.tasks.resources.stat_cache import StatCache
from aisio.tasks.resources.tree import PIECE_BYTES, Piece, Tree, TreeFile, digest_of
from aisio.tasks.resources.upload import OnProgress, upload_files
from aisio.tasks.service.registry import Registry
from aisio.tasks.service.rows import ID_PREFIXES, AlgorithmVersionRow, ResourceRow, now
from aisio.tasks.states import ResourceState

__all__ = ["ResourceService", "Uploaded"]


@dataclass(frozen=True)
class Uploaded:
    """Data in the store, which belongs to no resource yet.

    Attributes:
        tree: Its files.
        begun: Its upload.
    """

    tree: Tree
    begun: Begun


class ResourceService:
    """Resources of one user and the public ones of others.

    Args:
        registry: Their rows.
        store: Their data.
        home: Folder of what is worked with on this machine.
        user: The user.
    """

    def __init__(self, registry: Registry, store: PieceStore, home: Path, user: str) -> None:
        self._registry = registry
        self.store = store
        self.cache = StatCache(home)
        self._home = home
        self._user = user

    def create(self, kind: str, name: str, **more: Any) -> ResourceRow:
        """Register a resource without data.

        Args:
            kind: "algorithm", "dataset", "model" or "file".
            name: Its name.
            more: Other attributes of `ResourceRow`.

        Raises:
            InvalidArguments: It has no name.
        """
        if not name:
            raise InvalidArguments(f"a {kind} needs a name")
        row = ResourceRow(new_id(ID_PREFIXES[kind]), kind, name, self._user, **more)
        self._registry.insert(row)
        return row

    def get(self, resource_id: str, kind: str | None = None) -> ResourceRow:
        """Return a resource.

        Args:
            resource_id: Its id.
            kind: What it must be.

        Raises:
            NotFoundError: There is none of this id and kind.
            AccessError: It is another user's, and not public.
        """
        row = self._registry.get(ResourceRow, resource_id)
        if kind is not None and row.kind != kind:
            raise NotFoundError(f"there is no {kind} {resource_id!r}: it is a {row.kind}")
        if row.creator_id != self._user and not row.public:
            raise AccessError(f"{row.kind} {resource_id} is another user's, and not public")
        return row

    def get_ready(self, resource_id: str, kind: str | None = None) -> ResourceRow:
        """Return a resource whose data is complete.

        Raises:
            ResourceError: It is not READY.
        """
        row = self.get(resource_id, kind)
        if row.state != ResourceState.READY:
            state = ResourceState(row.state).name
            raise ResourceError(f"{row.kind} {resource_id} is {state}, not READY: {row.message}")
        return row

    def find(self, kind: str, **equal: Any) -> list[ResourceRow]:
        """Return the resources of a kind that the user may read, oldest first."""
        rows = self._registry.find(ResourceRow, kind=kind, **equal)
        return [row for row in rows if row.public or row.creator_id == self._user]

    def update(self, resource_id: str, **changes: Any) -> ResourceRow:
        """Change attributes of one's own resource.

        Raises:
            AccessError: It is another user's.
        """
        row = self.get_own(resource_id)
        self._registry.update(row, **changes)
        return replace(row, **changes)

    def delete(self, resource_id: str) -> None:
        """Delete one's own resource, with the list of its files.

        Raises:
            AccessError: It is another user's.
        """
        row = self.get_own(resource_id)
        self.store.delete_tree(resource_id)  # first, so that none is left if this is killed
        self._registry.delete(row)
        self._chunks(row.id).forget()
        shutil.rmtree(self._mount_folder(resource_id), ignore_errors=True)
        files_list(self._mount_folder(resource_id)).unlink(missing_ok=True)

    def get_own(self, resource_id: str, kind: str | None = None) -> ResourceRow:
        """Return one's own resource; see `get`.

        Raises:
            AccessError: It is another user's.
        """
        row = self.get(resource_id, kind)
        if row.creator_id != self._user:
            raise AccessError(f"{row.kind} {resource_id} is another user's: it cannot be changed")
        return row

    def upload(
        self,
        files: Sequence[ScannedFile],
        *,
        kind: str = "folder",
        like: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Uploaded:
        """Upload the pieces of files; their tree belongs to no resource yet.

        Args:
            files: The files.
            kind: "folder", or "file" for one file.
            like: Id of a resource that may have many of the same pieces.
            on_progress: Reports progress.
        """
        begun = begin(self.store)
        present: Iterable[Piece] = ()
        if like is not None and self.store.has_tree(like):
            present = self.store.read_tree(like).pieces()
        sender = PieceSender(self.store, begun, present)
        tree = upload_files(files, sender, self.cache, kind=kind, on_progress=on_progress)
        return Uploaded(tree, begun)

    def finish(
        self, row: ResourceRow, uploaded: Uploaded, checksum: str | None = None
    ) -> ResourceRow:
        """Give a resource its data, whose pieces are in the store; it is READY then.

        The data of an algorithm is a new version of it.

        Args:
            row: The resource.
            uploaded: Its files.
            checksum: Of its data; without it that of the tree.

        Raises:
            StorageError: The tree cannot be stored.
            ResourceError: The store has lost a piece, or the resource was deleted meanwhile.
        """
        tree = uploaded.tree
        target = row.id
        if row.kind == "algorithm":
            target = new_id("AVER")
        commit_tree(self.store, target, tree, uploaded.begun)
        if row.kind == "algorithm":
            self._registry.insert(AlgorithmVersionRow(target, row.id, None, now()))
        changes: dict[str, Any] = {
            "state": int(ResourceState.READY),
            "message": "",
            "size": tree.size,
            "checksum": checksum or tree.checksum(),
            "upload_time": now(),
        }
        if not self._registry.update(row, **changes):
            raise ResourceError(f"{row.kind} {row.id} was deleted while it was uploaded")
        return replace(row, **changes)

    def fail(self, row: ResourceRow, message: str) -> None:
        """Record that the upload of a resource has failed."""
        self._registry.update(row, state=int(ResourceState.ERROR), message=message)

    def begin_chunks(self, resource_id: str) -> None:
        """Forget the parts of an upload that was not finished: another file is uploaded.

        Raises:
            AccessError: It is another user's.
        """
        self._chunks(self.get_own(resource_id).id).forget()

    def write_chunk(self, resource_id: str, number: int, data: bytes) -> None:
        """Take a part of a resource's file; parts come in any order, and may come again.

        Args:
            resource_id: The resource.
            number: Which part, from 0 on.
            data: Its bytes: as many as in each other part but the last one, which may be shorter,
                or empty.

        Raises:
            AccessError: It is another user's.
            ConflictError: It has its data already.
            InvalidArguments: The number is negative.
        """
        row = self.get_own(resource_id)
        if row.state == ResourceState.READY and row.kind != "algorithm":
            raise ConflictError(f"{row.kind} {resource_id} has its data already")
        if number < 0:
            raise InvalidArguments(f"chunk {number} of {resource_id}: numbers begin with 0")
        self._chunks(resource_id).write(number, data)
        if row.state != ResourceState.UPLOADING:
            self._registry.update(row, state=int(ResourceState.UPLOADING))

    def finish_chunks(self, resource_id: str, count: int | None = None) -> ResourceRow:
        """Store the file whose parts have come; the resource is READY then, or in ERROR.

        Args:
            resource_id: The resource.
            count: How many parts the file has, if that is known.

        Raises:
            ResourceError: A part is missing, or of another upload.
            StorageError: A part cannot be stored.
        """
        row = self.get_own(resource_id)
        try:
            row = self.finish(row, self._upload_chunks(row, count))
        except AisioError as error:
            self.fail(row, str(error))
            raise
        self._chunks(row.id).forget()
        return row

    def _upload_chunks(self, row: ResourceRow, count: int | None) -> Uploaded:
        try:
            paths = self._chunks(row.id).file(count)
        except ResourceError as error:
            raise ResourceError(f"{row.kind} {row.id}: {error}") from error
        begun = begin(self.store)
        sender = PieceSender(self.store, begun)
        pieces = tuple(
            sender.send(Piece(digest_of(data), len(data)), partial(bytes, data))
            for data in _regrouped(paths)
        )
        return Uploaded(Tree("file", (TreeFile(row.filename or row.name, pieces),)), begun)

    def tree(self, resource_id: str) -> Tree:
        """Return the files of a resource that is READY.

        Raises:
            NotFoundError: The store has lost its data.
            ResourceError: It is not READY.
        """
        return self.store.read_tree(self._tree_id(self.get_ready(resource_id)))

    def _tree_id(self, row: ResourceRow) -> str:
        if row.kind != "algorithm":
            return row.id
        versions = self._registry.find(AlgorithmVersionRow, algorithm_id=row.id)
        trees = [version.id for version in versions if version.commit_id is None]
        if not trees:
            raise NotFoundError(f"algorithm {row.id} has no archive: its code is in git")
        return trees[-1]

    def has_data(self, row: ResourceRow) -> bool:
        """Tell whether the store still has the files of a resource.

        Raises:
            StorageError: It does not answer.
        """
        return self.store.has_tree(row.id)

    def mount(self, resource_id: str, local: Path | None = None) -> Path:
        """Return a folder of this machine with the files of a resource; an archive is unpacked.

        All tasks read the same one, so its files are read-only.

        Args:
            resource_id: The resource.
            local: A folder that may have the same files, as they were uploaded from there: those
                are copied, and not read from the store.
        """
        folder = self._mount_folder(resource_id)
        with self._noting_loss(resource_id) as tree:
            return mount(tree, self.store, folder, read_only=True, local=local)

    def download(
        self, resource_id: str, folder: Path, on_progress: OnProgress | None = None
    ) -> None:
        """Write the files of a resource into a folder that is new or empty."""
        with self._noting_loss(resource_id) as tree:
            write_files(tree, self.store, folder, on_progress)

    def download_archive(
        self, resource_id: str, folder: Path, on_progress: OnProgress | None = None
    ) -> Path:
        """Write a resource as one file: the file that it is, or a zip of its folder.

        Returns:
            The path of that file; one that was there is replaced.

        Raises:
            NotFoundError: The store has lost its data.
            ResourceError: It is not READY.
        """
        row = self.get_ready(resource_id)
        with self._noting_loss(resource_id) as tree:
            name = tree.files[0].name if tree.kind == "file" else f"{row.name}.zip"
            path = folder / Path(name).name
            write_download(tree, self.store, path, on_progress)
        return path

    @contextmanager
    def _noting_loss(self, resource_id: str) -> Iterator[Tree]:
        """Yield the files of a resource; if the store has lost some, its state is ERROR then.

        So the next `quick_train` uploads them again, and believes no list of files that names them.
        """
        tree = self.tree(resource_id)
        try:
            yield tree
        except NotFoundError as error:
            self.fail(self.get(resource_id), f"the store has lost a part of it: {error}")
            raise

    def _mount_folder(self, resource_id: str) -> Path:
        return self._home / "mounts" / resource_id

    def _chunks(self, resource_id: str) -> ChunkFolder:
        return ChunkFolder(self._home / "uploads" / resource_id)


def _regrouped(files: Iterable[Path]) -> Iterator[bytes]:
    """Yield the bytes of files, one behind the other, in pieces of `PIECE_BYTES`."""
    buffer = bytearray()
    for path in files:
        buffer += path.read_bytes()
        while len(buffer) >= PIECE_BYTES:
            yield bytes(buffer[:PIECE_BYTES])
            del buffer[:PIECE_BYTES]
    if buffer:
        yield bytes(buffer)
