"""Cut, damaged and foreign archives: always a ShardError, never a crash, never a silent loss."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.errors import ShardError
from aisio.formats.tar import NEED_DATA, TarMember, TarParser
from aisio.formats.tar_write import END_OF_ARCHIVE, header
from tests.tars import LONG_NAME, pack, pack_by_gnu_tar, pack_by_tarfile, read_all, resum, typed

PAX = pack_by_tarfile([("1.jpg", b"abc"), (LONG_NAME, b"x" * 600)], tarfile.PAX_FORMAT)
GNU = pack_by_tarfile([("1.jpg", b"abc"), (LONG_NAME, b"x" * 600)], tarfile.GNU_FORMAT)
PLAIN = pack(("1.jpg", b"abc"), ("1.cls", b"7"), ("2.jpg", b"x" * 1024))


def zipped() -> bytes:
    """Write a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.jpg", b"abc")
    return file.getvalue()


def extension(flag: bytes, payload: bytes) -> bytes:
    """Write an extension header."""
    block = header("PaxHeader", len(payload))
    block = resum(block[:156] + flag + block[157:])
    return block + payload + bytes(-len(payload) % 512)


@pytest.mark.parametrize("data", [PLAIN, PAX, GNU], ids=["plain", "pax", "gnu"])
def test_cut_at_any_byte_is_an_error_that_says_where(data: bytes):
    """Every cut before the end of the first block of zeros is seen, header borders included."""
    end = len(data.rstrip(b"\0"))
    end += -end % 512 + 512
    for stop in range(1, end):
        with pytest.raises(ShardError, match=f"cut at byte {stop}[:,]") as caught:
            read_all(data[:stop])
        assert caught.value.offset == stop
    for stop in range(end, len(data)):
        assert read_all(data[:stop]) == read_all(data)


def test_cut_says_what_it_cut():
    """The text names the member, the header or the missing end, and what to do."""
    for stop, what in (
        (514, "inside member '1.jpg'; write or copy the shard again"),
        (1023, "inside member '1.jpg'"),
        (1024, "end-of-archive block is missing (after member '1.jpg')"),
        (1030, "inside the header at byte 1024"),
        (30, "or not a tar archive: less than one header"),
    ):
        with pytest.raises(ShardError) as caught:
            read_all(PLAIN[:stop])
        assert what in str(caught.value)
    with pytest.raises(ShardError, match="inside an extension header"):
        read_all(PAX[: PAX.index(b"path=") + 10])


def test_empty_input_is_an_error():
    """Zero bytes are no archive: an empty one still has its end-of-archive block."""
    with pytest.raises(ShardError, match=r"test\.tar: empty"):
        read_all(b"")
    assert read_all(END_OF_ARCHIVE) == []


@pytest.mark.parametrize("data", [PLAIN, PAX, GNU], ids=["plain", "pax", "gnu"])
def test_changed_byte_of_a_header_is_seen_or_harmless(data: bytes):
    """Any byte of any header, changed: a ShardError, or the very same members."""
    expected = read_all(data)
    headers = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    assert len(headers) >= 3
    for position in (at + index for at in headers for index in range(512)):
        for mask in (0x01, 0x20, 0x80):
            changed = bytearray(data)
            changed[position] ^= mask
            with suppress(ShardError):
                assert read_all(bytes(changed)) == expected


@given(st.binary(max_size=3000))
def test_random_bytes_are_a_shard_error(data: bytes):
    """Bytes of no archive give a ShardError and nothing else."""
    with pytest.raises(ShardError):
        read_all(b"?" + data)


@settings(max_examples=300)
@given(
    at=st.integers(0, 511),
    change=st.binary(min_size=1, max_size=40),
    flag=st.sampled_from(b"0\x001257VLKxgSMX"),
    payload=st.binary(max_size=100),
)
def test_random_headers_with_a_right_checksum_cannot_crash(
    at: int, change: bytes, flag: int, payload: bytes
):
    """A header of random fields gives members or a ShardError, and comes to an end."""
    block = bytearray(header("1.jpg", len(payload)))
    block[156] = flag
    block[at : at + len(change)] = change
    data = resum(bytes(block[:512])) + payload.ljust(512, b"\0") + PLAIN
    with suppress(ShardError):
        for member, found in read_all(data):
            assert len(found) == member.size_bytes


@pytest.mark.parametrize("at", [124, 136], ids=["size", "mtime"])
@given(field=st.binary(min_size=12, max_size=12))
def test_random_number_fields_cannot_crash(at: int, field: bytes):
    """Whatever stands in a number field, it is read or refused."""
    block = header("1.jpg", 0)
    with suppress(ShardError):
        read_all(resum(block[:at] + field + block[at + 12 :]) + END_OF_ARCHIVE)


def test_overwritten_header_inside_an_archive_is_damage():
    """A lost header is not skipped: the text says after which member it was expected."""
    data = bytearray(PLAIN)
    data[1024:1536] = b"\xff" * 512
    with pytest.raises(ShardError, match=r"damaged at byte 1024 \(after member '1\.jpg'\)"):
        read_all(bytes(data))


def test_data_after_the_end_is_an_error():
    """Concatenated archives and trailing garbage are errors: the rest would be lost silently."""
    with pytest.raises(ShardError, match=r"data at byte 4608, after .* at byte 3584: .*concatenat"):
        read_all(PLAIN + PLAIN)
    with pytest.raises(ShardError, match="data at byte 4617"):
        read_all(PLAIN + bytes(9) + b"x")


def test_a_block_of_zeros_among_members_is_an_error():
    """A hole of zeros looks like the end; the members behind it show that it is not."""
    data = bytearray(PLAIN)
    data[1024:1536] = bytes(512)
    with pytest.raises(ShardError, match="after the end-of-archive block at byte 1024"):
        read_all(bytes(data))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("gzip", gzip.compress(PLAIN)),
        ("bzip2", bz2.compress(PLAIN)),
        ("xz", lzma.compress(PLAIN)),
        ("zstd", b"\x28\xb5\x2f\xfd" + bytes(600)),
        ("lz4", b"\x04\x22\x4d\x18" + bytes(600)),
    ],
)
def test_compressed_data_is_named(kind: str, data: bytes):
    """The error names the compression, also of data shorter than a block."""
    with pytest.raises(ShardError, match=f"not a tar archive but {kind} data: decompress it first"):
        read_all(data)


def test_a_zip_is_called_one():
    """Decompressing would not help: its table of contents is at its end."""
    with pytest.raises(ShardError, match="not a tar archive but a zip: repack it"):
        read_all(zipped())


def test_member_named_like_compressed_data_is_read():
    """A tar whose first member's name begins with bzip2's magic is a tar."""
    assert read_all(pack(("BZhang/1.jpg", b"abc")))[0][0].name == "BZhang/1.jpg"


def test_foreign_data_is_no_tar():
    """The error says that the shard is not a tar."""
    with pytest.raises(ShardError, match="not a tar archive: no tar header at byte 0"):
        read_all(b"<html>" + b"x" * 1000)


@pytest.mark.parametrize("tar_format", ["gnu", "posix"])
def test_sparse_files_are_refused(tmp_path: Path, tar_format: str):
    """GNU tar's sparse files hold their data in another form: refused, in both of its formats."""
    with (tmp_path / "1.bin").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"data")
    data = pack_by_gnu_tar(tmp_path, "--sparse", "--hole-detection=raw", f"--format={tar_format}")
    with pytest.raises(ShardError, match=r"'\./1\.bin' at byte \d+ is a sparse file, which"):
        read_all(data)


@pytest.mark.parametrize(("flag", "what"), [(b"M", "in another vol"), (b"Z", "unknown type b'Z'")])
def test_other_kinds_of_member_are_refused(flag: bytes, what: str):
    """A member whose data would be misread is an error, not skipped."""
    with pytest.raises(ShardError, match=what):
        read_all(typed(flag, "1.bin", b"x") + END_OF_ARCHIVE)


@pytest.mark.parametrize(
    ("size", "what"),
    [
        (b"00000000008\0", "not an octal number"),
        (b"            ", "not an octal number"),
        (b"-0000000001\0", "not an octal number"),
        (b"0000_000001\0", "not an octal number"),
        (b"\xff" * 11 + b"\xfe", "a size of -2 bytes cannot be"),
        (b"\x80\0\0" + b"\xff" * 9, "cannot be"),
    ],
)
def test_bad_sizes_are_refused(size: bytes, what: str):
    """A size is octal digits or base 256, from 0 to 2**63."""
    block = header("1.bin", 0)
    with pytest.raises(ShardError, match=what):
        read_all(resum(block[:124] + size + block[136:]) + END_OF_ARCHIVE)


@pytest.mark.parametrize(
    "records",
    [
        b"11 path=a.b",
        b"99 path=a.b\n",
        b"012 path=ab\n",
        b"5 a=\n\n",
        b"10 pathab\n",
        b"10 size=a\n",
        b"11 size=-1\n",
        b"12 path=a\0b\n",
        b"28 size=9999999999999999999\n",
        b"x" * 100,
    ],
)
def test_bad_pax_records_are_refused(records: bytes):
    """Each record's length adds up, and the values that matter are what they should be."""
    with pytest.raises(ShardError, match=r"PAX header|cannot be"):
        read_all(extension(b"x", records) + PLAIN)


def test_bad_extension_headers_are_refused():
    """Too large, empty, or followed by no member: an error at the extension header."""
    huge = header("PaxHeader", (1 << 20) + 1)
    with pytest.raises(ShardError, match="an extension header of 1048577 bytes, over 1 MiB"):
        read_all(resum(huge[:156] + b"x" + huge[157:]))
    with pytest.raises(ShardError, match="a GNU long name that is empty"):
        read_all(extension(b"L", b"\0") + PLAIN)
    with pytest.raises(ShardError, match="ends between an extension header and its"):
        read_all(extension(b"L", b"name\0") + END_OF_ARCHIVE)
    with pytest.raises(ShardError, match="the member has no name"):
        read_all(resum(bytes(100) + header("a", 0)[100:]) + END_OF_ARCHIVE)


def test_claimed_size_reserves_no_memory():
    """A header with a wrong size takes only as much memory as the bytes that come."""
    parser = TarParser()
    parser.feed(header("1.bin", 1 << 62))
    assert isinstance(parser.next_event(), TarMember)
    tracemalloc.start()
    parser.feed(bytes(10_000))
    assert parser.read_payload() is NEED_DATA
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    parser.finish()
    with pytest.raises(ShardError, match="inside member"):
        parser.read_payload()
