"""Archives that would write outside their folder, or too much: all are refused, and harm nothing.

NGC-22: the same on every Python version; the standard library's own filters are not relied upon.
"""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from aisio.errors import ArchiveError
from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.resources.unpack.compressed import Limits
from aisio.resources.unpack.unpack import Kind, unpack
from tests.tars import pack, resum

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}

# OUT is replaced by the absolute path of a folder outside.
NAMES = [
    "OUT/new",
    "/OUT/new",
    "OUT/kept",
    "../new",
    "../outside/kept",
    "a/../../new",
    "a/../new",
    "./../new",
    "a/b/../../../new",
    "a/..",
    "C:\\new",
    "c:/new",
    "\\new",
    "..\\new",
    "a\\..\\..\\new",
    "\\\\server\\share\\new",
    "../" * 40 + "tmp/aisio-new",
]
TARGETS = [
    "OUT",
    "OUT/kept",
    "/",
    "..",
    "../outside/kept",
    "a/../../outside",
    "./..",
    "C:\\new",
    "..\\outside",
    "../" * 40 + "etc/passwd",
]
KINDS = {
    "file": tarfile.REGTYPE,
    "folder": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
}
NO_FILES = {
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "volume": b"V",
    "dump": b"D",
    "continued": b"M",
    "unknown": b"Z",
}


def link(name, target, kind="symlink"):
    """Return a link as a member."""
    return name, KINDS[kind], target


def file(name):
    """Return a file as a member."""
    return name, KINDS["file"], ""


# Each member is harmless, or nearly so, without those before it.
SEQUENCES = {
    "through a link": [link("d", "."), file("d/new")],
    "through a link to a folder": [file("real/x"), link("d", "real"), file("d/new")],
    "through a dangling link": [link("d", "nothing"), file("d/new")],
    "a folder through a link": [link("d", "."), ("d/new", KINDS["folder"], "")],
    "a link through a link": [link("d", "."), link("d/new", "x")],
    "up from a link": [link("a/b/d", "../.."), link("e", "a/b/d/../../x")],
    "up from a link to here": [link("d", "."), link("e", "d/..")],
    "up from a link that comes later": [link("e", "d/.."), link("d", ".")],
    "a chain": [link("a", "."), link("b", "a/."), link("c", "b/../outside")],
    "a longer chain": [
        link("a/b/c/d", "../../.."),
        link("e", "a/b/c/d"),
        link("f", "e/a/b/c/d/../outside/kept"),
    ],
    "a hard link to a link": [link("d", "x"), link("h", "d", "hardlink")],
    "a hard link through a link": [file("r/x"), link("d", "r"), link("h", "d/x", "hardlink")],
    "a hard link to nothing": [link("h", "x", "hardlink")],
    "a hard link to a folder": [("d", KINDS["folder"], ""), link("h", "d", "hardlink")],
    "a hard link to itself": [link("h", "h", "hardlink")],
    "a hard link to what comes later": [link("h", "x", "hardlink"), file("x")],
    "below a file": [file("x"), file("x/new")],
    "a file where a folder is": [file("x/y"), file("x")],
    "a link where a folder is": [file("x/y"), link("x", ".")],
    "a folder where a link is": [link("x", "y"), ("x", KINDS["folder"], "")],
    "a file without a name": [file("./")],
    "a link in the folder's own place": [link(".", "x")],
    "a long name": [file("x" * 300)],
    "a deep name": [file("x/" * 3000 + "x")],
}


def tar_of(members, tar_format, out):
    """Write a tar of members, each a name, a type and a target."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=FORMATS[tar_format]) as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name.replace("OUT", out))
            info.type, info.linkname = kind, target.replace("OUT", out)
            info.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"evil"))
    return data.getvalue()


def zip_of(members, out):
    """Write a zip of members, each a name, Unix mode bits and bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, mode, content in members:
            info = zipfile.ZipInfo(name.replace("OUT", out))
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, content.replace("OUT", out))
    return data.getvalue()


def pax_with(records):
    """Write a tar of one file, by any records: tarfile would not write some of them."""
    lines = b"".join(_record(key, value) for key, value in records.items())
    header = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
    before = tarfile.TarInfo("pax")
    before.type, before.size = tarfile.XHDTYPE, len(lines)
    padded = lines + bytes(-len(lines) % 512)
    return before.tobuf(tarfile.USTAR_FORMAT) + padded + header + END_OF_ARCHIVE


def _record(key, value):
    length = len(key) + len(value) + 3
    length += len(str(length + len(str(length))))
    return f"{length} {key}={value}\n".encode()


def negative_size():
    """Write a tar whose file has -512 bytes: a reader that adds sizes up loops for ever."""
    block = tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT)
    block = block[:124] + struct.pack(">Bxxxq", 0xFF, -512).replace(b"\0", b"\xff", 3) + block[136:]
    return resum(block) + END_OF_ARCHIVE


def huge_size():
    """Write a tar whose file has far more bytes than follow."""
    info = tarfile.TarInfo("x")
    info.size = 1 << 60
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(5000)


def sparse():
    """Write an old GNU sparse file of 8 GB that holds nothing."""
    info = tarfile.TarInfo("x")
    info.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:398], block[398:410] = b"00000000000\0", b"00000000000\0"
    block[483:495] = b"77777777777\0"
    return resum(bytes(block)) + END_OF_ARCHIVE


def long_extension():
    """Write an extension header of 4 GB, of zeros that compress well."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    return gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(3_000_000))


def nested_extensions():
    """Write so many extension headers in a row that reading them by recursion ends badly."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 0
    return info.tobuf(tarfile.USTAR_FORMAT) * 5000 + END_OF_ARCHIVE


def encrypted(data):
    """Set the flag of encryption in a zip of one member."""
    at = data.index(b"PK\1\2")
    return data[:6] + b"\1" + data[7 : at + 8] + b"\1" + data[at + 9 :]


def method(data, number):
    """Name another compression in a zip of one member."""
    at = data.index(b"PK\1\2")
    new = struct.pack("<H", number)
    return data[:8] + new + data[10 : at + 10] + new + data[at + 12 :]


def sized(data, size_bytes):
    """Promise another size in a zip of one member."""
    at = data.index(b"PK\1\2")
    new = struct.pack("<I", size_bytes)
    return data[:22] + new + data[26 : at + 24] + new + data[at + 28 :]


ONE = zip_of([("x", 0o644, "evil")], "")
Made = tuple[Kind, Callable[[str], bytes]]


def tars() -> Iterable[tuple[str, Made]]:
    """Yield pairs: what is wrong, and the kind with a function from the outer folder to bytes."""
    for tar_format in FORMATS:
        for name, kind in itertools.product(NAMES, KINDS):
            if tar_format != "ustar" or len(name) < 100:
                members = [file("before"), (name, KINDS[kind], "before")]
                yield f"{tar_format} {kind} {name}", ("tar", _tar(members, tar_format))
        for target, kind in itertools.product(TARGETS, ("symlink", "hardlink")):
            if tar_format != "ustar" or len(target) < 100:
                members = [link("new", target, kind)]
                yield f"{tar_format} {kind} to {target}", ("tar", _tar(members, tar_format))
        for what, kind_byte in NO_FILES.items():
            members = [("new", kind_byte, "")]
            yield f"{tar_format} {what}", ("tar", _tar(members, tar_format))
    for what, members in SEQUENCES.items():
        tar_format = "pax" if "name" in what else "gnu"
        yield what, ("tar", _tar(members, tar_format))
        yield f"{what}, compressed", ("tar", _compressed(members, tar_format))


def _tar(members, tar_format):
    return lambda out: tar_of(members, tar_format, out)


def _compressed(members, tar_format):
    return lambda out: lzma.compress(tar_of(members, tar_format, out))


def _fixed(data):
    return lambda out: data


def odd_tars() -> Iterable[tuple[str, Made]]:
    """Yield archives whose headers are wrong."""
    made = {
        "a negative size": negative_size(),
        "a huge size": huge_size(),
        "a sparse file": sparse(),
        "a long extension": long_extension(),
        "nested extensions": nested_extensions(),
        "pax: a NUL": pax_with({"path": "a\0b"}),
        "pax: a path": pax_with({"path": "../new"}),
        "pax: an absolute path": pax_with({"path": "/tmp/aisio-new"}),
        "pax: sparse": pax_with({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
        "pax: a size that is none": pax_with({"size": "-1"}),
        "not an archive": b"evil" * 1000,
        "a zip": ONE,
        "nothing": b"",
        "two archives": pack(("1", b"one")) + pack(("../new", b"two")),
        "a bomb of bzip2": bz2.compress(pack(("x", bytes(30_000_000)))),
    }
    return ((what, ("tar", _fixed(data))) for what, data in made.items())


def zips() -> Iterable[tuple[str, Made]]:
    """Yield the same for zips."""
    for name in NAMES:
        for suffix, mode in (("", 0o644), ("/", 0o40755), ("", stat.S_IFLNK | 0o777)):
            members = [("before", 0o644, "x"), (name + suffix, mode, "before")]
            what = "link" if stat.S_ISLNK(mode) else suffix or "file"
            yield f"zip {what} {name}", ("zip", _zip(members))
    for target in TARGETS:
        yield f"zip link to {target}", ("zip", _zip([("new", stat.S_IFLNK | 0o777, target)]))
    for kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
        yield f"zip {oct(kind)}", ("zip", _zip([("new", kind | 0o666, "")]))
    made = {
        "encrypted": encrypted(ONE),
        "an unknown method": method(ONE, 77),
        "more than promised": sized(ONE, 2),
        "less than promised": sized(ONE, 9),
        "a bomb by its promise": sized(ONE, 0xFFFFFFF0),
        "a NUL": ONE.replace(b"x", b"\0"),
        "below a file": zip_of([("x", 0o644, "1"), ("x/new", 0o644, "2")], ""),
        "a file where a folder is": zip_of([("x/y", 0o644, "1"), ("x", 0o644, "2")], ""),
        "a long name": zip_of([("x" * 300, 0o644, "1")], ""),
        "no name": zip_of([("", 0o644, "1")], ""),
        "nothing": b"",
        "cut": ONE[:-5],
    }
    for what, data in made.items():
        yield f"zip: {what}", ("zip", _fixed(data))


def _zip(members):
    return lambda out: zip_of(members, out)


CASES = {**dict(tars()), **dict(odd_tars()), **dict(zips())}
SMALL = Limits(max_members=1000, max_ratio=1, min_bytes=10_000_000)


def snapshot(folder):
    """Return the content of a folder, with all that a write would change."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = b"" if path.is_dir() or path.is_symlink() else path.read_bytes()
        found[path] = (status.st_mode, status.st_nlink, status.st_mtime_ns, content)
    return found


def test_there_are_enough_of_them():
    """Issue: two hundred malicious members."""
    assert len(CASES) > 200


@pytest.mark.parametrize("what", CASES)
def test_ngc_22_a_malicious_archive_is_refused_and_harms_nothing(tmp_path, what):
    """NGC-22: the error names the archive. Nothing outside has changed, and there is no result."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    kind, make = CASES[what]
    path = tmp_path / "cache" / ("0" * 64 + "-x." + kind)
    path.parent.mkdir()
    path.write_bytes(make(str(outside)))
    before, names = snapshot(outside), sorted(Path("/").iterdir())
    with pytest.raises(ArchiveError) as seen:
        unpack(path, kind, limits=SMALL)
    assert str(path) in str(seen.value)
    assert snapshot(outside) == before
    assert sorted(Path("/").iterdir()) == names
    assert not Path("/tmp/aisio-new").exists()
    assert sorted(tmp_path.iterdir()) == [path.parent, outside]
    assert list(path.parent.iterdir()) == [path], "nothing under a final name, nor any other"


@pytest.mark.parametrize("what", ["gnu file ../new", "zip file ../new"])
def test_ngc_22_the_error_names_the_member_and_what_to_do(tmp_path, what):
    """NGC-22: so that a user need not search for it."""
    kind, make = CASES[what]
    path = tmp_path / f"x.{kind}"
    path.write_bytes(make(""))
    with pytest.raises(ArchiveError, match=r"member '../new' leads out .*unpack: false"):
        unpack(path, kind)


def test_ngc_22_a_result_that_was_there_stays(tmp_path):
    """NGC-22: a bad archive takes no good folder away."""
    path = tmp_path / "x.tar"
    path.write_bytes(pack(("1", b"one")))
    result = unpack(path, "tar")
    path.write_bytes(pack(("1", b"one"), ("../new", b"two")))
    with pytest.raises(ArchiveError):
        unpack(path, "tar")
    assert (result / "1").read_bytes() == b"one"


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_ngc_22_members_are_counted(tmp_path, kind):
    """NGC-22: one more than the limit is too many."""
    path = tmp_path / "x"
    many = [(f"{number}", b"") for number in range(11)]
    zipped = zip_of([(name, 0o644, "") for name, _ in many], "")
    path.write_bytes(pack(*many) if kind == "tar" else zipped)
    with pytest.raises(ArchiveError, match="limit"):
        unpack(path, kind, limits=Limits(max_members=10))
    assert len(list(unpack(path, kind, limits=Limits(max_members=11)).iterdir())) == 11


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_ngc_22_folders_that_members_need_are_counted(tmp_path, kind):
    """NGC-22: two members with long paths are more than two things on the disk."""
    path = tmp_path / "x"
    members = [("a/b/c/d/1", b""), ("a/b/c/e/2", b"")]
    zipped = zip_of([(name, 0o644, "") for name, _ in members], "")
    path.write_bytes(pack(*members) if kind == "tar" else zipped)
    with pytest.raises(ArchiveError, match="with the folders that they need"):
        unpack(path, kind, limits=Limits(max_members=6))
    assert (unpack(path, kind, limits=Limits(max_members=7)) / "a/b/c/e/2").exists()


def test_ngc_22_a_folder_that_is_a_member_is_counted_once(tmp_path):
    """NGC-22: as a member, not also as a folder that is made."""
    path = tmp_path / "x.tar"
    folders = [("a", KINDS["folder"], ""), ("a/b", KINDS["folder"], "")]
    path.write_bytes(tar_of([*folders, file("a/b/c")], "gnu", ""))
    assert (unpack(path, "tar", limits=Limits(max_members=3)) / "a/b/c").exists()
