"""What is made of a download: by which name, where, and the same as pooch makes of it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aisio.catalog.entries import Resource
from aisio.errors import ArchiveError
from aisio.resources.unpack.compressed import Limits
from aisio.resources.unpack.unpack import (
    is_complete,
    result_of,
    unpack,
    unpack_kind,
)
from tests.tars import pack, pack_by_gnu_tar

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
    """Return what pooch makes of a copy of a file, and where."""
    copy = path.with_name("of-pooch-" + path.name)
    copy.write_bytes(path.read_bytes())
    processor(str(copy), "download", None)
    return copy.with_name(copy.name + suffix)


@pytest.mark.parametrize("tar_format", ["gnu", "pax", "oldgnu"])
@pytest.mark.parametrize("option", ["", "--gzip", "--bzip2", "--xz"])
def test_ngc_18_a_tar_of_all_that_is_odd_unpacks_as_by_pooch(tmp_path, odd, tar_format, option):
    """NGC-18: GNU tar's archives, with leading "./", links and hard links, in each compression."""
    (odd / "link").symlink_to("é/ü")
    (odd / "é/up").symlink_to("../a b")
    (odd / "dangling").symlink_to("nothing/there")
    (odd / "hard").hardlink_to(odd / "UPPER")
    path = tmp_path / "x.tar"
    options = [f"--format={tar_format}", *([option] if option else [])]
    path.write_bytes(pack_by_gnu_tar(odd, *options))
    ours, theirs = unpack(path, "tar"), pooch_unpacks(path, pooch.Untar(), ".untar")
    assert tree(ours) == tree(theirs) == tree(odd)
    assert ours.name.removeprefix("x.tar") == theirs.name.removeprefix("of-pooch-x.tar")
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


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("harm", ["cut", "flip", "behind", "empty", "plain", "other"])
def test_a_damaged_compressed_file_is_an_error(tmp_path, kind, harm):
    """Cut, changed, continued by something else, or not what its name says: nothing is left."""
    data = COMPRESS[kind](os.urandom(50_000))
    other = COMPRESS["gzip" if kind != "gzip" else "xz"](DATA)
    path = tmp_path / "x"
    path.write_bytes(
        {
            "cut": data[:-9],
            "flip": data[:20_000] + bytes([data[20_000] ^ 1]) + data[20_001:],
            "behind": data + b"something else",
            "empty": b"",
            "plain": DATA,
            "other": other,
        }[harm]
    )
    with pytest.raises(ArchiveError, match=str(path)):
        unpack(path, kind)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_bomb_is_stopped(tmp_path, kind):
    """What unpacks to more than the limit is an error before it is on the disk."""
    path = tmp_path / "x"
    path.write_bytes(COMPRESS[kind](bytes(20_000_000)))
    with pytest.raises(ArchiveError, match="more than 5,000,000 bytes"):
        unpack(path, kind, limits=Limits(max_ratio=1, min_bytes=5_000_000))
    assert list(tmp_path.iterdir()) == [path]


def test_a_tar_is_read_by_what_it_is(tmp_path):
    """A .tar that is compressed, and a .tar.gz that is not, unpack as with pooch."""
    path = tmp_path / "x.tar"
    path.write_bytes(gzip.compress(pack(("1", b"one"))))
    assert (unpack(path, "tar") / "1").read_bytes() == b"one"
    path = tmp_path / "y.tar.gz"
    path.write_bytes(pack(("1", b"one")))
    assert (unpack(path, "tar") / "1").read_bytes() == b"one"


def test_the_last_of_equal_names_counts(tmp_path):
    """As tar has it, whose archives are appended to."""
    path = tmp_path / "x.tar"
    path.write_bytes(pack(("1", b"old"), ("d/2", b"two"), ("1", b"new")))
    assert (unpack(path, "tar") / "1").read_bytes() == b"new"


def appended(*steps):
    """Write a tar as `tar --append` does: of files, and of hard links, which begin with "="."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in steps:
            info = tarfile.TarInfo(name)
            if content.startswith(b"="):
                info.type, info.linkname = tarfile.LNKTYPE, content[1:].decode()
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


REPEATED = {
    "a file": [("1", b"old"), ("d/2", b"two"), ("1", b"newer")],
    "three times": [("1", b"old"), ("1", b"newer"), ("1", b"old")],
    "what a link is to": [("1", b"old"), ("h", b"=1"), ("g", b"=h"), ("1", b"new")],
    "a link": [("1", b"one"), ("2", b"two"), ("h", b"=1"), ("h", b"=2")],
    "a link that becomes a file": [("1", b"one"), ("h", b"=1"), ("h", b"own")],
}


@pytest.mark.parametrize("steps", REPEATED.values(), ids=REPEATED)
def test_a_name_that_comes_twice_is_complete_as_it_was_unpacked(tmp_path, steps):
    """Or it would be unpacked anew each time; what is changed later still shows."""
    path = tmp_path / "x.tar"
    path.write_bytes(appended(*steps))
    result = unpack(path, "tar")
    assert is_complete(path, "tar")
    for name in {name for name, _ in steps}:
        right = (result / name).read_bytes()
        (result / name).unlink()
        assert not is_complete(path, "tar")
        (result / name).write_bytes(right[:-1] + b"?")
        assert not is_complete(path, "tar"), name
        (result / name).write_bytes(right)
        assert is_complete(path, "tar")


def test_a_name_that_comes_twice_in_a_zip_is_complete_as_it_was_unpacked(tmp_path):
    """As in a tar."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1", b"old")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("1", b"new")
    (unpack(path, "zip") / "1").read_bytes()
    assert is_complete(path, "zip")
    (tmp_path / "x.zip.unzip" / "1").write_bytes(b"old")
    assert not is_complete(path, "zip"), "the first one does not count"


def test_no_member_gets_special_permissions(tmp_path):
    """Set-uid bits and writing by others are dropped, as by Python's own data filter."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name, mode in {"all": 0o7777, "none": 0o000, "read": 0o666, "group": 0o011}.items():
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = mode, 123456
            archive.addfile(info)
    result = unpack(path, "tar")
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in result.iterdir()}
    assert modes == {"all": 0o755, "none": 0o600, "read": 0o644, "group": 0o600}
    assert (result / "all").stat().st_mtime == 123456


@pytest.mark.parametrize("mtime", ["1e300", "nan", "-1e300", "-5"])
def test_an_impossible_time_is_no_error(tmp_path, mtime):
    """The bytes are what counts."""
    path = tmp_path / "x.tar"
    info = tarfile.TarInfo("1")
    info.pax_headers = {"mtime": mtime}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert (unpack(path, "tar") / "1").exists()


def test_a_tar_cut_anywhere_is_an_error(tmp_path):
    """Also at a header or before its end-of-archive block, which tarfile takes for an end."""
    whole = pack(("1", b"one"), ("d/2", bytes(600)), ("3", b""))
    path = tmp_path / "x.tar"
    for stop in range(0, len(whole) - 1023, 64):
        path.write_bytes(whole[:stop])
        with pytest.raises(ArchiveError):
            unpack(path, "tar")
        assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(whole[: len(whole) - 512])
    assert unpack(path, "tar").is_dir()


def test_a_tar_whose_headers_were_changed_is_an_error(tmp_path):
    """A byte of a compressed tar is changed: gzip tells. Of a plain one: headers have sums."""
    plain = pack(("1", b"one"), ("d/2", b"two"))
    packed = gzip.compress(plain, mtime=0)
    path = tmp_path / "x.tar"
    for at in range(10, len(packed)):
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :])
        with pytest.raises(ArchiveError):
            unpack(path, "tar")
    ends_of_sums = {154, 155, 1024 + 154, 1024 + 155}
    for at in {*range(512), *range(1024, 1536)} - ends_of_sums:
        path.write_bytes(plain[:at] + bytes([plain[at] ^ 0x55]) + plain[at + 1 :])
        with pytest.raises(ArchiveError):
            unpack(path, "tar")
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_of_nothing_is_an_empty_folder(tmp_path):
    """Two zero blocks, or a zip's empty directory."""
    tar, packed = tmp_path / "x.tar", tmp_path / "x.zip"
    tar.write_bytes(pack())
    zipfile.ZipFile(packed, "w").close()
    assert list(unpack(tar, "tar").iterdir()) == []
    assert list(unpack(packed, "zip").iterdir()) == []


def test_a_large_member_is_not_read_into_memory(tmp_path):
    """Pieces of 1 MiB pass from the archive to the file."""
    data = io.BytesIO(os.urandom(1024) * 20_000)
    path = tmp_path / "x.tar.xz"
    info = tarfile.TarInfo("large")
    info.size = len(data.getvalue())
    with tarfile.open(path, "w:xz", preset=0) as archive:
        archive.addfile(info, data)
    assert (unpack(path, "tar") / "large").read_bytes() == data.getvalue()


def test_what_stood_in_the_way_is_replaced(tmp_path):
    """A file where the folder belongs, a link to elsewhere, or what a killed process left."""
    path = tmp_path / "x.tar"
    path.write_bytes(pack(("1", b"one")))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1").write_bytes(b"other")
    result = result_of(path, "tar")
    result.symlink_to(elsewhere)
    (tmp_path / "x.tar.aisio-unpacking").mkdir()
    (tmp_path / "x.tar.aisio-old").write_bytes(b"")
    assert unpack(path, "tar") == result
    assert not result.is_symlink()
    assert (result / "1").read_bytes() == b"one"
    assert (elsewhere / "1").read_bytes() == b"other"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["elsewhere", "x.tar", "x.tar.untar"]


@pytest.mark.parametrize("at", [0, 40, -69, -22, -10])
def test_a_damaged_zip_is_an_error(tmp_path, at):
    """Its headers, its directory and its checksums tell."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1", b"one" * 20)
    data = bytearray(file.getvalue())
    data[at] ^= 0x55
    path = Path(tmp_path / "x.zip")
    path.write_bytes(data)
    with pytest.raises(ArchiveError):
        unpack(path, "zip")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", ["./b", "b/", "d/../b", ".//b"])
def test_a_link_is_compared_as_it_is_written(tmp_path, target):
    """A result with such a link counts as complete: it is not unpacked anew."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, leads_to in (
            ("d", tarfile.DIRTYPE, ""),
            ("b", tarfile.DIRTYPE, ""),
            ("a", tarfile.SYMTYPE, target),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, leads_to
            archive.addfile(member)
    unpack(path, "tar")
    assert is_complete(path, "tar")
