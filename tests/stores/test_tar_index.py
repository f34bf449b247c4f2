"""Indexes of tars: which members are in them, how little is read, and what is refused."""

from __future__ import annotations

import io
import tarfile

import pytest

from aisio.errors import IntegrityError, NotFoundError, ShardError
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.stores import LocalStore
from aisio.stores.tar_index import read_index
from aisio.urls import ObjectUrl
from tests.tars import LONG_NAME, pack, pack_by_gnu_tar, pack_by_tarfile

MEMBERS = [("a.jpg", b"first"), ("empty", b""), (LONG_NAME, b"long" * 300), ("b/c", b"x" * 512)]
LARGE = 3_000_000


class Counting(LocalStore):
    """A store that records the ranges of its reads."""

    def __init__(self):
        self.ranges = []

    def get(self, url, byte_range=None, *, etl_name=None):
        self.ranges.append(byte_range)
        return super().get(url, byte_range)


@pytest.fixture
def tar(tmp_path):
    """Return a function that writes an archive and returns its URL."""

    def write(data):
        (tmp_path / "test.tar").write_bytes(data)
        return ObjectUrl.parse(f"file://{tmp_path}/test.tar")

    return write


def places(url):
    """Return name -> the bytes at the place that the index has for it."""
    with open(f"/{url.name}", "rb") as file:  # noqa: PTH123 - a URL's name
        data = file.read()
    index = read_index(LocalStore(), url)
    return {n: data[s.offset : s.offset + s.size_bytes] for n, s in index.members.items()}


@pytest.mark.parametrize(
    "data",
    [
        pack(*MEMBERS),
        pack_by_tarfile(MEMBERS, tarfile.GNU_FORMAT),
        pack_by_tarfile(MEMBERS, tarfile.PAX_FORMAT),
    ],
    ids=["ours", "gnu", "pax"],
)
def test_every_file_has_its_place(tar, data):
    """Long names of both kinds, empty files, in the order of the archive."""
    found = places(tar(data))
    assert list(found.items()) == MEMBERS


def test_only_files_count(tar, tmp_path):
    """Folders and symbolic links are passed over; a hard link is the file that it stands for."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "one").write_bytes(b"data")
    (folder / "two").hardlink_to(folder / "one")
    (folder / "link").symlink_to("one")
    (folder / "sub" / "three").write_bytes(b"3")
    assert places(tar(pack_by_gnu_tar(folder))) == {
        "one": b"data",
        "two": b"data",
        "sub/three": b"3",
    }


def test_payloads_of_large_members_are_not_read(tar):
    """A header each, by a range of its own; small members come many at a time."""
    members = [(f"large-{number}", bytes(LARGE)) for number in range(4)]
    members += [(f"small-{number}", bytes(1000)) for number in range(300)]
    store, url = Counting(), tar(pack(*members))
    index = read_index(store, url)
    assert [span.size_bytes for span in index.members.values()] == [LARGE] * 4 + [1000] * 300
    assert len(store.ranges) < 12
    assert sum(part.stop - part.start for part in store.ranges) < 1_500_000


@pytest.mark.parametrize("before", [0, 1, 63_488, 65_536, 100_000])
@pytest.mark.parametrize("size", [261_631, 261_632, 262_144, 262_145, 300_000])
def test_skipped_and_read_payloads_give_the_same_index(tar, before, size):
    """Around the size from which a payload is not read, wherever a request has ended."""
    members = [("0", b"0" * before), ("1", b"1" * size), ("2", b"2"), ("3", b"3" * size)]
    assert list(places(tar(pack(*members))).items()) == members


def test_every_cut_is_an_error(tar):
    """At any block, in small members and behind a large one that is passed over."""
    data = pack(("a", b"x" * 700), ("large", bytes(LARGE)), ("b", b"y"))
    for cut in (0, 300, 512, 700, 1536, 2048, 2_000_000, LARGE + 2048, len(data) - 1024):
        with pytest.raises(ShardError, match=f"cut at byte {cut}|empty") as caught:
            read_index(LocalStore(), tar(data[:cut]))
        assert caught.value.offset == cut


def test_a_damaged_header_is_an_error(tar):
    """Where the next header is due there is none."""
    data = bytearray(pack(("a", b"x" * 700), ("b", b"y")))
    data[1536 + 5] ^= 1
    with pytest.raises(ShardError, match="byte 1536"):
        read_index(LocalStore(), tar(bytes(data)))


def test_another_format_is_named_in_the_error(tar):
    """A compressed tar has no offsets to read from."""
    with pytest.raises(ShardError, match="gzip"):
        read_index(LocalStore(), tar(b"\x1f\x8b" + bytes(2000)))


def test_a_name_that_comes_twice_is_an_error(tar):
    """One of the two would be lost without a word; "./a" and "a" are one name."""
    with pytest.raises(ShardError, match=r"'\./a' at byte 1024 appears a second time"):
        read_index(LocalStore(), tar(pack(("a", b"1"), ("./a", b"2"))))


@pytest.mark.parametrize("name", ["../up", "/root", "a//b", "a/./b"])
def test_a_name_that_no_url_can_hold_is_an_error(tar, name):
    """It could not be read by URL."""
    with pytest.raises(ShardError, match="no URL can hold"):
        read_index(LocalStore(), tar(pack((name, b"1"))))


def test_a_hard_link_to_nothing_is_an_error(tar):
    """Its bytes are nowhere in the archive before it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, "absent"
        archive.addfile(link)
    with pytest.raises(ShardError, match="hard link to 'absent'"):
        read_index(LocalStore(), tar(buffer.getvalue()))


def test_a_tar_that_is_replaced_meanwhile_is_an_error(tar):
    """Headers of one archive and payloads of another would be mixed."""
    url = tar(pack(("a", bytes(LARGE)), ("b", b"1")))

    class Replacing(Counting):
        def get(self, url, byte_range=None, *, etl_name=None):
            if self.ranges:
                tar(pack(("a", bytes(LARGE)), ("b", b"12")) + bytes(512))
            return super().get(url, byte_range)

    with pytest.raises(IntegrityError, match="replaced"):
        read_index(Replacing(), url)


def test_a_missing_tar(tmp_path):
    """Is a missing object."""
    with pytest.raises(NotFoundError):
        read_index(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/absent.tar"))


def test_odd_bytes_in_names_are_kept(tar):
    """As surrogates, which is how Python names local files."""
    member = header("\udcff.jpg", 1) + b"x" + padding(1)
    assert places(tar(member + END_OF_ARCHIVE)) == {"\udcff.jpg": b"x"}
