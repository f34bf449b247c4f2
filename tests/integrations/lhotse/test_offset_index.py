"""`.idx` files: those that Lhotse writes, of files that are local or in a store."""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch  # noqa: F401 - Lhotse needs it

from aisio import Bucket, Client, ConfigError, IntegrityError, NotFoundError, ShardError
from aisio.integrations.lhotse import (
    create_jsonl_index,
    create_tar_index,
    index_file_path,
    read_index,
)
from aisio.integrations.lhotse.offset_index import parse_index, place_url
from aisio.testing import FaultProxy
from aisio.testing.fault_proxy import Corrupt
from tests.integrations.lhotse.conftest import put_folder
from tests.tars import pack

lhotse = pytest.importorskip("lhotse")

from lhotse import indexing  # noqa: E402


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultProxy]:
    """Return a proxy before the cluster."""
    with FaultProxy(bucket.client.endpoint) as proxy:
        yield proxy


LINES = [b"", b"{}\n", b"{}", b'{"a": 1}\n{"b": "\xc3\xa9"}\n\n{}\n', b"x" * 3_000_000 + b"\n{}\n"]


@pytest.mark.parametrize("data", LINES, ids=range(len(LINES)))
def test_lines_are_indexed_as_lhotse_indexes_them(tmp_path: Path, data: bytes) -> None:
    """Byte for byte, and each reads the other's."""
    path = tmp_path / "cuts.jsonl"
    path.write_bytes(data)
    theirs = Path(indexing.create_jsonl_index(path)).read_bytes()
    assert create_jsonl_index(path, tmp_path / "sub" / "ours.idx") == tmp_path / "sub" / "ours.idx"
    assert (tmp_path / "sub" / "ours.idx").read_bytes() == theirs
    ours = read_index(tmp_path / "sub" / "ours.idx", data_path=path)
    assert list(ours) == indexing.read_index(tmp_path / "cuts.jsonl.idx").tolist()


def test_shar_is_indexed_as_lhotse_indexes_it(
    bucket: Bucket, shar: tuple[Path, dict[str, list[str]]], tmp_path: Path
) -> None:
    """By its own writer and by its function, local and by URL."""
    folder, names = shar
    put_folder(bucket, folder, "shar/")
    for name in names["recording"] + names["embedding"]:
        theirs = Path(
            indexing.create_tar_index(folder / name, tmp_path / "theirs.idx")
        ).read_bytes()
        url = f"ais://speech/shar/{name}"
        assert (
            create_tar_index(url, f"ais://speech/made/{name}.idx")
            == f"ais://speech/made/{name}.idx"
        )
        assert bucket.object(f"made/{name}.idx").get() == theirs
        assert create_tar_index(url) == f"{url}.idx"
        assert read_index(f"{url}.idx", data_path=url)[0] == 0
        indexed = indexing.IndexedTarReader(folder / name, index_path=tmp_path / "theirs.idx")
        assert len(indexed) == len(read_index(tmp_path / "theirs.idx")) - 1


def test_a_sample_with_a_long_name_begins_with_its_extension_header(tmp_path: Path) -> None:
    """As for Lhotse."""
    long = "long" * 40
    path = tmp_path / "a.tar"
    path.write_bytes(
        pack(("a.wav", b"1"), ("a.json", b"{}"), (f"{long}.wav", b"2"), (f"{long}.json", b""))
    )
    theirs = Path(indexing.create_tar_index(path)).read_bytes()
    create_tar_index(path, tmp_path / "ours.idx")
    assert (tmp_path / "ours.idx").read_bytes() == theirs


@pytest.mark.parametrize(
    ("members", "about"),
    [
        ([("a.wav", b"1"), ("a.json", b""), ("b.wav", b"2")], "'b.wav' at byte 1536 has no second"),
        ([("a.wav", b"1"), ("b.json", b"2")], "'a.wav' at byte 0 has no second"),
    ],
)
def test_files_that_are_no_pairs_are_an_error(
    tmp_path: Path, members: list[tuple[str, bytes]], about: str
) -> None:
    """All samples behind a file that is missing would be wrong."""
    path = tmp_path / "a.tar"
    path.write_bytes(pack(*members))
    with pytest.raises(ShardError, match=about):
        create_tar_index(path)
    assert not (tmp_path / "a.tar.idx").exists()


def test_links_are_an_error(tmp_path: Path) -> None:
    """A sample of links would be left out."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("b.wav", "b.json"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "a.wav"
            tar.addfile(link)
    with pytest.raises(ShardError, match=r"a\.tar: 'b\.wav' at byte 0 is a link to 'a\.wav'"):
        create_tar_index(path)


def test_a_file_that_is_cut_or_damaged_has_no_index(bucket: Bucket, proxy: FaultProxy) -> None:
    """Lhotse indexes what is left of it."""
    data = pack(("a.wav", bytes(5000)), ("a.json", b"{}"))
    bucket.object("a.tar").put(data[:3000])
    with pytest.raises(ShardError, match=r"ais://speech/a\.tar: cut at byte 3000"):
        create_tar_index("ais://speech/a.tar")
    bucket.object("a.jsonl").put(b"{}\n" * 1000)
    proxy.add(Corrupt(at_byte=500), path="*/a.jsonl", times=None)
    with pytest.raises(IntegrityError, match=r"ais://speech/a\.jsonl"):
        create_jsonl_index("ais://speech/a.jsonl", client=Client(proxy.endpoint))
    assert [info.name for info in bucket.list() if info.name.endswith(".idx")] == []


def test_an_index_of_another_version_is_an_error(bucket: Bucket) -> None:
    """Behind a tar, Lhotse may leave out zeros."""
    bucket.object("a.jsonl").put(b"{}\n{}\n")
    create_jsonl_index("ais://speech/a.jsonl")
    bucket.object("a.jsonl").put(b"{}\n{}\n{}\n")
    with pytest.raises(
        ShardError, match="it is of a file of 6 bytes, and ais://speech/a.jsonl has 9"
    ):
        read_index("ais://speech/a.jsonl.idx", data_path="ais://speech/a.jsonl")
    bucket.object("a.tar").put(pack(("a.wav", b""), ("a.json", b"")))
    bucket.object("a.tar.idx").put(struct.pack("<2Q", 0, 1024))
    assert list(read_index("ais://speech/a.tar.idx", data_path="ais://speech/a.tar")) == [0, 1024]
    bucket.object("a.tar.idx").put(struct.pack("<2Q", 0, 1 << 20))
    with pytest.raises(ShardError, match=r"a\.tar\.idx"):
        read_index("ais://speech/a.tar.idx", data_path="ais://speech/a.tar")


def test_a_tar_that_has_grown_is_an_error(tmp_path: Path) -> None:
    """Only zeros may be left out at its end."""
    samples = [(f"{name}.{kind}", b"1") for name in "ab" for kind in ("wav", "json")]
    (tmp_path / "a.tar").write_bytes(pack(*samples[:2]))
    create_tar_index(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(pack(*samples))
    with pytest.raises(ShardError, match="make it anew"):
        read_index(tmp_path / "a.tar.idx", data_path=tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("data", "about"),
    [
        (b"", "0 bytes"),
        (b"abc", "3 bytes"),
        (struct.pack("<2Q", 5, 4), "ascend"),
        (struct.pack("<3Q", 0, 0, 9), "ascend"),
    ],
)
def test_what_is_no_index_is_an_error(data: bytes, about: str) -> None:
    """It is named."""
    with pytest.raises(ShardError, match=f"a.idx: this index cannot be used: .*{about}"):
        parse_index(data, "a.idx")


def test_what_is_wrong_is_said(bucket: Bucket, tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(NotFoundError, match="none.idx"):
        read_index("ais://speech/none.idx")
    with pytest.raises(ConfigError, match=r"a\.jsonl\.gz: a compressed file"):
        create_jsonl_index(tmp_path / "a.jsonl.gz")
    assert str(place_url(tmp_path / "a")) == f"file://{tmp_path}/a"


@pytest.mark.parametrize("root", [None, "/roots/idx", "ais://cache/idx/"])
@pytest.mark.parametrize("path", ["ais://b/k/m.jsonl", "/data/a.tar", "a.tar"])
def test_indexes_are_where_lhotse_has_them(path: str, root: str | None) -> None:
    """Beside the file, or below a root."""
    assert index_file_path(path, root) == str(indexing.index_file_path(path, root))
