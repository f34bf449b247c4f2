"""PieceStore: pieces and trees in an object store.

    <store>/pieces/9f/9f86d081...     a piece, named by its digest; a copy has ".<copy>" behind it
    <store>/trees/DSET0a1b...         the files of a resource, written when all pieces are there
    <store>/condemned/1796040000-0a1b names of pieces that nothing refers to: see `garbage`

The store itself says what it has: nothing else is believed, so that an upload which was killed, or
a bucket that was emptied, cannot leave a tree whose pieces are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import msgspec

from aisio.errors import IntegrityError, NotFoundError, StorageError
from aisio.records import ObjectInfo
from aisio.stores import Store, store_for
from aisio.tasks.resources.tree import Piece, Tree, decode_tree, digest_of
from aisio.urls import ObjectUrl

__all__ = ["Condemned", "PieceStore"]

_LISTINGS = 3
"""So often a folder is listed until a listing is complete."""


class Condemned(msgspec.Struct, frozen=True):
    """Pieces that nothing referred to.

    Attributes:
        id: Name of the list in the store.
        pieces: Names of their objects.
        time: When the list was there, in seconds since 1970; None while that is not known.
        swept: When they were deleted; None before.
    """

    id: str
    pieces: tuple[str, ...]
    time: float | None = None
    swept: float | None = None


@dataclass(frozen=True)
class PieceStore:
    """The data of resources below one URL; it pickles, and any number of threads may use it.

    Attributes:
        url: URL of a prefix, with a final "/".
    """

    url: str

    @cached_property
    def _root(self) -> ObjectUrl:
        return ObjectUrl.parse(self.url)

    @cached_property
    def _store(self) -> Store:
        return store_for(self._root)

    def __getstate__(self) -> dict[str, object]:
        return {"url": self.url}

    def _piece_url(self, name: str) -> ObjectUrl:
        return self._root.join(f"pieces/{name[:2]}/{name}")

    def _tree_url(self, resource_id: str) -> ObjectUrl:
        return self._root.join(f"trees/{resource_id}")

    def has(self, piece: Piece) -> bool:
        """Tell whether the store has a piece; one of another size does not count."""
        try:
            info = self._store.head(self._piece_url(piece.object_name))
        except NotFoundError:
            return False
        return info.size_bytes == piece.size

    def is_empty(self) -> bool:
        """Tell whether the store has no pieces at all; one request."""
        try:
            return next(iter(self._store.list(self._root.join("pieces/"))), None) is None
        except NotFoundError:
            return True

    def put(self, piece: Piece, data: bytes | memoryview) -> None:
        """Store a piece.

        Raises:
            IntegrityError: The store has received other bytes.
            StorageError: It cannot be stored.
        """
        info = self._store.put(self._piece_url(piece.object_name), data)
        if info.size_bytes not in (None, piece.size):
            raise IntegrityError(
                f"put {info.url}: {piece.size:,} bytes were sent, the store has "
                f"{info.size_bytes:,}; run the upload again",
                url=info.url,
            )

    def read(self, piece: Piece) -> bytes:
        """Return a piece, verified by its digest.

        Raises:
            NotFoundError: The store has lost it.
            IntegrityError: Its bytes are others.
        """
        url = self._piece_url(piece.object_name)
        data = self._store.read(url)
        if len(data) != piece.size or digest_of(data) != piece.digest:
            raise IntegrityError(
                f"{url}: its bytes are not those that its name promises: delete it, and upload "
                f"the data again",
                url=str(url),
            )
        return data

    def write_tree(self, resource_id: str, tree: Tree) -> None:
        """Store the list of files of a resource; its pieces are there: see `commit_tree`."""
        self._store.put(self._tree_url(resource_id), tree.encode())

    def read_tree(self, resource_id: str) -> Tree:
        """Return the list of files of a resource.

        Raises:
            NotFoundError: The store has none: nothing was uploaded, or not all of it.
            IntegrityError: It is damaged.
        """
        url = self._tree_url(resource_id)
        return decode_tree(self._store.read(url), str(url))

    def has_tree(self, resource_id: str) -> bool:
        """Tell whether the upload of a resource is complete.

        Raises:
            StorageError: The store does not answer; that does not mean that there is none.
        """
        try:
            self._store.head(self._tree_url(resource_id))
        except NotFoundError:
            return False
        return True

    def delete_tree(self, resource_id: str) -> None:
        """Forget the files of a resource; their pieces stay, as others may have them too."""
        self._store.delete(self._tree_url(resource_id), missing_ok=True)

    def pieces(self) -> list[ObjectInfo]:
        """Return the objects of all pieces; the last part of a name is `Piece.object_name`."""
        return self._list("pieces/")

    def stored_s(self, info: ObjectInfo) -> float:
        """Return when a listed piece was stored or last read; 0.0 if unknown.

        That is in seconds since 1970. AIStore's listings have no times, so that takes a request.

        Raises:
            NotFoundError: It is gone.
        """
        return info.mtime_s or self._store.modified_s(ObjectUrl.parse(info.url))

    def trees(self) -> Iterator[tuple[str, Tree]]:
        """Yield all resources whose files are in the store: id and tree.

        Raises:
            IntegrityError: One is damaged, or of a newer version.
        """
        for info, data in self._contents("trees/"):
            yield info.name.rpartition("/")[2], decode_tree(data, info.url)

    def delete_pieces(self, names: Iterable[str]) -> int:
        """Delete objects of pieces; return how many there were."""
        full = (self._piece_url(name).name for name in names)
        return self._store.delete_many(self._root, full, missing_ok=True).count

    def condemned(self) -> Iterator[Condemned]:
        """Yield the lists of condemned pieces.

        Raises:
            IntegrityError: One is damaged.
        """
        for info, data in self._contents("condemned/"):
            try:
                yield msgspec.json.decode(data, type=Condemned)
            except msgspec.DecodeError as error:
                raise IntegrityError(
                    f"{info.url} is not a list of pieces: {error}", url=info.url
                ) from error

    def write_condemned(self, condemned: Condemned) -> None:
        """Store a list of condemned pieces."""
        self._store.put(self._condemned_url(condemned), msgspec.json.encode(condemned))

    def delete_condemned(self, condemned: Condemned) -> None:
        """Delete a list of condemned pieces; none, if it is gone."""
        self._store.delete(self._condemned_url(condemned), missing_ok=True)

    def _condemned_url(self, condemned: Condemned) -> ObjectUrl:
        return self._root.join(f"condemned/{condemned.id}")

    def _contents(self, folder: str) -> Iterator[tuple[ObjectInfo, bytes]]:
        """Yield the objects of a folder with their bytes, but for those that are deleted meanwhile.

        Raises:
            StorageError: One is listed, and cannot be read.
        """
        missing = set()
        for info in self._list(folder):
            try:
                data = self._store.read(ObjectUrl.parse(info.url))
            except NotFoundError:
                missing.add(info.name)
                continue
            yield info, data
        # What this leaves out counts as deleted, and what it refers to as garbage.
        for info in self._list(folder) if missing else ():
            if info.name in missing:
                raise StorageError(
                    f"{info.url} is listed, and the store says that it does not exist: run this "
                    f"again when the store has settled",
                    url=info.url,
                )

    def _list(self, folder: str) -> list[ObjectInfo]:
        """Return all objects of a folder.

        Raises:
            StorageError: The store does not answer, or the listing ended before all were listed.
        """
        for _ in range(_LISTINGS - 1):
            try:
                return self._list_once(folder)
            except StorageError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                # Another process has deleted a file while its folder was listed.
        return self._list_once(folder)

    def _list_once(self, folder: str) -> list[ObjectInfo]:
        infos: list[ObjectInfo] = []
        try:
            for info in self._store.list(self._root.join(folder)):
                infos.append(info)
        except NotFoundError:
            if infos:
                raise
            # Else it is a folder, or bucket, that is not there yet.
        return infos
