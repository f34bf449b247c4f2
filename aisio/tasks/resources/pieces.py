"""PieceStore: pieces and trees in an object store.

    <store>/pieces/9f/9f86d081...     a piece, named by its digest
    <store>/trees/DSET0a1b...         the files of a resource, written when all pieces are there

The store itself says what it has: nothing else is believed, so that an upload which was killed, or
a bucket that was emptied, cannot leave a tree whose pieces are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from aisio.errors import IntegrityError, NotFoundError
from aisio.stores import Store, store_for
from aisio.tasks.resources.tree import Piece, Tree, decode_tree, digest_of
from aisio.urls import ObjectUrl

__all__ = ["PieceStore"]


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

    def _piece_url(self, digest: str) -> ObjectUrl:
        return self._root.join(f"pieces/{digest[:2]}/{digest}")

    def _tree_url(self, resource_id: str) -> ObjectUrl:
        return self._root.join(f"trees/{resource_id}")

    def has(self, piece: Piece) -> bool:
        """Tell whether the store has a piece; one of another size does not count."""
        try:
            info = self._store.head(self._piece_url(piece.digest))
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
        info = self._store.put(self._piece_url(piece.digest), data)
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
        url = self._piece_url(piece.digest)
        data = self._store.read(url)
        if len(data) != piece.size or digest_of(data) != piece.digest:
            raise IntegrityError(
                f"{url}: its bytes are not those that its name promises: delete it, and upload "
                f"the data again",
                url=str(url),
            )
        return data

    def write_tree(self, resource_id: str, tree: Tree) -> None:
        """Store the list of files of a resource; its pieces are there already."""
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
