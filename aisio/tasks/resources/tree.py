"""Tree: which files a resource has, and which pieces each is made of. Pure.

    {"format": "aisio-tree", "version": 1, "kind": "folder",
     "files": [{"name": "train/0.png", "pieces": [{"digest": "9f86...", "size": 1024}]}, ...]}

A piece is at most `PIECE_BYTES` of a file, and its digest is BLAKE2b of 256 bits. Files are in
bytewise order of their names. Times, owners and empty folders are left out: they say nothing about
the data. Two folders with the same files therefore have one checksum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from aisio.errors import IntegrityError
from aisio.urls import check_prefix

__all__ = ["PIECE_BYTES", "Piece", "Tree", "TreeFile", "decode_tree", "digest_of"]

PIECE_BYTES = 8 * 1024 * 1024
"""A piece is read into memory whole, hashed, and sent by one request."""

_FORMAT, _VERSION, _WITH_COPIES = "aisio-tree", 1, 2
_DIGEST_BYTES = 32


class Piece(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A part of a file.

    Attributes:
        digest: BLAKE2b of 256 bits, in 64 hexadecimal digits.
        size: Number of bytes.
        copy: Which of several objects with these bytes; "" for the one named by the digest alone.
    """

    digest: str
    size: int
    copy: str = ""

    @property
    def object_name(self) -> str:
        """Name of the object that has its bytes."""
        return f"{self.digest}.{self.copy}" if self.copy else self.digest

    def without_copy(self) -> Piece:
        """Return the piece by its bytes alone."""
        return Piece(self.digest, self.size) if self.copy else self


class TreeFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file.

    Attributes:
        name: Its path in the folder, with "/".
        pieces: Its bytes, in order; none for an empty file.
        executable: Whether it may be run.
    """

    name: str
    pieces: tuple[Piece, ...]
    executable: bool = False

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return sum(piece.size for piece in self.pieces)


class Tree(msgspec.Struct, frozen=True):
    """The files of a resource.

    Attributes:
        kind: "folder"; or "file" for one file, which tasks get unpacked if it is an archive.
        files: In bytewise order of their names.
        format: Always "aisio-tree".
        version: Of the format: 2 if pieces are copies, which older versions of aisio do not know.
    """

    kind: str
    files: tuple[TreeFile, ...]
    format: str = _FORMAT
    version: int = _VERSION

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(file.size for file in self.files)

    def pieces(self) -> Iterable[Piece]:
        """Yield each different piece once."""
        return dict.fromkeys(piece for file in self.files for piece in file.pieces)

    def checksum(self) -> str:
        """Return BLAKE2b of 512 bits over names and pieces, in 128 hexadecimal digits."""
        files = self.with_pieces(Piece.without_copy).files
        return hashlib.blake2b(msgspec.json.encode(files)).hexdigest()

    def with_pieces(self, replaced: Callable[[Piece], Piece]) -> Tree:
        """Return the tree with other pieces, in its version of the format."""
        files = tuple(
            msgspec.structs.replace(file, pieces=tuple(map(replaced, file.pieces)))
            for file in self.files
        )
        copies = any(piece.copy for file in files for piece in file.pieces)
        return Tree(self.kind, files, version=_WITH_COPIES if copies else _VERSION)

    def encode(self) -> bytes:
        """Return the tree as JSON."""
        return msgspec.json.encode(self)


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """Return the digest of a piece."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def decode_tree(data: bytes, url: str) -> Tree:
    """Read a tree.

    Args:
        data: Its JSON.
        url: Where it comes from, for errors.

    Raises:
        IntegrityError: It is damaged, of a newer version, or a name leads out of the folder.
    """
    try:
        tree = msgspec.json.decode(data, type=Tree)
    except msgspec.DecodeError as error:
        raise IntegrityError(f"{url} is not a list of files: {error}", url=url) from error
    if tree.format != _FORMAT or tree.version not in (_VERSION, _WITH_COPIES):
        raise IntegrityError(
            f"{url} has format {tree.format!r}, version {tree.version}: this aisio reads "
            f"{_FORMAT!r}, version {_WITH_COPIES}; update aisio",
            url=url,
        )
    if tree.kind not in ("file", "folder") or (tree.kind == "file" and len(tree.files) != 1):
        raise IntegrityError(
            f"{url} has {len(tree.files):,} files of the kind {tree.kind!r}: a resource is a"
            " folder, or one file",
            url=url,
        )
    for file in tree.files:
        try:
            check_prefix(file.name, url)
        except ValueError as error:
            raise IntegrityError(f"{url}: file {file.name!r}: {error}", url=url) from error
        if not file.name or file.name.endswith("/"):
            raise IntegrityError(f"{url}: a file has the name {file.name!r}", url=url)
    return tree
