"""TarPart: whole members out of the middle of an archive."""

from __future__ import annotations

import pytest

from aisio.errors import ShardError
from aisio.formats.tar import END, NEED_DATA, TarMember
from aisio.formats.tar_part import TarPart
from tests.tars import LONG_NAME, gnu_sparse, pack, pack_by_tarfile, typed

ARCHIVE = pack_by_tarfile([("a.jpg", b"A" * 700), (LONG_NAME, b"B"), ("c.cls", b"")], 2)


def members(part: TarPart, *, read: bool = True) -> list[tuple[str, int, bytes]]:
    """Return name, offset and payload of each member."""
    found: list[tuple[str, int, bytes]] = []
    while (event := part.next_event()) is not END:
        if event is NEED_DATA:
            part.finish()
            continue
        assert isinstance(event, TarMember)
        payload = b""
        if not read:
            part.skip_payload()
        elif event.kind == "sparse":
            payload = part.read_sparse()  # type: ignore[assignment]
        else:
            payload = part.read_payload()  # type: ignore[assignment]
        found.append((event.name, event.offset, payload))
    assert part.next_event() is END
    return found


def begun(data: bytes, start: int, stop: int, *, before: int = 0) -> TarPart:
    """Return a parser of a part of an archive, which stands behind other bytes in memory."""
    part = TarPart("test.tar")
    part.begin(bytearray(b"x" * before + data[start:stop]), before, before + stop - start, start)
    return part


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("read", [False, True])
def test_members_of_the_middle(before: int, read: bool) -> None:
    """Extension headers belong to the member behind them; offsets are those of the archive."""
    first, last = 512 + 1024, ARCHIVE.index(b"c.cls")
    part = begun(ARCHIVE, first, last + 512, before=before)
    assert members(part, read=read) == [
        (LONG_NAME, first, b"B" if read else b""),
        ("c.cls", last, b""),
    ]


def test_parts_follow_each_other() -> None:
    """One parser reads any number, also after one that was damaged or left."""
    part = begun(ARCHIVE, 0, 512 + 1024)
    assert isinstance(part.next_event(), TarMember)
    for _ in range(2):
        part.begin(bytearray(ARCHIVE), 0, 512 + 1024, 0)
        assert members(part) == [("a.jpg", 0, b"A" * 700)]
        part.begin(bytearray(b"x" * 512), 0, 512, 0)
        for _ in range(2):
            with pytest.raises(ShardError, match="test.tar"):
                part.next_event()


def test_a_part_with_the_end_of_the_archive() -> None:
    """Indexes of others say that the last sample ends where the shard does."""
    data = pack(("a.jpg", b"A"))
    assert members(begun(data, 0, len(data))) == [("a.jpg", 0, b"A")]


def test_no_members() -> None:
    """An empty part has none."""
    assert members(begun(ARCHIVE, 512, 512)) == []


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("spans", [2, 9])
def test_a_sparse_file(read: bool, spans: int) -> None:
    """It ends behind its stored bytes, whatever its map takes."""
    data = gnu_sparse("a.bin", spans=spans) + typed(b"0", "b.bin", b"B")
    found = members(begun(data, 0, len(data)), read=read)
    assert [name for name, _, _ in found] == ["a.bin", "b.bin"]
    assert bool(found[0][2]) == read
    alone = gnu_sparse("a.bin", spans=spans)
    assert members(begun(alone, 0, len(alone)), read=read) == found[:1]


@pytest.mark.parametrize("cut", [1, 512, 513, 1100])
def test_a_part_that_is_cut(cut: int) -> None:
    """Within a header or a payload it is an error that says where."""
    data = typed(b"0", "a.bin", b"A" * 600)
    stop = len(data) - cut
    with pytest.raises(ShardError, match=f"cut at byte {stop}"):
        members(begun(data, 0, stop))
