from __future__ import annotations

import gzip
import importlib.util
import io
import os
import struct
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.gateway.archives.content import ArchiveReader, NewMember, pack
from aisio.gateway.archives.index import Index, Member, read_index
from aisio.gateway.protocol.refusals import DamagedError, Refusal
from aisio.gateway.storage.pieces import PIECE_BYTES
from tests.gateway.archive_data import (
    MEMBERS,
    make_archive,
    make_tar,
    make_zip,
    make_zip_with_wrong_size,
    read_archive,
)
from tests.tars import gnu_sparse, hard_link, pax_sparse, sparse_content

FORMATS = [".tar", ".tgz", ".zip"]


def new_members(members: dict[str, bytes]) -> list[NewMember]:
    """Return members to be written, their payloads in small pieces."""
    return [
        NewMember(name, len(data), 1000, [data[at : at + 999] for at in range(0, len(data), 999)])
        for name, data in members.items()
    ]


def zip_with_offset(offset: int) -> bytes:
    """Return a zip whose directory says that its member begins at this byte."""
    whole = make_zip({"m": b"data"})
    at = whole.index(b"PK\x01\x02")
    entry, end = bytearray(whole[at : at + 47]), bytearray(whole[at + 47 :])
    # PKWARE's APPNOTE, 4.3.12 and 4.5.3: the offset is in the extra field if its own has all bits.
    extra = struct.pack("<HHQ", 1, 8, offset)
    struct.pack_into("<H", entry, 30, len(extra))
    struct.pack_into("<I", entry, 42, 0xFFFFFFFF)
    struct.pack_into("<I", end, 12, len(entry) + len(extra))
    return whole[:at] + bytes(entry) + extra + bytes(end)


@pytest.mark.parametrize("ending", FORMATS)
def test_other_programs_read_what_is_packed(ending: str) -> None:
    """Python's own modules find the same names and bytes, in the same order."""
    data = b"".join(pack(ending, new_members(MEMBERS)))
    assert read_archive(data) == list(MEMBERS.items())


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["a\0b", "x" * 70_000])
def test_a_name_that_a_format_does_not_have_is_refused(ending: str, name: str) -> None:
    """A zip would cut it at the NUL, and then hold a file of another name."""
    with pytest.raises(Refusal, match="cannot be the name of a file") as caught:
        list(pack(ending, [NewMember(name, 1, 0, [b"x"])]))
    assert caught.value.status == 400


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("mtime_s", [-5, 1 << 40])
def test_a_time_that_a_format_does_not_have_is_no_error(ending: str, mtime_s: int) -> None:
    """A file may have any; the archive gets the next one that its format can express."""
    data = b"".join(pack(ending, [NewMember("m", 1, mtime_s, [b"x"])]))
    assert read_archive(data) == [("m", b"x")]


@pytest.mark.parametrize(
    ("size_bytes", "bits"), [(1 << 20, 32), ((1 << 31) - 1, 64), (1 << 40, 64)]
)
def test_a_zip_has_room_for_data_that_grows_when_it_is_compressed(
    size_bytes: int, bits: int
) -> None:
    """What is just below 2 GiB may be longer then, and its header has been sent."""
    pieces = pack(".zip", [NewMember("m", size_bytes, 0, [b"x"])])
    start = next(pieces)
    # The length of the extra field: PKWARE's APPNOTE, 4.3.7 and 4.5.3.
    assert int.from_bytes(start[28:30], "little") == (20 if bits == 64 else 0)


@pytest.mark.parametrize("ending", FORMATS)
def test_an_archive_without_members_is_valid(ending: str) -> None:
    """It consists of the end of an archive."""
    data = b"".join(pack(ending, ()))
    assert read_archive(data) == []


@pytest.mark.parametrize("ending", FORMATS)
def test_members_are_read_in_any_order_and_in_part(tmp_path: Path, ending: str) -> None:
    """Also backwards, where a compressed archive is decompressed from its start again."""
    (tmp_path / "a").write_bytes(make_archive(ending))
    with io.FileIO(str(tmp_path / "a")) as file:
        index = read_index(file, ending)
        reader = ArchiveReader(file, index)
        for member in [*index.members, *reversed(index.members)]:
            data = MEMBERS[member.name]
            assert b"".join(reader.pieces(member)) == data
            if len(data) > 10:
                assert b"".join(reader.pieces(member, 3, 10)) == data[3:10]


@pytest.mark.parametrize("ending", FORMATS)
def test_raw_members_make_a_tar_with_their_own_headers(tmp_path: Path, ending: str) -> None:
    """As archregx sends them: the headers are those of the archive, if that is a tar."""
    (tmp_path / "a").write_bytes(make_archive(ending))
    with io.FileIO(str(tmp_path / "a")) as file:
        index = read_index(file, ending)
        reader = ArchiveReader(file, index)
        data = b"".join(b"".join(reader.raw(member)) for member in index.members) + END_OF_ARCHIVE
    assert read_archive(data) == list(MEMBERS.items())
    if ending != ".zip":
        assert make_tar().startswith(data[: -len(END_OF_ARCHIVE)])


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("count", [2, 4])
def test_a_payload_of_the_wrong_size_is_an_error(ending: str, count: int) -> None:
    """No archive is better than one with wrong headers."""
    with pytest.raises(DamagedError, match="changed while it was read"):
        list(pack(ending, [NewMember("a", 3, 0, [b"x"] * count)]))


def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    """A payload must not be shorter than its header says."""
    path = tmp_path / "a"
    path.write_bytes(make_tar())
    with io.FileIO(str(path)) as file:
        index = read_index(file, ".tar")
        os.truncate(path, 600)
        with pytest.raises(DamagedError, match="cut while it was read"):
            list(ArchiveReader(file, index).pieces(index.members[1]))


@pytest.mark.parametrize("size", [10, 3 * PIECE_BYTES])
def test_a_zip_that_claims_more_than_it_has_is_an_error(tmp_path: Path, size: int) -> None:
    """The checksum of its payload is right, so only the size shows it."""
    (tmp_path / "a").write_bytes(make_zip_with_wrong_size("m", os.urandom(size), 1))
    with io.FileIO(str(tmp_path / "a")) as file:
        index = read_index(file, ".zip")
        with pytest.raises(DamagedError, match="'m' cannot be read: its data ends 1 bytes before"):
            list(ArchiveReader(file, index).pieces(index.members[0]))


def test_a_zip_that_cannot_be_decompressed_is_an_error(tmp_path: Path) -> None:
    """Because of an unknown compression method, a damaged member, or one that is elsewhere."""
    whole = make_zip({"m": bytes(1000)})
    unknown = whole.replace(
        b"PK\x01\x02\x14\x03\x14\0\0\0\x08", b"PK\x01\x02\x14\x03\x14\0\0\0\x63"
    )
    assert unknown != whole
    for data in (unknown, whole.replace(b"PK\x03\x04", b"PK\x03\x05"), zip_with_offset(2**64 - 1)):
        (tmp_path / "a").write_bytes(data)
        with io.FileIO(str(tmp_path / "a")) as file:
            index = read_index(file, ".zip")
            with pytest.raises(DamagedError, match="member 'm' cannot be read"):
                list(ArchiveReader(file, index).pieces(index.members[0]))


@pytest.mark.skipif(importlib.util.find_spec("lz4") is not None, reason="lz4 is installed")
def test_lz4_without_its_package_is_refused() -> None:
    """The message says how to install it."""
    with pytest.raises(Refusal, match="pip install lz4"):
        list(pack(".tar.lz4", new_members(MEMBERS)))


@pytest.mark.skipif(importlib.util.find_spec("lz4") is None, reason="lz4 is not installed")
def test_lz4_round_trips(tmp_path: Path) -> None:
    """Written and read by the package."""
    (tmp_path / "a").write_bytes(b"".join(pack(".tar.lz4", new_members(MEMBERS))))
    with io.FileIO(str(tmp_path / "a")) as file:
        index = read_index(file, ".tar.lz4")
        reader = ArchiveReader(file, index)
        found = {member.name: b"".join(reader.pieces(member)) for member in index.members}
    assert found == MEMBERS


@pytest.mark.parametrize("ending", [".tar", ".tgz"])
@pytest.mark.parametrize("behind", [b"", make_tar()])
def test_sparse_files_are_read_as_what_they_are_of(
    tmp_path: Path, ending: str, behind: bytes
) -> None:
    """As AIStore 5.0 reads them, which has a hard link's payload empty."""
    data = gnu_sparse("0.npy", spans=30) + pax_sparse("1.npy") + hard_link("2.npy", "1.npy")
    data += behind or END_OF_ARCHIVE
    (tmp_path / "a").write_bytes(gzip.compress(data) if ending == ".tgz" else data)
    with io.FileIO(str(tmp_path / "a")) as file:
        index = read_index(file, ending)
        assert not index.damage
        reader = ArchiveReader(file, index)
        first, second, link, *_ = index.members
        assert (first.size_bytes, second.size_bytes, link.size_bytes) == (30 * 4096, 8192, 0)
        assert b"".join(reader.pieces(second)) == sparse_content()
        assert b"".join(reader.pieces(first, 5, 4200)) == sparse_content(30)[5:4200]
        rewritten = b"".join([*reader.raw(second), *reader.raw(link), END_OF_ARCHIVE])
        assert read_archive(rewritten)[0] == ("1.npy", sparse_content())


def test_an_archive_that_ends_in_a_sparse_file_is_appended_to_behind_it(tmp_path: Path) -> None:
    """Its stored bytes are fewer than its content has."""
    data = pax_sparse("1.npy")
    (tmp_path / "a").write_bytes(data + END_OF_ARCHIVE)
    with io.FileIO(str(tmp_path / "a")) as file:
        assert read_index(file, ".tar").end_offset == len(data)


def test_a_sparse_file_without_a_valid_size_is_damage(tmp_path: Path) -> None:
    """It is not taken for an empty one."""
    (tmp_path / "a").write_bytes(pax_sparse("1.npy").replace(b"=8192", b"=many") + make_tar())
    with io.FileIO(str(tmp_path / "a")) as file:
        assert "member '1.npy' at byte 0 is a sparse file" in read_index(file, ".tar").damage


def test_a_sparse_file_whose_map_is_wrong_is_damage(tmp_path: Path) -> None:
    """The others can be read."""
    data = pax_sparse("1.npy").replace(b"4096\n", b"8000\n") + make_tar()
    (tmp_path / "a").write_bytes(data)
    with io.FileIO(str(tmp_path / "a")) as file:
        index = read_index(file, ".tar")
        reader = ArchiveReader(file, index)
        assert b"".join(reader.pieces(index.members[1])) == MEMBERS[index.members[1].name]
        with pytest.raises(DamagedError, match="a span of a sparse file ends"):
            b"".join(reader.pieces(index.members[0]))


@pytest.mark.parametrize(
    ("size_bytes", "stored_bytes", "what"),
    [
        (3 << 30, 3 << 30, "over 1,073,741,824"),
        (8192, 3 << 30, "3,221,22.,... bytes are stored of a sparse file of 8,192"),
    ],
)
def test_a_sparse_file_that_is_too_large_is_not_read(
    tmp_path: Path, size_bytes: int, stored_bytes: int, what: str
) -> None:
    """It would be in memory as a whole."""
    info = tarfile.TarInfo("GNUSparseFile.0/m")
    info.size = stored_bytes
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    info.pax_headers |= {"GNU.sparse.name": "m", "GNU.sparse.realsize": str(size_bytes)}
    header = info.tobuf(tarfile.PAX_FORMAT)
    with (tmp_path / "a").open("wb") as archive:
        archive.write(header)
        archive.truncate(len(header) + stored_bytes + len(END_OF_ARCHIVE))  # a hole
    member = Member("m", size_bytes, 0, len(header), False, len(header) + stored_bytes)
    with io.FileIO(str(tmp_path / "a")) as file:
        tracemalloc.start()
        try:
            with pytest.raises(DamagedError, match=what):
                list(ArchiveReader(file, Index(".tar", (member,), "")).pieces(member))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16 << 20
