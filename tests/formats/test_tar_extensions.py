"""Extension headers: PAX records and GNU's long names, of one member or of all that follow."""

from __future__ import annotations

import io
import tarfile

import pytest

from aisio.formats.tar_extensions import ExtensionHeaders
from aisio.formats.tar_header import MalformedHeaderError
from tests.tars import read_all


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


@pytest.mark.parametrize("flag", [b"x", b"X"])
def test_records_are_of_the_next_member_and_beat_global_ones(flag: bytes):
    """After its own header a member's records are forgotten; those of "g" stay."""
    extensions = ExtensionHeaders()
    for typeflag, record in ((b"g", b"12 path=all\n"), (flag, b"12 path=one\n")):
        size_bytes = extensions.begin(block(typeflag, len(record)), 512)
        assert extensions.typeflag == typeflag
        extensions.end(record[:size_bytes])
    assert (extensions.typeflag, extensions.offset) == (b"", 512)
    assert extensions.records == {b"path": b"one"}
    extensions.clear_member()
    assert (extensions.records, extensions.offset) == ({}, None)
    assert extensions.global_records == {b"path": b"all"}


def test_a_gnu_name_does_not_replace_that_of_a_pax_record():
    """POSIX records take precedence; GNU's L is the name, K the link name."""
    extensions = ExtensionHeaders()
    for typeflag, payload in (
        (b"x", b"12 path=pax\n"),
        (b"L", b"gnu\0"),
        (b"K", b"target\0"),
    ):
        extensions.begin(block(typeflag, len(payload)), 0)
        extensions.end(payload)
    assert extensions.records == {b"path": b"pax", b"linkpath": b"target"}


@pytest.mark.parametrize("flag", [b"L", b"x", b"g"])
def test_a_payload_over_1_mib_is_refused(flag: bytes):
    """Before the parser reads it into memory."""
    with pytest.raises(MalformedHeaderError, match="over 1 MiB"):
        ExtensionHeaders().begin(block(flag, (1 << 20) + 1), 0)


def block(typeflag: bytes, size_bytes: int) -> bytes:
    """Return the header of an extension header, as far as it is read."""
    return bytes(124) + b"%011o\0" % size_bytes + bytes(20) + typeflag + bytes(355)
