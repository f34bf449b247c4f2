"""Folders of files -> tar shards."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import xxhash

from aisio.cli.types import parse_size
from aisio.errors import (
    ConfigError,
    ConflictError,
    NotFoundError,
    ShardError,
    StorageError,
)
from aisio.records import Checksum, ObjectInfo
from aisio.shards.packing import PackedShard, pack_folder, write_shards
from aisio.shards.plan import plan_folder
from aisio.shards.reader import read_samples
from aisio.stores import LocalStore
from aisio.transport.payload import PutData
from aisio.urls import ObjectUrl

DIGITS = {
    f"{folder}/{number:04d}.{kind}": f"{folder} {number} {kind}".encode() * number
    for folder in ("a", "b")
    for number in range(5)
    for kind in ("png", "cls")
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder of ten samples."""
    return write(tmp_path / "in", DIGITS)


@pytest.fixture
def out(tmp_path) -> str:
    """Return the URL of a folder that is not there yet."""
    return f"file://{tmp_path}/out"


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def path_of(shard: PackedShard) -> Path:
    """Return where a shard of a local folder is."""
    return Path(shard.url.removeprefix("file://"))


def samples_of(shards: list[PackedShard]) -> list[tuple[str, dict[str, bytes]]]:
    """Read keys and fields of shards, in order."""
    found = []
    for shard in shards:
        with path_of(shard).open("rb") as file:
            found += [(one.key, one.fields) for one in read_samples(file, url=shard.url)]
    return found


def expected_samples(files: dict[str, bytes]) -> list[tuple[str, dict[str, bytes]]]:
    """Return keys and fields, sorted, of files whose names have one dot."""
    samples: dict[str, dict[str, bytes]] = {}
    for name in sorted(files):
        key, extension = name.split(".")
        samples.setdefault(key, {})[extension] = files[name]
    return list(samples.items())


def test_samples_come_back_as_they_were(folder, out):
    """Sorted by key, fields by extension; the last shard has the rest."""
    shards = list(pack_folder(folder, out, samples=4))
    assert [shard.samples for shard in shards] == [4, 4, 2]
    assert [shard.url for shard in shards] == [f"{out}/shard-{n:06d}.tar" for n in range(3)]
    assert samples_of(shards) == expected_samples(DIGITS)


def test_other_programs_read_the_shards(folder, out, tmp_path):
    """Python's tarfile and GNU tar see the same files."""
    (shard,) = pack_folder(folder, out)
    with tarfile.open(path_of(shard)) as archive:
        assert archive.getnames() == sorted(DIGITS)
        info = archive.getmember("a/0004.png")
        assert (info.mode, info.uid, info.gid, info.mtime, info.uname) == (0o644, 0, 0, 0, "")
    command = ["tar", "--extract", "--file", path_of(shard), "--directory", tmp_path]
    subprocess.run(command, check=True)
    assert {name: (tmp_path / name).read_bytes() for name in DIGITS} == DIGITS


def test_a_packed_shard_has_the_size_and_checksum_of_its_file(folder, out):
    """What the iterator yields is compared with the file."""
    for shard in pack_folder(folder, out, samples=3):
        data = path_of(shard).read_bytes()
        assert shard.size_bytes == len(data)
        assert shard.checksum == Checksum("xxhash2", xxhash.xxh64(data, seed=0).hexdigest())


def test_the_same_files_give_the_same_bytes(folder, tmp_path):
    """Whatever their times and modes are, and in whatever order they were made."""
    again = write(tmp_path / "again", dict(reversed(DIGITS.items())))
    for path in again.rglob("*.png"):
        path.chmod(0o600)
        os.utime(path, (1, 1))
    first = list(pack_folder(folder, f"file://{tmp_path}/out1", samples=3))
    second = list(pack_folder(again, f"file://{tmp_path}/out2", samples=3))
    assert [shard.checksum for shard in first] == [shard.checksum for shard in second]


def test_shards_are_limited_by_bytes(folder, out):
    """As full as they can be, and a sample never spans two."""
    shards = list(pack_folder(folder, out, size_bytes=6 * 1024))
    # 2 KiB a sample, 1 KiB where both of its files are empty (0000), 1 KiB at the end.
    assert [shard.size_bytes for shard in shards] == [6144, 6144, 5120, 5120]
    assert samples_of(shards) == expected_samples(DIGITS)


def test_a_sample_larger_than_a_shard_gets_one_for_itself(tmp_path, out):
    """There is no other place for it."""
    files = {"0.x": b"", "1.x": bytes(5000), "2.x": b""}
    shards = list(pack_folder(write(tmp_path / "in", files), out, size_bytes=4096))
    assert [(shard.samples, shard.size_bytes) for shard in shards] == [
        (1, 1536),
        (1, 512 + 5120 + 1024),
        (1, 1536),
    ]


def test_names_of_any_length_and_script_come_back(tmp_path, out):
    """More than a ustar header holds, and what is not UTF-8."""
    long = "/".join(["folder-" + "x" * 60] * 4)
    files = {f"{long}/0001.a.b": b"long", "ä 漢字.a.b": b"unicode", "\udcff.a.b": b"bytes"}
    (shard,) = pack_folder(write(tmp_path / "in", files), out, prefix="odd")
    with tarfile.open(path_of(shard)) as archive:
        assert sorted(archive.getnames()) == sorted(files)
    assert dict(samples_of([shard]))[f"{long}/0001"] == {"a.b": b"long"}


def test_python_users_get_warnings(folder, out):
    """A UserWarning each, and then the shards."""
    write(folder, {"odd.jpg": b"", "README": b"", ".git/config.x": b"", "a/.DS_Store": b""})
    with pytest.warns(UserWarning, match=f"^pack {folder}: ") as told:
        shards = list(pack_folder(folder, out))
    texts = [str(warning.message) for warning in told]
    assert "1 with jpg (odd)" in texts[0]
    assert "2 hidden (.git/config.x, a/.DS_Store)" in texts[1]
    assert "1 without extension (README)" in texts[1]
    assert samples_of(shards) == [*expected_samples(DIGITS), ("odd", {"jpg": b""})]


def test_strict_refuses_before_anything_is_written(folder, out, tmp_path):
    """All or nothing."""
    write(folder, {"odd.jpg": b""})
    with pytest.raises(ShardError, match="1 of 11 samples .* nothing was written"):
        pack_folder(folder, out, strict=True)
    assert not (tmp_path / "out").exists()


def test_shards_of_an_earlier_run_are_kept(folder, out, tmp_path):
    """A second run must not mix with a first one."""
    first = list(pack_folder(folder, out, samples=2))
    with pytest.raises(ConflictError, match="5 shards of an earlier run"):
        list(pack_folder(folder, out, samples=4))
    assert samples_of(first) == expected_samples(DIGITS)
    other = list(pack_folder(folder, out, samples=4, prefix="other"))
    assert samples_of(other) == samples_of(first)


def test_overwriting_leaves_no_shard_of_the_earlier_run(folder, out, tmp_path):
    """But it leaves everything else."""
    list(pack_folder(folder, out, samples=1))
    write(tmp_path / "out", {"shard-1.tar": b"", "shard-index.json": b"", "shard2-000009.tar": b""})
    shards = list(pack_folder(folder, out, samples=4, overwrite=True))
    assert samples_of(shards) == expected_samples(DIGITS)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "shard-000000.tar",
        "shard-000001.tar",
        "shard-000002.tar",
        "shard-1.tar",
        "shard-index.json",
        "shard2-000009.tar",
    ]


def test_a_file_that_changes_leaves_no_half_shard(folder, out, tmp_path):
    """The shards before it are whole, it is not there."""
    shards = pack_folder(folder, out, samples=5)
    whole = next(shards)
    (folder / "b" / "0002.png").write_bytes(b"more than it was before")
    with pytest.raises(StorageError, match=r"0002\.png: the file had"):
        list(shards)
    assert list((tmp_path / "out").iterdir()) == [path_of(whole)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"samples": 1, "size_bytes": 1}, "not by both"),
        ({"samples": 0}, "samples=0"),
        ({"size_bytes": -1}, "size_bytes=-1"),
        ({"prefix": ""}, "prefix=''"),
        ({"prefix": "a/b"}, "prefix='a/b'"),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(folder, out, options, says):
    """Before the first shard is written."""
    with pytest.raises(ConfigError, match=says):
        pack_folder(folder, out, **options)


@pytest.mark.parametrize("files", [{}, {"README": b"", ".hidden.x": b""}])
def test_a_folder_without_samples_is_an_error(tmp_path, out, files):
    """No shard would be a surprise later."""
    (tmp_path / "in").mkdir()
    with pytest.raises(ConfigError, match="nothing to pack"):
        pack_folder(write(tmp_path / "in", files), out)


def test_what_is_no_folder_is_an_error(tmp_path, out):
    """Missing, or a file."""
    (tmp_path / "file").write_bytes(b"")
    for name in ("missing", "file"):
        with pytest.raises(StorageError, match=name):
            pack_folder(tmp_path / name, out)


@pytest.mark.parametrize("below", ["", "/shards"])
def test_shards_cannot_go_into_the_folder_itself(folder, below):
    """The next run would pack them."""
    with pytest.raises(ConfigError, match="in the folder itself"):
        list(pack_folder(folder, f"file://{folder}{below}"))


class NoBucket(LocalStore):
    """A store without the bucket, that takes note of what is put."""

    def __init__(self) -> None:
        self.put_urls: list[str] = []

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        raise NotFoundError(f"list {prefix}: no such bucket")

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        self.put_urls.append(str(url))
        return ObjectInfo(url.root, url.name)


def test_a_bucket_that_is_not_there_is_noticed_before_anything_is_put(folder):
    """A folder that is not there is made; a bucket is not."""
    store = NoBucket()
    shards = write_shards(plan_folder(folder), ObjectUrl.parse("ais://none"), store=store)
    with pytest.raises(NotFoundError):
        next(shards)
    assert store.put_urls == []


def test_links_are_followed(tmp_path, out):
    """Files and folders, also to the outside: caches are made of links."""
    real = write(tmp_path / "cache", {"blob1": b"one", "more/2.png": b"two"})
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.png").symlink_to(real / "blob1")
    (tmp_path / "in" / "more").symlink_to(real / "more")
    shards = list(pack_folder(tmp_path / "in", out))
    assert samples_of(shards) == [("1", {"png": b"one"}), ("more/2", {"png": b"two"})]


def test_a_link_to_nowhere_is_an_error(folder, out):
    """Left out silently, it would be a lost sample."""
    (folder / "1.png").symlink_to("gone")
    with pytest.raises(StorageError, match="1.png is a link that leads to no file"):
        pack_folder(folder, out)


@pytest.mark.parametrize(("link", "target"), [("a/up", ".."), ("a/self", ".")])
def test_a_link_upwards_adds_nothing(folder, out, link, target):
    """Followed, it would have no end; what is behind it is packed already."""
    before = samples_of(list(pack_folder(folder, out)))
    (folder / link).symlink_to(target)
    assert samples_of(list(pack_folder(folder, out, overwrite=True))) == before


def test_a_pipe_is_passed_over(folder, out):
    """Reading it would hang, and it holds no sample."""
    os.mkfifo(folder / "a" / "pipe.png")
    assert "pipe" not in str(samples_of(list(pack_folder(folder, out))))


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0", 0), ("500", 500), ("64K", 65536), ("256m", 1 << 28), (" 1G ", 1 << 30), ("2T", 1 << 41)],
)
def test_sizes_are_read(text, size_bytes):
    """K is 1,024."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "K", "-1", "1.5G", "1 G", "1GB", "many", "٣"])
def test_what_is_no_size_is_refused(text):
    """With what one looks like."""
    with pytest.raises(ConfigError, match="256M"):
        parse_size(text)
