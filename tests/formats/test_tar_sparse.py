"""Sparse files: holes are zeros, and a map that does not fit is an error."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ShardError
from aisio.formats.tar import END, NEED_DATA, TarMember, TarParser
from aisio.formats.tar_write import END_OF_ARCHIVE
from tests.tars import gnu_sparse, pack, pack_by_gnu_tar, pax_sparse, resum, sparse_content, typed

FORMS = [("--format=gnu",), *(("--format=posix", f"--sparse-version={v}") for v in (0.0, 0.1, 1.0))]
PLAIN = pack(("2.txt", b"text"))


def read_files(data: bytes, *, step_bytes: int = 1 << 20) -> dict[str, bytes]:
    """Read the files of an archive, sparse ones included."""
    parser = TarParser("test.tar", allow_unreadable=True)
    stream, found = io.BytesIO(data), {}

    def feed() -> None:
        piece = stream.read(step_bytes)
        parser.feed(piece)
        if not piece:
            parser.finish()

    while (event := parser.next_event()) is not END:
        if event is NEED_DATA:
            feed()
        elif isinstance(event, TarMember) and event.kind in ("file", "sparse"):
            read = parser.read_sparse if event.kind == "sparse" else parser.read_payload
            while (payload := read()) is NEED_DATA:
                feed()
            found[event.name] = payload
    return found


def pax_file(records: dict[str, str], stored: bytes) -> bytes:
    """Write a file of an archive in POSIX's format."""
    member = tarfile.TarInfo("1.npy")
    member.size = len(stored)
    member.pax_headers = {f"GNU.sparse.{name}": value for name, value in records.items()}
    padding = bytes(-len(stored) % 512)
    return member.tobuf(tarfile.PAX_FORMAT) + stored + padding + END_OF_ARCHIVE


@pytest.mark.parametrize("step_bytes", [1, 700, 1 << 20])
@pytest.mark.parametrize("spans", [1, 4, 5, 25, 26, 47])
def test_old_maps_of_any_length_are_read(spans: int, step_bytes: int):
    """They begin in the header and go on in blocks."""
    sparse = gnu_sparse("1.npy", spans=spans)
    expected = {"1.npy": sparse_content(spans), "2.txt": b"text"}
    assert read_files(sparse + PLAIN, step_bytes=step_bytes) == expected


@pytest.mark.parametrize("step_bytes", [1, 700, 1 << 20])
def test_maps_before_the_data_are_read(step_bytes: int):
    """As bsdtar writes them."""
    expected = {"1.npy": sparse_content(), "2.txt": b"text"}
    assert read_files(pax_sparse("1.npy") + PLAIN, step_bytes=step_bytes) == expected


@pytest.mark.parametrize("form", FORMS, ids=["gnu", "0.0", "0.1", "1.0"])
@pytest.mark.parametrize(
    "spans",
    [
        [(0, b"a" * 512), (1 << 20, b"end")],
        [(1 << 16, b"b" * 4096)],
        [(number << 13, b"data %d" % number) for number in range(60)],
        [],
    ],
    ids=["short end", "hole first", "many", "hole alone"],
)
def test_sparse_files_of_gnu_tar_are_read(tmp_path: Path, form, spans):
    """In all of its forms; what is read is what the file system has."""
    path = tmp_path / ("folder-" * 20) / "1.npy"
    path.parent.mkdir()
    with path.open("wb") as file:
        for offset, data in spans:
            file.seek(offset)
            file.write(data)
        file.truncate(max(2 << 16, file.tell()))
    (tmp_path / "2.txt").write_bytes(b"text")
    archive = pack_by_gnu_tar(tmp_path, "--sparse", "--hole-detection=raw", *form)
    found = {name.removeprefix("./"): data for name, data in read_files(archive).items()}
    assert found == {f"{path.parent.name}/1.npy": path.read_bytes(), "2.txt": b"text"}
    assert len(archive) < 60_000


@pytest.mark.parametrize(
    ("records", "stored", "error"),
    [
        ({"map": "0,4,2,4", "size": "99"}, 8, "overlap"),
        ({"map": "8,4,0,4", "size": "99"}, 8, "overlap"),
        ({"map": "0,4,96,4", "size": "99"}, 8, "ends at byte 100 of 99"),
        ({"map": "0,4", "size": "99"}, 8, "8 bytes of a sparse file are stored, and its map has 4"),
        ({"size": "99"}, 8, "and its map has 0"),
        ({"map": "0,4,8", "size": "99"}, 4, "an offset without a size"),
        ({"map": "0,-4", "size": "99"}, 8, "'-4' in the map of a sparse file is no number"),
        ({"map": "0,8"}, 8, "'' in the map of a sparse file is no number"),
        ({"map": "0,8", "size": str(1 << 40)}, 8, "over 1,073,741,824: repack it as a plain file"),
        ({"major": "1", "minor": "0", "realsize": "9"}, b"9\n1\n", "map of a sparse file is cut"),
        ({"major": "1", "minor": "0", "realsize": "9"}, b"9" * 99, "is no number"),
        ({"major": "1", "minor": "0", "realsize": "9"}, b"", "is no number"),
        ({"major": "2", "minor": "0", "realsize": "9"}, 8, "of the unknown version 2.0"),
    ],
)
def test_a_map_that_does_not_fit_is_an_error(records, stored, error):
    """Bytes in the wrong place would silently be wrong data."""
    data = bytes(stored) if isinstance(stored, int) else stored
    with pytest.raises(ShardError) as caught:
        read_files(pax_file(records, data))
    assert error in str(caught.value)
    assert "at byte 0" in str(caught.value)


def test_spans_in_disorder_are_an_error():
    """Version 0.0 has an offset and a size for each, in this order."""
    with pytest.raises(ShardError, match="damaged at byte .*: .* an offset or size of no span"):
        read_files(pax_file({"numbytes": "8", "size": "9"}, bytes(8)))


def test_a_sparse_file_of_another_program_is_an_error():
    """Type S of star has its map elsewhere."""
    block = gnu_sparse("1.npy")
    foreign = resum(block[:257] + b"ustar\x0000" + block[265:512]) + block[512:]
    with pytest.raises(ShardError, match=r"'1\.npy' at byte 0: a sparse file of a form that is no"):
        read_files(foreign + PLAIN)


@pytest.mark.parametrize("sparse", [gnu_sparse("1.npy", spans=9), pax_sparse("1.npy")])
def test_a_cut_sparse_file_is_an_error(sparse: bytes):
    """Wherever it is cut."""
    for stop in range(1, len(sparse), 100):
        with pytest.raises(ShardError, match="cut at byte"):
            read_files(sparse[:stop])


def old_file(spans: list[tuple[int, int]], size: int, stored: bytes) -> bytes:
    """Write a sparse file of GNU's old format."""
    numbers = [b"%011o\0%011o\0" % span for span in spans]
    block = bytearray(typed(b"S", "1.npy", stored)[:512])
    block[257:265] = b"ustar  \0"
    block[345:512] = bytes(167)
    block[386:482] = b"".join(numbers[:4]).ljust(96, b"\0")
    block[482] = len(spans) > 4
    block[483:495] = b"%011o\0" % size
    data = resum(bytes(block))
    for first in range(4, len(spans), 21):
        part = b"".join(numbers[first : first + 21]).ljust(504, b"\0")
        data += part + bytes([len(spans) > first + 21]) + bytes(7)
    return data + stored + bytes(-len(stored) % 512) + END_OF_ARCHIVE


def write_sparse(version: str, spans: list[tuple[int, int]], size: int, stored: bytes) -> bytes:
    """Write a sparse file in any of the forms."""
    numbers = [str(number) for span in spans for number in span]
    if version == "old":
        return old_file(spans, size, stored)
    if version == "0.1":
        records = {"map": ",".join(numbers), "size": str(size), "numblocks": str(len(spans))}
        return pax_file(records, stored)
    text = "".join(f"{number}\n" for number in (len(spans), *numbers)).encode()
    leading = text + bytes(-len(text) % 512)
    records = {"major": "1", "minor": "0", "name": "1.npy", "realsize": str(size)}
    return pax_file(records, leading + stored)


@given(
    version=st.sampled_from(["old", "0.1", "1.0"]),
    lengths=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 1500)), max_size=30),
    end=st.integers(0, 2000),
    step_bytes=st.integers(1, 4000),
)
def test_any_sparse_file_is_read_as_by_tarfile(
    version: str, lengths: list[tuple[int, int]], end: int, step_bytes: int
):
    """Holes and data of any lengths, in any of the forms."""
    spans, content = [], b""
    for number, (hole, count) in enumerate(lengths):
        spans.append((len(content) + hole, count))
        content += bytes(hole) + bytes([number + 1]) * count
    spans.append((len(content) + end, 0))  # as GNU tar ends its maps
    content += bytes(end)
    stored = b"".join(content[start : start + count] for start, count in spans)
    data = write_sparse(version, spans, len(content), stored)
    assert read_files(data, step_bytes=step_bytes) == {"1.npy": content}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile("1.npy")
        assert file is not None
        assert file.read() == content
