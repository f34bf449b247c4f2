"""Members are written to a folder, and a folder is compared with them."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
import zipfile

import pytest

from aisio.errors import ArchiveError
from aisio.resources.unpack.archives import _MemberWriter
from aisio.resources.unpack.compressed import Limits
from aisio.resources.unpack.members import Allowance, Member
from aisio.resources.unpack.unpack import (
    is_complete,
    result_of,
    unpack,
)
from tests.tars import pack


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
    """Or it would be unpacked again at each load. A later change is still noticed."""
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


def test_a_hard_link_is_compared_each_time(tmp_path):
    """As a file of its own it may change, and keep its size and time."""
    path = tmp_path / "x.tar"
    path.write_bytes(appended(("a", b"right"), ("b", b"=a")))
    link = unpack(path, "tar") / "b"
    for content, expected in ((b"right", True), (b"wrong", False), (b"right!", False)):
        link.unlink()
        link.write_bytes(content)
        os.utime(link, (1000, 1000))
        assert is_complete(path, "tar") is expected
    (link.parent / "a").unlink()
    assert not is_complete(path, "tar")


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
    """The bytes are right."""
    path = tmp_path / "x.tar"
    info = tarfile.TarInfo("1")
    info.pax_headers = {"mtime": mtime}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert (unpack(path, "tar") / "1").exists()


@pytest.mark.parametrize("target", ["./b", "b/", "d/../b", ".//b"])
def test_a_link_is_compared_as_it_is_written(tmp_path, target):
    """A result with such a link is complete: it is not unpacked again."""
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


def test_what_stood_in_the_way_is_replaced(tmp_path):
    """A link with the name of the folder, and files that a killed process left."""
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


def test_ngc_22_a_hard_link_that_becomes_a_copy_is_counted(tmp_path, monkeypatch):
    """NGC-22: a file has 65,000 links at most on ext4, and then each costs its bytes again."""
    path, data = tmp_path / "x.tar", io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("x")
        info.size = 20_000
        archive.addfile(info, io.BytesIO(bytes(20_000)))
        info = tarfile.TarInfo("y")
        info.type, info.linkname = tarfile.LNKTYPE, "x"
        archive.addfile(info)
    path.write_bytes(data.getvalue())
    limits = Limits(max_ratio=1, min_bytes=30_000)
    result = unpack(path, "tar", limits=limits)
    assert (result / "y").stat().st_nlink == 2

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    monkeypatch.setattr(os, "link", refuse)
    assert (unpack(path, "tar", limits=limits) / "y").exists(), "what is complete is kept"
    (result / "y").unlink()
    with pytest.raises(ArchiveError, match="'y' is over the limit"):
        unpack(path, "tar", limits=limits)
    unpack(path, "tar", limits=Limits(max_ratio=1, min_bytes=40_000))
    assert (result / "y").read_bytes() == bytes(20_000)
    assert (result / "y").stat().st_nlink == 1


def test_ngc_22_names_that_differ_in_case_are_refused_where_they_collide(tmp_path):
    """NGC-22: on such a file system the second would silently replace the first."""
    path = tmp_path / "x.tar"
    path.touch()
    writer = _MemberWriter(tmp_path, Allowance(path, Limits()), folds_case=True)
    writer.write(Member("a/X", ("a", "X"), "file"))
    writer.write(Member("a/y", ("a", "y"), "file"))
    with pytest.raises(ArchiveError, match="upper and lower case"):
        writer.write(Member("A/z", ("A", "z"), "file"))
