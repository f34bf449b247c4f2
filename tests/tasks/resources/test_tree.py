"""Tree: which files a resource has, and their pieces."""

from __future__ import annotations

import msgspec
import pytest

from aisio.errors import IntegrityError
from aisio.tasks.resources.tree import Piece, Tree, TreeFile, decode_tree, digest_of

A, B = Piece(digest_of(b"a"), 1), Piece(digest_of(b"bb"), 2)
TREE = Tree("folder", (TreeFile("x/1", (A, B)), TreeFile("x/2", (A,), executable=True)))


def test_a_tree_comes_back():
    """From its JSON."""
    assert decode_tree(TREE.encode(), "u") == TREE
    assert TREE.size == 4
    assert list(TREE.pieces()) == [A, B]


def test_the_digest_is_stable():
    """It names what is in stores: BLAKE2b of 256 bits."""
    assert digest_of(b"") == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"


@pytest.mark.parametrize(
    "files",
    [
        (TreeFile("x/1", (A,)),),
        (TreeFile("x/1", (A, B)), TreeFile("y/2", (A,), executable=True)),
        (TreeFile("x/1", (A, B)), TreeFile("x/2", (A,))),
        (TreeFile("x/1", (B, A)), TreeFile("x/2", (A,), executable=True)),
    ],
)
def test_another_tree_has_another_checksum(files):
    """Names, pieces, their order and the right to run count."""
    assert Tree("folder", files).checksum() != TREE.checksum()
    assert Tree("folder", TREE.files).checksum() == TREE.checksum()


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (b"", "not a list of files"),
        (b"{}", "not a list of files"),
        (msgspec.json.encode(Tree("folder", (), version=3)), "update aisio"),
        (Tree("folder", (TreeFile("../x", ()),)).encode(), "'..'"),
        (Tree("folder", (TreeFile("/etc/x", ()),)).encode(), "begin with '/'"),
        (Tree("folder", (TreeFile("a/", ()),)).encode(), "'a/'"),
        (Tree("file", ()).encode(), "0 files of the kind 'file'"),
        (Tree("file", (TreeFile("a", ()), TreeFile("b", ()))).encode(), "2 files of the kind"),
        (Tree("link", (TreeFile("a", ()),)).encode(), "of the kind 'link'"),
    ],
)
def test_a_damaged_tree_is_an_error_with_its_place(data, trouble):
    """No name leads out of the folder."""
    with pytest.raises(IntegrityError, match="s3://b/trees/DSET1") as raised:
        decode_tree(data, "s3://b/trees/DSET1")
    assert trouble in str(raised.value)


def test_copies_are_pieces_of_the_same_content():
    """The checksum is that of the contents; a version of the format that knows them is needed."""
    plain = Piece(digest_of(b"x"), 1)
    tree = Tree("folder", (TreeFile("a", (plain,)), TreeFile("b", (plain, plain))))
    copied = tree.with_pieces(lambda piece: Piece(piece.digest, piece.size, "0a1b"))
    assert copied.checksum() == tree.checksum()
    assert (tree.version, copied.version) == (1, 2)
    assert decode_tree(copied.encode(), "s3://b/trees/DSET1") == copied
    assert b"copy" not in tree.encode()
    assert copied.with_pieces(Piece.without_copy) == tree
    (piece,) = copied.pieces()
    assert (piece.object_name, plain.object_name) == (f"{plain.digest}.0a1b", plain.digest)
