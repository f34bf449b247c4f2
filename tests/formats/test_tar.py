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
from aisio.formats.tar import END, NEED_DATA, TarMember, TarParser
from aisio.formats.tar_write import END_OF_ARCHIVE
from tests.tars import LONG_NAME, pack, pack_by_gnu_tar, pack_by_tarfile, read_all

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
    """Fill a folder with everything that an archive may hold."""
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
    """Names, kinds, sizes, offsets, links and payloads agree, in each format of GNU tar."""
    fill(tmp_path, long_names=tar_format in ("gnu", "posix"))
    data = pack_by_gnu_tar(tmp_path, f"--format={tar_format}")
    found = read_all(data)
    assert found == read_by_tarfile(data)
    kinds = {member.kind for member, _ in found}
    assert kinds >= {"file", "directory", "symlink", "hardlink"}


@pytest.mark.parametrize("tar_format", TARFILE_FORMATS)
def test_tarfile_archives_with_links_and_directories_read_alike(tmp_path: Path, tar_format: int):
    """Names, kinds, sizes, offsets, links and payloads agree, in each format of tarfile."""
    fill(tmp_path, long_names=tar_format != tarfile.USTAR_FORMAT)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tar_format) as archive:
        archive.add(tmp_path, ".")
    assert read_all(file.getvalue()) == read_by_tarfile(file.getvalue())


@pytest.mark.parametrize("tar_format", TARFILE_FORMATS)
@given(members=MEMBERS)
def test_any_names_and_payloads_come_back(tar_format: int, members: list[tuple[str, bytes]]):
    """Members that tarfile packs are read whole and in order, in each of its formats."""
    found = read_all(pack_by_tarfile(members, tar_format))
    assert [(member.name, payload) for member, payload in found] == members


@given(members=MEMBERS, step_bytes=st.sampled_from([1, 7, 511, 513]))
def test_one_byte_at_a_time_is_the_same_as_all_at_once(
    members: list[tuple[str, bytes]], step_bytes: int
):
    """The result does not depend on how the input is cut into pieces."""
    data = pack_by_tarfile([*members, (LONG_NAME, b"end")], tarfile.PAX_FORMAT)
    assert read_all(data, step_bytes=step_bytes) == read_all(data)


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
    """read_payload() needs data until all of a payload has come."""
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
    """Add data after NEED_DATA."""
    count = stream.readinto(parser.get_buffer())
    if count:
        parser.buffer_updated(count)
    else:
        parser.finish()


def test_pieces_after_an_unfinished_read_payload_lose_nothing():
    """next_event() after an unfinished read_payload() returns what that has collected, too."""
    data = pack(("1.bin", b"abcdef"))
    parser = TarParser()
    parser.feed(data[:515])
    assert isinstance(parser.next_event(), TarMember)
    assert parser.read_payload() is NEED_DATA
    parser.feed(data[515:])
    assert parser.next_event() == b"abcdef"


def test_unfinished_read_payload_can_be_skipped():
    """skip_payload() drops the bytes that read_payload() has collected."""
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
    """skip_payload() skips the rest, and the next member is found."""
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


def test_end_is_returned_only_after_the_input_ended():
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
    """The error tells the caller to call next_event()."""
    parser = TarParser(buffer_bytes=1024)
    parser.feed(bytes(1024))
    with pytest.raises(BufferError, match="next_event"):
        parser.get_buffer()
    with pytest.raises(ValueError, match="count=1"):
        parser.buffer_updated(1)
    with pytest.raises(ConfigError, match="1024"):
        TarParser(buffer_bytes=1023)


def test_error_is_raised_again_at_each_later_event():
    """After an error the parser returns nothing more, whatever is fed."""
    parser = TarParser("ais://b/x.tar")
    parser.feed(b"junk" * 128)
    for _ in range(2):
        with pytest.raises(ShardError, match=r"ais://b/x\.tar: not a tar archive") as caught:
            parser.next_event()
        assert (caught.value.url, caught.value.offset) == ("ais://b/x.tar", 0)
        parser.feed(pack(("1.txt", b"1")))


@pytest.mark.parametrize("step_bytes", [1, 300, 512, 1 << 20])
def test_settled_offset_is_never_behind_the_start_of_a_later_member(step_bytes: int):
    """Extension headers included, however the bytes come; at the end it is the archive's end."""
    long = "d/" * 200 + "2.jpg"
    members = [("1.jpg", b"J" * 700), (LONG_NAME, b"x"), (long, b""), ("3.jpg", b"")]
    data = pack(*members)
    starts = [member.offset for member, _ in read_all(data)]
    parser, position = TarParser("x", buffer_bytes=1 << 16), 0
    returned: list[int] = []
    while (event := parser.next_event()) is not END:
        if isinstance(event, TarMember):
            returned.append(event.offset)
        elif event is NEED_DATA:
            later = [start for start in starts if start not in returned]
            assert parser.settled_offset <= min(later, default=len(data) - 1024)
            parser.feed(data[position : position + step_bytes])
            position += step_bytes
            if position >= len(data):
                parser.finish()
    assert returned == starts
    assert parser.settled_offset == parser.end_offset == len(data) - 1024
