"""Reading archives by many writers, and the parser's crank."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError, ShardError
from aisio.formats.tar import (
    END,
    END_OF_ARCHIVE,
    NEED_DATA,
    TarMember,
    TarParser,
    header,
)
from tests.tars import LONG_NAME, pack, pack_by_gnu_tar, pack_by_tarfile, read_all, resum

TARFILE_FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.FIFOTYPE: "other",
}
NAMES = st.lists(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
        lambda part: part not in (".", "..") and len(part.encode()) < 90
    ),
    min_size=1,
    max_size=3,
).map("/".join)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=6)


def read_by_tarfile(data: bytes) -> list[tuple[TarMember, bytes]]:
    """Read an archive by Python's tarfile."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            payload = file.read() if file else b""
            member = TarMember(
                info.name,
                KINDS[info.type],  # type: ignore[arg-type]
                len(payload),
                info.offset,
                info.offset_data,
                info.mode,
                info.mtime,
                info.linkname,
            )
            found.append((member, payload))
    return found


def fill(folder: Path, *, long_names: bool) -> None:
    """Make a folder of everything that an archive may hold."""
    (folder / "empty").mkdir()
    (folder / "0001.jpg").write_bytes(os.urandom(3000))
    (folder / "0001.cls").write_bytes(b"7")
    (folder / "none.txt").write_bytes(b"")
    (folder / "größe-日本.txt").write_bytes(b"x" * 512)
    (folder / "soft.jpg").symlink_to("0001.jpg")
    os.link(folder / "0001.jpg", folder / "twice.jpg")
    if long_names:
        os.mkfifo(folder / "pipe")
        (folder / LONG_NAME).parent.mkdir(parents=True)
        (folder / LONG_NAME).write_bytes(b"deep")
        (folder / "far.png").symlink_to(LONG_NAME)


@pytest.mark.parametrize("tar_format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_gnu_tar_archives_read_as_tarfile_reads_them(tmp_path: Path, tar_format: str):
    """Names, kinds, sizes, places, links and payloads agree, in each format of GNU tar."""
    fill(tmp_path, long_names=tar_format in ("gnu", "posix"))
    data = pack_by_gnu_tar(tmp_path, f"--format={tar_format}")
    found = read_all(data)
    assert found == read_by_tarfile(data)
    kinds = {member.kind for member, _ in found}
    assert kinds >= {"file", "directory", "symlink", "hardlink"}


@pytest.mark.parametrize("tar_format", TARFILE_FORMATS)
def test_tarfile_archives_with_links_and_directories_read_alike(tmp_path: Path, tar_format: int):
    """Names, kinds, sizes, places, links and payloads agree, in each format of tarfile."""
    fill(tmp_path, long_names=tar_format != tarfile.USTAR_FORMAT)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tar_format) as archive:
        archive.add(tmp_path, ".")
    assert read_all(file.getvalue()) == read_by_tarfile(file.getvalue())


@pytest.mark.parametrize("tar_format", TARFILE_FORMATS)
@given(members=MEMBERS)
def test_any_names_and_payloads_come_back(tar_format: int, members: list[tuple[str, bytes]]):
    """What tarfile packs comes out, whole and in order, in each of its formats."""
    found = read_all(pack_by_tarfile(members, tar_format))
    assert [(member.name, payload) for member, payload in found] == members


@given(members=MEMBERS, step_bytes=st.sampled_from([1, 7, 511, 513]))
def test_one_byte_at_a_time_is_the_same_as_all_at_once(
    members: list[tuple[str, bytes]], step_bytes: int
):
    """How the input is cut into pieces changes nothing."""
    data = pack_by_tarfile([*members, (LONG_NAME, b"end")], tarfile.PAX_FORMAT)
    assert read_all(data, step_bytes=step_bytes) == read_all(data)


def test_ustar_prefix_is_joined_to_the_name(tmp_path: Path):
    """A name of up to 255 bytes is split by ustar at a slash (POSIX, ustar)."""
    name = "d" * 90 + "/" + "e" * 60 + "/" + "f" * 90 + ".jpg"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"data")
    found = read_all(pack_by_gnu_tar(tmp_path, "--format=ustar", "--no-recursion", f"./{name}"))
    assert (f"./{name}", b"data") in [(member.name, payload) for member, payload in found]


def test_gnu_header_has_no_prefix():
    """An old GNU header keeps times where ustar has its prefix; they are no part of the name."""
    block = bytearray(header("1.jpg", 0))
    block[257:265] = b"ustar  \0"
    block[345:357] = b"14752137000\0"
    [(member, _)] = read_all(resum(bytes(block)) + END_OF_ARCHIVE)
    assert member.name == "1.jpg"


def test_signed_checksum_is_accepted():
    """Some writers of old summed signed bytes."""
    block = header("größe.jpg", 0)
    signed = sum(byte - 256 * (byte > 127) for byte in block[:148] + b" " * 8 + block[156:])
    block = block[:148] + b"%06o\0 " % signed + block[156:]
    assert read_all(block + END_OF_ARCHIVE)[0][0].name == "größe.jpg"


def test_v7_directory_is_a_name_with_a_slash():
    """Before POSIX a directory was a regular file whose name ends with a slash."""
    block = bytearray(header("folder", 0))
    block[6:7] = b"/"
    block[156:157] = b"\0"
    [(member, _)] = read_all(resum(bytes(block)) + END_OF_ARCHIVE)
    assert (member.name, member.kind) == ("folder", "directory")


def test_size_of_a_directory_is_no_payload():
    """A directory's size is a hint to some systems (POSIX, ustar): no blocks follow it."""
    block = header("folder", 5000)
    found = read_all(resum(block[:156] + b"5" + block[157:]) + pack(("1.jpg", b"J")))
    assert [(member.name, payload) for member, payload in found] == [
        ("folder", b""),
        ("1.jpg", b"J"),
    ]


def test_contiguous_file_is_a_file_and_volume_label_is_not():
    """Type 7 is read as a file; GNU's volume label holds no data and disturbs nothing."""
    contiguous, label = (
        resum(block[:156] + flag + block[157:])
        for block, flag in ((header("1.jpg", 3), b"7"), (header("my-volume", 0), b"V"))
    )
    found = read_all(label + contiguous + b"abc".ljust(512, b"\0") + END_OF_ARCHIVE)
    assert [(member.kind, payload) for member, payload in found] == [
        ("other", b""),
        ("file", b"abc"),
    ]


def test_global_pax_records_hold_until_a_member_says_otherwise():
    """Records of a "g" header hold for all members, those of an "x" header beat them for one."""
    file = io.BytesIO()
    with tarfile.open(
        fileobj=file, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"mtime": "12.5"}
    ) as archive:
        for name, records in (("1.txt", {}), ("2.txt", {"mtime": "99.25"}), ("3.txt", {})):
            info = tarfile.TarInfo(name)
            info.pax_headers = records
            archive.addfile(info)
    found = [member for member, _ in read_all(file.getvalue())]
    assert [member.mtime_s for member in found] == [12.5, 99.25, 12.5]
    assert found[0].offset == 1024, "a global header is no member's own"


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sizes_over_8_gib_are_read_and_skipped(tar_format: Literal[1, 2]):
    """Base-256 and PAX sizes are right: after skipping 10 GiB the next member is found."""
    info = tarfile.TarInfo("big.bin")
    info.size = 10 * 2**30
    step_bytes = 64 * 2**20
    parser = TarParser(buffer_bytes=step_bytes)
    parser.feed(info.tobuf(tar_format))
    big = parser.next_event()
    assert isinstance(big, TarMember)
    assert big.size_bytes == info.size
    parser.skip_payload()
    for _ in range(info.size // step_bytes):
        assert parser.next_event() is NEED_DATA
        assert len(parser.get_buffer()) == step_bytes
        parser.buffer_updated(step_bytes)
    assert parser.next_event() is NEED_DATA
    parser.feed(pack(("after.txt", b"here")))
    after = parser.next_event()
    assert isinstance(after, TarMember)
    assert after.data_offset == big.data_offset + info.size + 512
    assert parser.read_payload() == b"here"


def test_payload_larger_than_the_buffer_is_read_whole():
    """read_payload() asks for data until all of a member is there."""
    payload = os.urandom(10_000)
    stream = io.BytesIO(pack(("1.bin", payload), ("2.bin", b"next")))
    parser = TarParser(buffer_bytes=1024)
    payloads = []
    while (event := parser.next_event()) is not END:
        if event is NEED_DATA:
            read_some(parser, stream)
            continue
        while (piece := parser.read_payload()) is NEED_DATA:
            read_some(parser, stream)
        payloads.append(piece)
    assert payloads == [payload, b"next"]


def read_some(parser: TarParser, stream: io.BytesIO) -> None:
    """Do what the parser asks for with NEED_DATA."""
    count = stream.readinto(parser.get_buffer())
    if count:
        parser.buffer_updated(count)
    else:
        parser.finish()


def test_pieces_after_a_begun_read_payload_lose_nothing():
    """next_event() after an unfinished read_payload() gives what that call had gathered, too."""
    data = pack(("1.bin", b"abcdef"))
    parser = TarParser()
    parser.feed(data[:515])
    assert isinstance(parser.next_event(), TarMember)
    assert parser.read_payload() is NEED_DATA
    parser.feed(data[515:])
    assert parser.next_event() == b"abcdef"


def test_begun_read_payload_can_be_skipped():
    """skip_payload() forgets what read_payload() had gathered: the next payload is its own."""
    data = pack(("1.bin", b"abcdef"), ("2.bin", b"next"))
    parser = TarParser()
    parser.feed(data[:515])
    assert isinstance(parser.next_event(), TarMember)
    assert parser.read_payload() is NEED_DATA
    parser.skip_payload()
    parser.feed(data[515:])
    assert isinstance(parser.next_event(), TarMember)
    assert parser.read_payload() == b"next"


def test_rest_of_a_payload_can_be_skipped_after_a_piece():
    """skip_payload() passes over what is left, and the next member is found."""
    parser = TarParser()
    data = pack(("1.bin", bytes(5000)), ("2.bin", b"next"))
    parser.feed(data[:1000])
    assert isinstance(parser.next_event(), TarMember)
    assert parser.next_event() == bytes(1000 - 512)
    parser.skip_payload()
    parser.feed(data[1000:])
    member = parser.next_event()
    assert isinstance(member, TarMember)
    assert member.name == "2.bin"


def test_end_is_said_only_after_the_input_ended():
    """Until finish() there may be more bytes behind the end-of-archive block."""
    parser = TarParser()
    parser.feed(END_OF_ARCHIVE)
    assert parser.next_event() is NEED_DATA
    parser.feed(bytes(10_240 - 1024))
    assert parser.next_event() is NEED_DATA
    parser.finish()
    assert parser.next_event() is END
    assert parser.next_event() is END


def test_full_buffer_is_refused():
    """A caller who never asks for events is told so."""
    parser = TarParser(buffer_bytes=1024)
    parser.feed(bytes(1024))
    with pytest.raises(BufferError, match="next_event"):
        parser.get_buffer()
    with pytest.raises(ValueError, match="count=1"):
        parser.buffer_updated(1)
    with pytest.raises(ConfigError, match="1024"):
        TarParser(buffer_bytes=1023)


def test_error_is_raised_again_at_each_later_event():
    """After an error nothing more comes out, whatever is fed."""
    parser = TarParser("ais://b/x.tar")
    parser.feed(b"junk" * 128)
    for _ in range(2):
        with pytest.raises(ShardError, match=r"ais://b/x\.tar: not a tar archive") as caught:
            parser.next_event()
        assert (caught.value.url, caught.value.offset) == ("ais://b/x.tar", 0)
        parser.feed(pack(("1.txt", b"1")))
