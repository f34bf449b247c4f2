"""pack_tar and index_tar: what they write, and what is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio import (
    Client,
    ConfigError,
    ConflictError,
    NotFoundError,
    RetryPolicy,
    ShardError,
    StorageError,
    index_tar,
    pack_tar,
)
from aisio.formats.checksums import HASHERS
from aisio.formats.tar_index_file import decode_tar_index
from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.gateway import Gateway
from aisio.testing.fault_proxy import FaultProxy, Status
from tests.tars import LONG_NAME, gnu_sparse, pack, pack_all_kinds, typed

FILES = {"b.bin": b"", "a/z.txt": b"x" * 1000, "a.txt": b"y" * 512, LONG_NAME: b"long"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with some files."""
    for name, data in FILES.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o640)
    return tmp_path / "in"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """Return a proxy of a gateway."""
    with Gateway(tmp_path_factory.mktemp("g")) as server, FaultProxy(server.endpoint) as proxy:
        yield proxy


def members(data: bytes) -> dict[str, tuple[bytes, int]]:
    """Return content and mode of each member, by Python's tarfile."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            one.name: (file.read(), one.mode)
            for one in archive
            if (file := archive.extractfile(one)) is not None
        }


def starts(data: bytes) -> list[int]:
    """Return what an index says, the end of the archive last."""
    spans = decode_tar_index(data, name="x")
    return [*spans.starts, spans.end]


def test_oss_19_a_tar_of_a_folder_is_sorted_with_relative_names_and_modes(
    folder: Path, tmp_path: Path
) -> None:
    """Each file once, by the names that it has in the folder."""
    made = pack_tar(folder, tmp_path / "o.tar", tmp_path / "o.idx")
    data = (tmp_path / "o.tar").read_bytes()
    assert list(members(data)) == sorted(FILES)
    assert members(data) == {name: (content, 0o640) for name, content in FILES.items()}
    assert (made.members, made.size_bytes) == (4, len(data))
    assert made.url == f"file://{tmp_path}/o.tar"
    hasher = HASHERS["xxhash2"]()
    hasher.update(data)
    assert made.checksum is not None
    assert made.checksum.value == hasher.hexdigest()


def test_the_index_is_that_of_the_tar(folder: Path, tmp_path: Path) -> None:
    """What is computed from names and sizes is what the headers say."""
    made = pack_tar(folder, tmp_path / "o.tar", tmp_path / "o.idx")
    again = index_tar(made.url, tmp_path / "again.idx")
    assert (tmp_path / "again.idx").read_bytes() == (tmp_path / "o.idx").read_bytes()
    assert (again.members, again.size_bytes, again.checksum) == (4, made.size_bytes, None)


def test_the_same_files_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Whatever their times, and the order in which they were written."""
    pack_tar(str(folder), tmp_path / "1.tar", tmp_path / "1.idx")
    (folder / "a.txt").unlink()
    (folder / "a.txt").write_bytes(FILES["a.txt"])
    (folder / "a.txt").chmod(0o640)
    pack_tar(f"file://{folder}", tmp_path / "2.tar", tmp_path / "2.idx")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_a_prefix_of_a_bucket(proxy: FaultProxy, tmp_path: Path) -> None:
    """Names begin behind its last "/"; markers of folders are left out."""
    client = Client(proxy.endpoint)
    bucket = client.bucket("prefix").create()
    for name, data in {"train/a1": b"1", "train/a/2": b"22", "train/b": b"3"}.items():
        bucket.object(name).put(data)
    url = "ais://prefix/packed/t"
    pack_tar("ais://prefix/train/a", f"{url}.tar", f"{url}.idx", client=client)
    data = bucket.object("packed/t.tar").get()
    assert members(data) == {"a/2": (b"22", 0o644), "a1": (b"1", 0o644)}
    assert starts(bucket.object("packed/t.idx").get()) == [0, 1024, 2048]


def test_a_tar_that_cannot_be_read_whole_is_not_stored(proxy: FaultProxy, tmp_path: Path) -> None:
    """Neither is its index."""
    client = Client(proxy.endpoint, retry=RetryPolicy(attempts=1))
    bucket = client.bucket("faults").create()
    bucket.object("in/a").put(b"1" * 5000)
    proxy.add(Status(503), method="GET", path="*/in/a", times=None)
    try:
        with pytest.raises(StorageError, match="in/a"):
            pack_tar("ais://faults/in/", "ais://faults/t", tmp_path / "i", client=client)
    finally:
        proxy.clear()
    assert [info.name for info in bucket.list()] == ["in/a"]
    assert not (tmp_path / "i").exists()


def test_a_file_that_grows_meanwhile(folder: Path, tmp_path: Path) -> None:
    """As those of /proc seem to: nothing is written."""
    (folder / "status").symlink_to("/proc/self/status")
    with pytest.raises(
        StorageError,
        match="status: the file changed meanwhile: it had 0 bytes at first and has 1 now",
    ):
        pack_tar(folder, tmp_path / "o.tar", tmp_path / "o.idx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_oss_19_a_source_without_files_is_an_error(tmp_path: Path, proxy: FaultProxy) -> None:
    """The original writes an empty archive."""
    out = (tmp_path / "o.tar", tmp_path / "o.idx")
    with pytest.raises(NotFoundError, match="there is no such folder"):
        pack_tar(tmp_path / "missing", *out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="nothing to pack: the folder has no file"):
        pack_tar(tmp_path / "empty", *out)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="a file, and no folder"):
        pack_tar(tmp_path / "file", *out)
    client = Client(proxy.endpoint)
    client.bucket("empty").create()
    with pytest.raises(NotFoundError, match="nothing to pack: no name begins with it"):
        pack_tar("ais://empty/train/", *out, client=client)
    with pytest.raises(NotFoundError):
        pack_tar("ais://missing/train/", *out, client=client)
    with pytest.raises(ConfigError, match="non-empty"):
        pack_tar("", *out)
    assert not out[0].exists()


def test_what_is_there_stays_unless_it_is_to_be_replaced(folder: Path, tmp_path: Path) -> None:
    """The tar and the index alike."""
    tar, index = tmp_path / "o.tar", tmp_path / "o.idx"
    index.write_bytes(b"old")
    with pytest.raises(ConflictError, match=r"o\.idx exists; overwrite it"):
        pack_tar(folder, tar, index)
    assert (index.read_bytes(), tar.exists()) == (b"old", False)
    pack_tar(folder, tar, index, overwrite=True)
    with pytest.raises(ConflictError, match=r"o\.tar exists"):
        pack_tar(folder, tar, tmp_path / "new.idx")
    with pytest.raises(ConflictError, match=r"o\.idx exists"):
        index_tar(tar, index)
    assert index_tar(tar, index, overwrite=True).members == 4


def test_a_tar_is_no_part_of_itself(folder: Path, tmp_path: Path) -> None:
    """Nor is it its own index."""
    with pytest.raises(ConfigError, match="is among the objects to pack"):
        pack_tar(folder, folder / "o.tar", tmp_path / "o.idx")
    with pytest.raises(ConfigError, match="is among the objects to pack"):
        pack_tar(folder, tmp_path / "o.tar", folder / "deep" / "o.idx")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ConfigError, match="is among the objects to pack"):
        pack_tar(folder, tmp_path / "link" / "o.tar", tmp_path / "o.idx")
    with pytest.raises(ConfigError, match="is among the objects to pack"):
        pack_tar("ais://b/train", "ais://b/train.tar", "ais://b/o.idx")
    with pytest.raises(ConfigError, match="need different names"):
        pack_tar(folder, tmp_path / "o.tar", tmp_path / "o.tar")


# What osstorchconnector 1.2.3 writes for the same archives: CRCs of body and header, and the body.
GOLDEN = {
    tarfile.USTAR_FORMAT: "78e7b2e5 60bb45d0 789c6364606060016266206684b20100a4000e",
    tarfile.GNU_FORMAT: "b8850da1 bcc38eb6 789c636460606081620e206684b20101380017",
    tarfile.PAX_FORMAT: "d414b5ab eebb652a 789c636460606081620e206604623620060001400019",
}


@pytest.mark.parametrize("tar_format", GOLDEN)
def test_oss_13_the_index_of_a_tar_is_the_vendors(tmp_path: Path, tar_format: int) -> None:
    """Of all kinds of members: OSS-15."""
    (tmp_path / "o.tar").write_bytes(pack_all_kinds(tar_format))
    index_tar(tmp_path / "o.tar", tmp_path / "o.idx")
    data = (tmp_path / "o.idx").read_bytes()
    golden = bytes.fromhex(GOLDEN[tar_format])
    assert data[0x24:0x28] + data[0x1FC:] == golden


def test_oss_15_regular_files_are_entries(tmp_path: Path) -> None:
    """Of old and rare types too; a global header belongs to the file behind it, as the vendor's."""
    comment = b"52 comment=0123456789012345678901234567890123456789\n"
    data = typed(b"g", "global", comment) + typed(b"\0", "old", b"abc") + typed(b"7", "c", b"d")
    data += typed(b"D", "incremental", b"names") + typed(b"0", "last", b"e") + END_OF_ARCHIVE
    (tmp_path / "o.tar").write_bytes(data)
    index_tar(tmp_path / "o.tar", tmp_path / "o.idx")
    assert starts((tmp_path / "o.idx").read_bytes()) == [0, 2048, 4096, 5120]


KEPT = pack(("k", b"1" * 1000))
GLOBAL = typed(b"g", "global", b"19 path=other/name\n")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty: even an archive without members"),
        (gzip.compress(KEPT, mtime=0), "not a tar archive but gzip data: decompress it first"),
        (b"junk" * 600, "not a tar archive: no tar header at byte 0"),
        (KEPT[:900], "cut at byte 900: inside member 'k'"),
        (KEPT[:-1024], "the end-of-archive block is missing"),
        (KEPT[:600] + b"\1" + KEPT[601:1536] + b"x" + KEPT[1537:], "damaged at byte 1536"),
        (END_OF_ARCHIVE, "nothing to index: the tar has no regular file"),
        (KEPT[:-1024] + gnu_sparse("s") + END_OF_ARCHIVE, "member 's' at byte 1536 is a sparse"),
        (GLOBAL + KEPT, "a global PAX header says something of all members"),
    ],
)
def test_oss_17_what_is_no_whole_tar_has_no_index(tmp_path: Path, data: bytes, text: str) -> None:
    """The original indexes some of these as if they were whole."""
    (tmp_path / "o.tar").write_bytes(data)
    with pytest.raises(ShardError, match=text):
        index_tar(tmp_path / "o.tar", tmp_path / "o.idx")
    assert not (tmp_path / "o.idx").exists()


def test_a_missing_tar_has_no_index(tmp_path: Path) -> None:
    """NotFoundError, and no empty index."""
    with pytest.raises(NotFoundError):
        index_tar(tmp_path / "o.tar", tmp_path / "o.idx")
    assert not (tmp_path / "o.idx").exists()


def test_long_payloads_are_not_read(proxy: FaultProxy, tmp_path: Path) -> None:
    """The headers of a tar are far apart."""
    client = Client(proxy.endpoint)
    bucket = client.bucket("long").create()
    bucket.object("o.tar").put(pack(*((f"{number}", bytes(3 << 20)) for number in range(3))))
    before = len(proxy.requests)
    index_tar("ais://long/o.tar", tmp_path / "o.idx", client=client)
    gets = [one for one in proxy.requests[before:] if one.method == "GET" and "o.tar" in one.path]
    assert sum(one.sent_bytes for one in gets) < 1 << 20
    assert starts((tmp_path / "o.idx").read_bytes()) == [
        number * ((3 << 20) + 512) for number in range(4)
    ]
