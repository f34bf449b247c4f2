"""A download is unpacked as pooch does it: the same names, folders and bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import zipfile
from collections.abc import Callable

import pytest
import zstandard

from aisio.catalog.entries import Resource
from aisio.resources.unpack.unpack import (
    is_complete,
    result_of,
    unpack,
    unpack_kind,
)
from tests.tars import pack_by_gnu_tar

pooch = pytest.importorskip("pooch")

DATA = bytes(range(256)) * 5000
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
ENDING = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}


def resource(**fields):
    """Return a resource with some fields."""
    return Resource(tag="a/b", sha256=None, owner="A <a@b.org>", pbss="s3://b/x", **fields)


@pytest.mark.parametrize(
    ("filename", "kind", "suffix"),
    [
        ("x.tar", "tar", ".untar"),
        ("x.tar.gz", "tar", ".untar"),
        ("x.tgz", "tar", ".untar"),
        ("x.tar.bz2", "tar", ".untar"),
        ("x.tbz2", "tar", ".untar"),
        ("x.tar.xz", "tar", ".untar"),
        ("x.txz", "tar", ".untar"),
        ("x.v2.tar.gz", "tar", ".untar"),
        ("x.tar.zst", "tar", ".untar"),
        ("x.tzst", "tar", ".untar"),
        ("x.txt.zst", "zstd", ".decomp"),
        ("x.zip", "zip", ".unzip"),
        ("a.1.0.zip", "zip", ".unzip"),
        ("x.gz", "gzip", ".decomp"),
        ("a.txt.gz", "gzip", ".decomp"),
        ("x.csv.bz2", "bzip2", ".decomp"),
        ("x.1.xz", "xz", ".decomp"),
        ("x.txt", "none", ""),
        ("x", "none", ""),
        ("tar", "none", ""),
        ("x.targz", "none", ""),
        ("x.ZIP", "none", ""),
        ("x.zip.part", "none", ""),
    ],
)
def test_ngc_20_the_longest_known_ending_decides(tmp_path, filename, kind, suffix):
    """NGC-18, NGC-20: and the result lies beside the download under pooch's ending."""
    assert unpack_kind(filename, resource()) == kind
    assert result_of(tmp_path / filename, kind) == tmp_path / (filename + suffix)


def test_ngc_19_an_archive_is_left_packed():
    """NGC-19: `unpack` speaks of tar and zip, `decompress` of single files, neither of both."""
    packed, compressed = resource(unpack=False), resource(decompress=False)
    assert [unpack_kind(f"x{end}", packed) for end in (".tar.gz", ".zip", ".gz")] == [
        "none",
        "none",
        "gzip",
    ]
    assert [unpack_kind(f"x{end}", compressed) for end in (".tar.gz", ".zip", ".gz")] == [
        "tar",
        "zip",
        "none",
    ]


def test_ngc_19_the_download_itself_is_the_result(tmp_path):
    """NGC-19: where nothing is made of it."""
    path = tmp_path / "x.tar"
    path.write_bytes(b"not looked at")
    assert unpack(path, "none") == path


def tree(folder):
    """Return all that is in a folder: kind, whether it can be run, and bytes or target."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        else:
            content = path.read_bytes() if path.is_file() else b""
        runs = stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o100)
        name = path.relative_to(folder).as_posix()
        found[name] = (stat.S_IFMT(status.st_mode), runs, content)
    return found


@pytest.fixture
def odd(tmp_path):
    """Return a folder with all that is odd and legal."""
    folder = tmp_path / "odd"
    names = ["a b/c d", "é/ü", "deep/" * 30 + "x", "n" * 120 + "/" + "m" * 120, "-x", "a..b", "..c"]
    for name in (*names, "with\nline", "c:d", "back\\slash", "UPPER", "upper", ".hidden"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    (folder / "empty file").touch()
    (folder / "empty/folder").mkdir(parents=True)
    (folder / "UPPER").chmod(0o755)
    (folder / "latin-\udce9").write_bytes(b"a name that is no UTF-8")
    return folder


def pooch_unpacks(path, processor, suffix):
    """Return the result that pooch makes of a copy of a file."""
    copy = path.with_name("of-pooch-" + path.name)
    copy.write_bytes(path.read_bytes())
    processor(str(copy), "download", None)
    return copy.with_name(copy.name + suffix)


@pytest.mark.parametrize("tar_format", ["gnu", "pax", "oldgnu"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_ngc_18_a_tar_of_all_that_is_odd_unpacks_as_by_pooch(tmp_path, odd, tar_format, compress):
    """NGC-18: GNU tar's archives, with leading "./", links and hard links, in each compression."""
    (odd / "link").symlink_to("é/ü")
    (odd / "é/up").symlink_to("../a b")
    (odd / "dangling").symlink_to("nothing/there")
    (odd / "hard").hardlink_to(odd / "UPPER")
    path = tmp_path / "x.tar"
    path.write_bytes(compress(pack_by_gnu_tar(odd, f"--format={tar_format}")))
    ours, theirs = unpack(path, "tar"), pooch_unpacks(path, pooch.Untar(), ".untar")
    assert tree(ours) == tree(theirs) == tree(odd)
    assert ours.name.removeprefix("x.tar") == theirs.name.removeprefix("of-pooch-x.tar")
    assert is_complete(path, "tar")


def test_a_tar_with_zstd_unpacks_to_the_same(tmp_path, odd):
    """GNU tar's; pooch has no zstd."""
    path = tmp_path / "x.tar.zst"
    tar = pack_by_gnu_tar(odd)
    path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(tar))
    assert tree(unpack(path, "tar")) == tree(odd)
    assert is_complete(path, "tar")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_ngc_18_a_zip_of_all_that_is_odd_unpacks_as_by_pooch(tmp_path, odd, method):
    """NGC-18: folders and names are the same; a link is a small file, as zipfile has it."""
    (odd / "latin-\udce9").unlink()
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for one in sorted(odd.rglob("*")):
            archive.write(one, one.relative_to(odd))
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "a b/c d")
    ours, theirs = unpack(path, "zip"), pooch_unpacks(path, pooch.Unzip(), ".unzip")
    assert tree(ours) == tree(theirs)
    assert (ours / "link").read_bytes() == b"a b/c d"
    assert is_complete(path, "zip")


@pytest.mark.parametrize("kind", COMPRESS)
def test_ngc_18_a_compressed_file_becomes_what_pooch_makes_of_it(tmp_path, kind):
    """NGC-18: also of several compressed parts, as pigz and others write them."""
    path = tmp_path / f"x{ENDING[kind]}"
    path.write_bytes(COMPRESS[kind](DATA) + COMPRESS[kind](b"and more"))
    ours, theirs = unpack(path, kind), pooch_unpacks(path, pooch.Decompress(), ".decomp")
    assert ours == tmp_path / f"{path.name}.decomp"
    assert ours.read_bytes() == theirs.read_bytes() == DATA + b"and more"
