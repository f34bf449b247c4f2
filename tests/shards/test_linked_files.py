"""Hard links in shards: read as the files that they stand for."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest

from aisio.errors import IntegrityError, NotFoundError, ShardError
from aisio.formats.tar import TarMember
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_build import build_shard_index
from aisio.shards.linked_files import LinkedFiles, LinksByShard, RecentFiles
from aisio.shards.members import MemberPass
from aisio.shards.reader import ShardPass
from aisio.shards.sample_reader import SampleReader
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.tars import hard_link, pack, pax_sparse, read_all, sparse_content, typed


class Counting(LocalStore):
    """Counts its reads."""

    def __init__(self) -> None:
        self.gets = 0

    def get(self, url, byte_range=None, *, etl_name=None):
        self.gets += 1
        return super().get(url, byte_range, etl_name=etl_name)


@pytest.fixture
def store() -> Counting:
    """Return a store that counts."""
    return Counting()


def write(folder: Path, data: bytes) -> tuple[ObjectUrl, ObjectInfo]:
    """Write a shard, and return what a listing says of it."""
    (folder / "s.tar").write_bytes(data)
    url = ObjectUrl.parse(f"file://{folder}/s.tar")
    return url, LocalStore().head(url)


def samples(
    store: LocalStore, url: ObjectUrl, info: ObjectInfo, **options
) -> list[dict[str, bytes]]:
    """Read a shard from start to end."""
    links = LinkedFiles(store, url)
    body = links.opened(LocalStore().get(url))
    shard_pass = ShardPass(body, url=str(url), links=links, **options)
    return [sample.fields for sample in shard_pass.samples()]


def members(store: LocalStore, url: ObjectUrl, info: ObjectInfo) -> list[bytes]:
    """Read the members of a shard."""
    links = LinkedFiles(store, url)
    shard, contents = MemberPass(links.opened(LocalStore().get(url)), str(url), links), []
    while shard.advance():
        contents.append(shard.read())
    return contents


def parsed(block: bytes) -> TarMember:
    """Return the first member of an archive."""
    return read_all(block + bytes(1024))[0][0]


LABELS = (
    pack(("0.jpg", b"a"), ("0.cls", b"cat"))[:-1024]
    + b"".join(pack((f"{n}.jpg", b"b"))[:1024] + hard_link(f"{n}.cls", "./0.cls") for n in "123")
    + bytes(1024)
)


def test_a_link_is_read_as_its_file(tmp_path, store):
    """The headers, and each file that links stand for, are read once."""
    place = write(tmp_path, LABELS)
    found = samples(store, *place)
    assert [fields["cls"] for fields in found] == [b"cat"] * 4
    assert store.gets == 2
    assert [fields["cls"] for fields in samples(store, *place, payloads=False)] == [b""] * 4


def test_a_shard_without_links_is_read_by_one_request(tmp_path, store):
    """Nothing is remembered for links that do not come; nor for one that is not wanted."""
    assert len(samples(store, *write(tmp_path, pack(("0.jpg", b"a"))))) == 1
    assert len(samples(store, *write(tmp_path, LABELS), keys=["jpg"])) == 4
    assert store.gets == 0


def test_a_link_within_a_sample_needs_no_request(tmp_path, store):
    """So it can be read in compressed shards too."""
    data = pack(("0.jpg", b"a"))[:1024] + hard_link("0.png", "0.jpg") + bytes(1024)
    assert samples(store, *write(tmp_path, data)) == [{"jpg": b"a", "png": b"a"}]
    assert store.gets == 0


def test_a_link_to_a_sparse_file(tmp_path, store):
    """Its holes are zeros."""
    data = pax_sparse("0.npy") + hard_link("1.npy", "0.npy") + bytes(1024)
    found = samples(store, *write(tmp_path, data))
    assert [fields["npy"] for fields in found] == [sparse_content()] * 2


@pytest.mark.parametrize("target", ["absent.cls", "2.cls", "a/../0.cls"])
def test_a_link_to_no_file_before_it_is_an_error(tmp_path, store, target):
    """It says where the link is, and what it links to."""
    data = pack(("0.cls", b"cat"))[:1024] + hard_link("1.cls", target) + pack(("2.cls", b"dog"))
    text = f"member '1.cls' at byte 1024 is a hardlink to '{target}'"
    with pytest.raises(ShardError, match=text) as caught:
        samples(store, *write(tmp_path, data))
    assert caught.value.offset == 1024


def test_links_of_compressed_shards_are_looked_up_behind(tmp_path, store):
    """They cannot be read by ranges; small files are remembered."""
    found = samples(store, *write(tmp_path, gzip.compress(LABELS)))
    assert [fields["cls"] for fields in found] == [b"cat"] * 4
    large = pack(("0.cls", bytes(65_537)))[:-1024]
    for before in (large, b""):
        data = gzip.compress(before + LABELS[2048:])
        with pytest.raises(ShardError, match="member '1.cls' at byte .* its data is not here"):
            samples(store, *write(tmp_path, data))
    assert store.gets == 0


def test_the_last_small_files_are_remembered():
    """So many that they have 8 MiB."""
    recent, link = RecentFiles(), parsed(hard_link("x", "./0"))
    recent.remember("0", b"first")
    assert recent.find(link) == b"first"
    for number in range(1, 129):
        recent.remember(f"./{number}", bytes(65_536))
    assert recent.find(link) is None
    assert recent.find(parsed(hard_link("x", "128"))) == bytes(65_536)
    assert recent.find(parsed(hard_link("x", "1"))) is None
    assert recent.find(parsed(hard_link("x", "2"))) is not None


def test_a_symbolic_link_stays_an_error(tmp_path, store):
    """It may lead out of the archive."""
    data = typed(b"2", "1.cls") + pack(("0.cls", b"cat"))
    with pytest.raises(ShardError, match="is a symlink to"):
        samples(store, *write(tmp_path, data))


def test_a_shard_that_is_replaced_meanwhile_is_an_error(tmp_path, store):
    """Its files would be those of another shard, though that has the same size."""
    url, _ = write(tmp_path, LABELS)
    links = LinkedFiles(store, url)
    body = links.opened(LocalStore().get(url))
    found = ShardPass(body, url=str(url), links=links).samples()
    next(found)
    write(tmp_path, LABELS.replace(b"cat", b"dog"))
    with pytest.raises(IntegrityError, match="replaced while it was read"):
        list(found)


def test_a_pass_over_members_reads_links(tmp_path, store):
    """As a pass over samples does."""
    assert members(store, *write(tmp_path, LABELS)) == [b"a", b"cat", *[b"b", b"cat"] * 3]
    place = write(tmp_path, hard_link("1", "absent") + bytes(1024))
    with pytest.raises(ShardError, match="'1' at byte 0 is a hardlink to 'absent'"):
        members(store, *place)


SECOND_FILES = [
    pack(("a", b"two"))[:1024],
    pack(("./a", bytes(65_537)))[:-1024],
    pax_sparse("a"),
    hard_link("a", "z"),
]


@pytest.mark.parametrize("second", SECOND_FILES)
def test_a_link_is_never_read_as_the_first_of_two_files(tmp_path, store, second):
    """It stands for the second, which tar writes over the first."""
    first = pack(("z", b"z"))[:1024] + pack(("a", b"one"))[:1024] + hard_link("l", "a")
    data = first + second + hard_link("m", "a") + bytes(1024)
    with pytest.raises(ShardError, match="'[am]' at byte .* appears a second time"):
        members(store, *write(tmp_path, data))
    place = write(tmp_path, gzip.compress(data))
    if b"two" in second:
        assert members(store, *place)[-1] == b"two"
    else:
        with pytest.raises(ShardError, match="'m' at byte .* its data is not here"):
            members(store, *place)


def test_a_link_to_what_replaced_a_file_is_an_error(tmp_path, store):
    """As is one to a symbolic link."""
    first = pack(("a", b"one"))[:1024] + typed(b"2", "a") + pack(("1.jpg", b"b"))[:1024]
    data = first + hard_link("1.cls", "a") + bytes(1024)
    for content in (data, gzip.compress(data)):
        with pytest.raises(ShardError, match="'1.cls' at byte .* its data is not here"):
            samples(store, *write(tmp_path, content))


def test_samples_of_an_index_read_links(tmp_path, store):
    """In any order, by few requests; of a link's sample the index has the link."""
    url, info = write(tmp_path, LABELS)
    index = build_shard_index(lambda: LocalStore().get(url), info)
    reader = SampleReader(ShardIndex.of_shards([(index, 0)]), [(store, url)])
    for number in (3, 1, 2):
        [sample] = reader.read_one(number)
        assert sample.fields == {"jpg": b"b", "cls": b"cat"}
    assert store.gets == 3 + 2


def test_links_of_an_indexed_shard_that_is_replaced_meanwhile(tmp_path, store):
    """Its headers are compared with what was indexed, by more than their size."""
    url, info = write(tmp_path, LABELS)
    index = ShardIndex.of_shards([(build_shard_index(lambda: LocalStore().get(url), info), 0)])
    links = LinksByShard(index, [(store, url)])
    os.utime(tmp_path / "s.tar", (1, 1))
    with pytest.raises(IntegrityError, match="replaced while it was read"):
        links.of(0).read(parsed(hard_link("1.cls", "0.cls")))


def test_the_headers_of_few_shards_are_kept(tmp_path, store):
    """Those of the last ones used."""
    url, info = write(tmp_path, LABELS)
    index = build_shard_index(lambda: LocalStore().get(url), info)
    links = LinksByShard(ShardIndex.of_shards([(index, 0)] * 17), [(store, url)] * 17)
    link = parsed(hard_link("1.cls", "0.cls"))
    for number, gets in ((0, 2), (0, 2), (1, 4), (0, 4), *((n, 2 + 2 * n) for n in range(2, 17))):
        assert links.of(number).read(link) == b"cat"
        assert store.gets == gets
    links.of(1).read(link)
    assert store.gets == 36


def test_a_missing_shard_is_missing(tmp_path, store):
    """It was removed meanwhile."""
    url, _ = write(tmp_path, LABELS)
    links = LinkedFiles(store, url)
    body = links.opened(LocalStore().get(url))
    found = ShardPass(body, url=str(url), links=links).samples()
    (tmp_path / "s.tar").unlink()
    with pytest.raises(NotFoundError):
        list(found)


def test_links_of_gnu_tar(tmp_path, store):
    """Compared with what tar itself extracts."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "0.cls").write_bytes(b"cat")
    for number in range(1, 4):
        (folder / f"{number}.cls").hardlink_to(folder / "0.cls")
    archive = tmp_path / "s.tar"
    for tar_format in ("gnu", "posix"):
        options = [f"--format={tar_format}", "--sort=name", "-cf", str(archive), "."]
        subprocess.run(["tar", "-C", str(folder), *options], check=True)
        url = ObjectUrl.parse(f"file://{archive}")
        found = samples(store, url, LocalStore().head(url))
        assert found == [{"cls": b"cat"}] * 4


def test_what_is_wrong_with_other_members_does_not_matter(tmp_path, store):
    """It is up to the readers of these; a target of which there are two is refused."""
    others = hard_link("latest", "absent") + pack(("../up", b"x"))[:1024]
    place = write(tmp_path, others + LABELS)
    assert [fields["cls"] for fields in samples(store, *place)] == [b"cat"] * 4
    twice = pack(("labels", b"dog"))[:1024] * 2 + hard_link("y.cls", "labels") + pack()
    with pytest.raises(ShardError, match=r"'labels' at byte 1024 appears a second time"):
        samples(store, *write(tmp_path, twice))
