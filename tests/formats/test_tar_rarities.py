"""Rare members and records: none of them makes what stands beside it unreadable."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aisio.errors import ShardError
from aisio.formats.tar import END, NEED_DATA, TarMember, TarParser
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from tests.tars import gnu_sparse, pack, pack_by_gnu_tar, pax_sparse, read_all, resum, typed

PLAIN = pack(("1.jpg", b"image"), ("1.cls", b"7"))


def pax(**records: str) -> bytes:
    """Write a PAX header for the next member, with these records."""
    member = tarfile.TarInfo("x")
    member.pax_headers = records
    return member.tobuf(tarfile.PAX_FORMAT)[:-512]


def read_lenient(data: bytes, *, step_bytes: int) -> list[TarMember]:
    """List the members of an archive, unreadable ones included."""
    parser = TarParser("test.tar", allow_unreadable=True)
    stream = io.BytesIO(data)
    found = []
    while (event := parser.next_event()) is not END:
        if isinstance(event, TarMember):
            parser.skip_payload()
            found.append(event)
        elif event is NEED_DATA:
            piece = stream.read(step_bytes)
            parser.feed(piece)
            if not piece:
                parser.finish()
    return found


@pytest.mark.parametrize("step_bytes", [1, 100, 1 << 20])
@pytest.mark.parametrize(
    ("rare", "name"),
    [
        (gnu_sparse("1.npy"), "1.npy"),
        (gnu_sparse("1.npy", spans=26), "1.npy"),
        (gnu_sparse("1.npy", spans=47), "1.npy"),
        (pax_sparse("1.npy"), "1.npy"),
        (typed(b"M", "1.bin", b"x" * 700), "1.bin"),
        (typed(b"Z", "1.bin", b"x" * 700), "1.bin"),
    ],
    ids=["sparse", "two maps", "three maps", "pax sparse", "continuation", "unknown"],
)
def test_unreadable_members_come_without_a_payload(rare: bytes, name: str, step_bytes: int):
    """Their data, and the map of a sparse file, are skipped: the next members are found."""
    expected, beside = read_lenient(PLAIN, step_bytes=512), [rare + PLAIN, PLAIN[:2048] + rare]
    first, *others = read_lenient(beside[0], step_bytes=step_bytes)
    assert (first.name, first.size_bytes, first.offset) == (name, 0, 0)
    assert first.kind in ("other", "sparse")
    assert first.unreadable
    assert [member.name for member in others] == [member.name for member in expected]
    *others, last = read_lenient(beside[1] + END_OF_ARCHIVE, step_bytes=step_bytes)
    assert (others, last.name) == (expected, name)


@pytest.mark.parametrize("make", [gnu_sparse, pax_sparse], ids=["gnu", "pax"])
def test_unreadable_members_are_an_error_by_default(make: Callable[[str], bytes]):
    """By default a caller would take a file without a payload for an empty one."""
    with pytest.raises(ShardError, match=r"test\.tar: member '1\\n\.npy' at byte 0 is a spa"):
        read_all(make("1\n.npy") + PLAIN)


def test_sparse_files_of_gnu_tar_are_passed_over(tmp_path: Path):
    """In both of its formats, with maps of several blocks."""
    with (tmp_path / "1.npy").open("wb") as file:
        for hole in range(40):
            file.seek(hole * 65536)
            file.write(b"data")
    (tmp_path / "1.txt").write_bytes(b"text")
    for tar_format in ("gnu", "posix"):
        options = ("--sparse", "--hole-detection=raw", f"--format={tar_format}")
        found = read_lenient(pack_by_gnu_tar(tmp_path, *options), step_bytes=10_000)
        names = [(member.name, bool(member.unreadable)) for member in found]
        assert names == [(".", False), ("./1.npy", True), ("./1.txt", False)]


@pytest.mark.parametrize(
    ("flag", "data"),
    [(b"D", b"Y1.jpg\0Y1.cls\0\0"), (b"A", b"user::rwx"), (b"X", b"19 comment=no name\n")],
)
def test_members_that_describe_files_are_passed_over(flag: bytes, data: bytes):
    """GNU's directories of --listed-incremental and Solaris's lists and headers are no files."""
    found = read_all(typed(flag, "d", data) + PLAIN, step_bytes=100)
    files = [(member.name, payload) for member, payload in found if member.kind == "file"]
    assert files == [("1.jpg", b"image"), ("1.cls", b"7")]


def test_an_incremental_archive_is_read(tmp_path: Path):
    """As GNU tar writes it."""
    (tmp_path / "files/d").mkdir(parents=True)
    (tmp_path / "files/d/1.jpg").write_bytes(b"image")
    option = f"--listed-incremental={tmp_path}/snapshot"
    found = read_all(pack_by_gnu_tar(tmp_path / "files", option))
    assert [(member.name, member.kind, payload) for member, payload in found] == [
        (".", "directory", b""),
        ("./d", "directory", b""),
        ("./d/1.jpg", "file", b"image"),
    ]


def test_a_solaris_header_names_the_next_member():
    """Its records are those of a PAX header."""
    solaris = typed(b"X", "x", b"17 path=long.jpg\n")
    [(member, payload)] = read_all(solaris + pack(("short", b"image")))
    assert (member.name, payload) == ("long.jpg", b"image")


@pytest.mark.parametrize("time", ["nan", "inf", "-1e300", "9" * 20, "soon", "1e9", "-5.5", ""])
def test_odd_times_are_no_damage(time: str):
    """No byte of data depends on a time, so an invalid one is 0.0."""
    expected = {"1e9": 1e9, "-5.5": -5.5, "": 3.0}.get(time, 0.0)
    [(member, payload)] = read_all(
        pax(mtime=time) + header("1.jpg", 1, mtime_s=3) + b"i" + padding(1) + END_OF_ARCHIVE
    )
    assert (member.mtime_s, payload) == (expected, b"i")


def test_a_time_that_is_no_number_is_no_damage():
    """In the header itself as well."""
    block = header("1.jpg", 0)
    [(member, _)] = read_all(resum(block[:136] + b"99999999999\0" + block[148:]) + END_OF_ARCHIVE)
    assert member.mtime_s == 0.0


def test_control_characters_in_urls_are_escaped_in_errors():
    """A terminal might act on them."""
    parser = TarParser("file:///a\x1b[31m\n.tar")
    parser.finish()
    with pytest.raises(ShardError, match=r"^file:///a\\x1b\[31m\\n\.tar: empty"):
        parser.next_event()


@pytest.mark.parametrize("flag", [b"Z", b"8", b"N"])
def test_members_of_unknown_types_without_data_are_no_damage(flag: bytes):
    """Nothing can be lost with them; with data they may be files."""
    first, *others = read_lenient(typed(flag, "1.bin") + PLAIN, step_bytes=512)
    assert (first.kind, first.unreadable, first.unknown_type) == ("other", "", repr(flag))
    assert [member.name for member in others] == ["1.jpg", "1.cls"]
    assert not any(member.unknown_type for member in others)
    assert read_all(typed(flag, "1.bin") + PLAIN)[1][1] == b"image"


@pytest.mark.parametrize("tar_format", ["gnu", "posix"])
def test_a_file_that_an_earlier_volume_began_is_refused(tmp_path: Path, tar_format: str):
    """As GNU tar writes it; in POSIX's format it looks like a whole file of another name."""
    (tmp_path / "1.bin").write_bytes(bytes(range(256)) * 200)
    (tmp_path / "2.txt").write_bytes(b"text")
    volumes = [tmp_path / f"v{number}.tar" for number in range(3)]
    command = ["tar", "-C", str(tmp_path), f"--format={tar_format}", "-M", "-L", "40"]
    command += [option for volume in volumes for option in ("-f", str(volume))]
    subprocess.run([*command, "-c", "1.bin", "2.txt"], check=True)
    first, last = read_lenient(volumes[1].read_bytes(), step_bytes=1000)
    assert first.unreadable == "the continuation of a file in another volume"
    assert (last.name, last.kind) == ("2.txt", "file")
    with pytest.raises(ShardError, match=r"cut at byte .*inside member '1\.bin'"):
        read_lenient(volumes[0].read_bytes(), step_bytes=1000)


@pytest.mark.parametrize("tar_format", ["gnu", "posix"])
def test_a_volume_label_is_passed_over(tmp_path: Path, tar_format: str):
    """It is a member, or in a header of all."""
    (tmp_path / "1.txt").write_bytes(b"text")
    data = pack_by_gnu_tar(tmp_path, f"--format={tar_format}", "--label=1.label")
    files = [(member.name, payload) for member, payload in read_all(data) if member.kind == "file"]
    assert files == [("./1.txt", b"text")]
