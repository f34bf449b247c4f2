"""Folders of files -> tar shards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import msgspec
import pytest
import xxhash

from aisio.cli.types import parse_size
from aisio.client.client import Client
from aisio.errors import (
    ConfigError,
    ConflictError,
    NotFoundError,
    ShardError,
    StorageError,
)
from aisio.gateway import Gateway
from aisio.records import Checksum, ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.names import ShardNames
from aisio.shards.packing import PackedShard, pack_folder, write_shards
from aisio.shards.plan import plan_folder
from aisio.shards.reader import read_samples
from aisio.sources.source_set import SourceSet
from aisio.sources.url import url_source
from aisio.stores import AisStore, LocalStore
from aisio.transport.body import Body
from aisio.transport.payload import PutData
from aisio.urls import ObjectUrl
from tests.indexed import index_of

DIGITS = {
    f"{folder}/{number:04d}.{kind}": f"{folder} {number} {kind}".encode() * number
    for folder in ("a", "b")
    for number in range(5)
    for kind in ("png", "cls")
}


# Two folders in their order are what most of these tests want.
pytestmark = pytest.mark.filterwarnings("ignore:.*in the order of their 2 folders:UserWarning")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    """Leave the user's cache alone."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


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
        ".aisio-index",
        "shard-000000.tar",
        "shard-000001.tar",
        "shard-000002.tar",
        "shard-1.tar",
        "shard-index.json",
        "shard2-000009.tar",
    ]


def test_a_file_that_changes_leaves_no_half_shard(folder, out, tmp_path):
    """The shards before it are whole, it is not there."""
    shards = pack_folder(folder, out, samples=5, jobs=1)
    whole = next(shards)
    (folder / "b" / "0002.png").write_bytes(b"more than it was before")
    with pytest.raises(StorageError, match=r"0002\.png: the file changed"):
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


def index_in(folder: Path) -> ShardIndex:
    """Return the index in a folder."""
    return ShardIndex.from_file(folder / ".aisio-index", folder=f"file://{folder}/")


def test_the_index_is_that_of_aisio_index(folder, out, tmp_path):
    """Byte for byte; and the shards need not be read."""
    shards = list(pack_folder(folder, out, samples=4))
    urls = [ObjectUrl.parse(shard.url) for shard in shards]
    read = ShardIndex.of_shards(
        ((index_of(LocalStore(), [url]), 0) for url in urls), folder=f"{out}/"
    )
    assert index_in(tmp_path / "out").to_bytes() == read.to_bytes()


def test_labels_are_the_numbers_of_the_folders(folder, out, tmp_path, caplog):
    """The folder stays in the key, the order is mixed, and the names of the classes are told."""
    write(folder, {"a/more/9.png": b""})
    (folder / "a" / "0000.cls").unlink()
    files = {name: data for name, data in DIGITS.items() if name.endswith(".png")}
    for name in DIGITS:
        if name.endswith(".cls"):
            (folder / name).unlink(missing_ok=True)
    shards = list(pack_folder(folder, out, samples=4, labels_from_folder=True))
    found = samples_of(shards)
    keys = [key for key, _ in found]
    assert keys != sorted(keys)
    assert sorted(keys) == ["a/0000", "a/0001", "a/0002", "a/0003", "a/0004", "a/more/9"] + [
        f"b/{number:04d}" for number in range(5)
    ]
    for key, fields in found:
        assert fields == {"cls": b"01"[key[0] == "b" :][:1], "png": files.get(f"{key}.png", b"")}
    assert json.loads((tmp_path / "out" / "classes.json").read_bytes()) == {"a": 0, "b": 1}
    assert [info.url for info in _listed(out)] == [shard.url for shard in shards]
    assert caplog.text == ""  # readers know that classes.json belongs to the shards


def _listed(url: str) -> list[ObjectInfo]:
    """List the shards of a folder as the readers do."""
    prefix = url_source(LocalStore(), ObjectUrl.parse(f"{url}/"))
    return [info for _, info in SourceSet([prefix], owner="test", name_filter=ShardNames()).list()]


def test_a_seed_gives_another_order(folder, tmp_path):
    """And the same seed the same bytes."""
    runs = [
        list(pack_folder(folder, f"file://{tmp_path}/{n}", shuffle=True, seed=seed))
        for n, seed in enumerate((0, 1, 0))
    ]
    first, other, again = (run[0].checksum for run in runs)
    assert first == again != other
    assert sorted(samples_of(runs[1])) == expected_samples(DIGITS)


def test_a_split_is_in_folders_of_their_own(folder, out, tmp_path):
    """Each with its index; no sample is in two, and what is in none is told."""
    split: dict[str, float | str] = {"train": 0.6, "val": "0.2"}
    with pytest.warns(UserWarning, match="2 samples are in no split"):
        packed = pack_folder(folder, out, samples=4, split=split, shuffle=True)
    shards = list(packed)
    assert [shard.url.removeprefix(out) for shard in shards] == [
        "/train/shard-000000.tar",
        "/train/shard-000001.tar",
        "/val/shard-000000.tar",
    ]
    train, val = samples_of(shards[:2]), samples_of(shards[2:])
    assert (len(train), len(val)) == (6, 2)
    assert len({key for key, _ in train + val}) == 8
    assert sorted(index_in(tmp_path / "out/val").keys()) == sorted(key for key, _ in val)
    assert len(index_in(tmp_path / "out/train")) == 6
    assert not (tmp_path / "out/.aisio-index").exists()


def test_a_split_stands_beside_no_shards_of_a_run_without(folder, out, tmp_path):
    """A reader of the whole folder would read each sample twice."""
    list(pack_folder(folder, out, samples=5))
    split: dict[str, float | str] = {"train": 0.5, "val": 0.5}
    with pytest.raises(ConflictError, match=r"has 2 shards .* first is .*/out/shard-000000.tar;"):
        list(pack_folder(folder, out, split=split))
    assert not (tmp_path / "out/train").exists()
    list(pack_folder(folder, out, split=split, overwrite=True))
    assert not list((tmp_path / "out").glob("*.tar"))
    assert len(index_in(tmp_path / "out")) == 0
    assert len(index_in(tmp_path / "out/train")) == 5
    list(pack_folder(folder, out, split=split))


def test_splits_of_an_earlier_run_are_told(folder, out, tmp_path, caplog):
    """They may be of other data, so they stay."""
    list(pack_folder(folder, out, split={"train": 0.5, "val": 0.5}))
    assert not caplog.records
    list(pack_folder(folder, out))
    (record,) = caplog.records
    assert "out/ has 2 other shards, the first file://" in record.getMessage()
    assert "out/train/shard-000000.tar, which its index leaves out" in record.getMessage()


def test_a_list_says_what_is_packed(folder, out, tmp_path):
    """In its order; labels that are names get numbers, other columns are the field json."""
    listed = tmp_path / "list.csv"
    listed.write_text("file,label,size\nb/0001.png,dog,1\na/0002.png,cat,2\na/0003.png,dog,3\n")
    shards = list(pack_folder(folder, out, files=listed))
    assert samples_of(shards) == [
        ("b/0001", {"cls": b"1", "json": b'{"size": "1"}', "png": DIGITS["b/0001.png"]}),
        ("a/0002", {"cls": b"0", "json": b'{"size": "2"}', "png": DIGITS["a/0002.png"]}),
        ("a/0003", {"cls": b"1", "json": b'{"size": "3"}', "png": DIGITS["a/0003.png"]}),
    ]
    assert json.loads((tmp_path / "out" / "classes.json").read_bytes()) == {"cat": 0, "dog": 1}


def test_labels_that_may_be_others_are_a_warning(folder, out, tmp_path):
    """Unless the numbers are given."""
    listed = tmp_path / "list.csv"
    listed.write_text("file,label\nb/0001.png,-1\na/0002.png,1\n")
    with pytest.warns(UserWarning, match="labels such as '-1', '1' are taken as names"):
        pack_folder(folder, out, files=listed)
    classes = tmp_path / "classes.json"
    classes.write_text('{"1": 0, "-1": 1}')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pack_folder(folder, out, files=listed, classes=classes)
    images = write(tmp_path / "images", dict.fromkeys(("a/1.1.png", "a/1.2.png"), b""))
    with pytest.warns(UserWarning, match="1 of 1 samples have several files of one format"):
        pack_folder(images, out, labels_from_folder=True)


def test_class_order_is_a_warning(folder, out):
    """Unless the order was asked for."""
    with pytest.warns(UserWarning, match=r"in the order of their 2 folders \(a, b\)"):
        pack_folder(folder, out)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pack_folder(folder, out, shuffle=False)


class CountingStore(LocalStore):
    """Counts what is put, by name; tells checksums or pins, as stores do."""

    def __init__(self, *, checksums: bool = False) -> None:
        self.put_names: list[str] = []
        self.got_names: list[str] = []
        self.checksums = checksums

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        self.put_names.append(url.name.rpartition("/")[2])
        return super().put(url, data)

    def get(self, url: ObjectUrl, *args: Any, **options: Any) -> Body:
        self.got_names.append(url.name.rpartition("/")[2])
        return super().get(url, *args, **options)

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        for info in super().list(prefix, start_after=start_after):
            data = Path("/", info.name).read_bytes()
            checksum = Checksum("xxhash2", xxhash.xxh64(data, seed=0).hexdigest())
            yield msgspec.structs.replace(info, checksum=checksum if self.checksums else None)

    @property
    def put_shards(self) -> set[str]:
        """The shards that were put."""
        return {name for name in self.put_names if name.endswith(".tar")}


def packed_with(
    store: CountingStore, folder: Path, out: str, *, overwrite: bool = False
) -> list[PackedShard]:
    """Pack a folder, two samples a shard."""
    plan = plan_folder(folder, samples=2)
    return list(write_shards(plan, ObjectUrl.parse(out), store=store, overwrite=overwrite, jobs=2))


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("has_cache", [True, False])
def test_what_is_stored_is_not_sent_again(folder, out, tmp_path, monkeypatch, checksums, has_cache):
    """Whatever is missing; and the result is that of one run."""
    whole = packed_with(CountingStore(), folder, out)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    # As it is after a run that was killed: the cache has what was stored.
    shutil.rmtree(tmp_path / "out")
    run = write_shards(plan_folder(folder, samples=2), ObjectUrl.parse(out), store=LocalStore())
    assert [next(run).url for _ in range(3)] == [shard.url for shard in whole[:3]]
    run.close()
    for name in ("shard-000003.tar", "shard-000004.tar"):
        (tmp_path / "out" / name).unlink(missing_ok=True)
    (tmp_path / "out" / "shard-000001.tar").unlink()
    if not has_cache:
        monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "other-cache"))
    store = CountingStore(checksums=checksums)
    again = packed_with(store, folder, out)
    assert store.put_shards == {f"shard-00000{number}.tar" for number in (1, 3, 4)}
    assert [shard.was_stored for shard in again] == [True, False, True, False, False]
    assert [shard.checksum for shard in again] == [shard.checksum for shard in whole]
    # The index is read to see whether it has other shards; shards only where nothing else tells.
    assert ("shard-000000.tar" in store.got_names) == (not checksums and not has_cache)
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert after.keys() == before.keys()
    assert {name: data for name, data in after.items() if name.endswith(".tar")} == {
        name: data for name, data in before.items() if name.endswith(".tar")
    }
    assert not has_cache or list((tmp_path / "cache").rglob("packed/*")) == []


def test_all_that_is_there_is_left_as_it_is(folder, out):
    """A second run of the same files writes nothing, not even the index."""
    packed_with(CountingStore(), folder, out)
    store = CountingStore()
    assert all(shard.was_stored for shard in packed_with(store, folder, out))
    assert store.put_names == []


@pytest.mark.parametrize("has_cache", [True, False])
def test_a_file_that_has_changed_since_is_noticed(folder, out, tmp_path, monkeypatch, has_cache):
    """Of the same size, too; overwriting sends that shard alone."""
    run = write_shards(plan_folder(folder, samples=2), ObjectUrl.parse(out), store=LocalStore())
    next(run)
    next(run)
    run.close()
    if not has_cache:
        monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "other-cache"))
    data = bytes(reversed(DIGITS["a/0003.png"]))
    (folder / "a/0003.png").write_bytes(data)
    with pytest.raises(
        ConflictError, match="shard-000001.tar with other bytes: a file has changed"
    ):
        packed_with(CountingStore(), folder, out)
    store = CountingStore()
    shards = packed_with(store, folder, out, overwrite=True)
    assert "shard-000001.tar" in store.put_shards
    assert "shard-000000.tar" not in store.put_shards
    assert samples_of(shards) == expected_samples({**DIGITS, "a/0003.png": data})


class VersionStore(AisStore):
    """A cluster whose buckets have versions and no checksums."""

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        return map(_without_checksum, super().list(prefix, start_after=start_after))

    def head(self, url: ObjectUrl) -> ObjectInfo:
        return _without_checksum(super().head(url))

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        return _without_checksum(super().put(url, data))


def _without_checksum(info: ObjectInfo) -> ObjectInfo:
    return msgspec.structs.replace(info, checksum=None)


def test_the_version_of_a_new_bucket_tells_nothing_of_the_old_one(tmp_path):
    """Both count from 1."""
    url = ObjectUrl.parse("ais://packed/")
    write(tmp_path / "in", {f"{number}.bin": bytes([number]) for number in range(8)})
    first, other = (plan_folder(tmp_path / "in", shuffle=True, seed=seed) for seed in (1, 2))
    (tmp_path / "buckets").mkdir()
    with Gateway(tmp_path / "buckets") as gateway:
        client = Client(gateway.endpoint)
        bucket = client.bucket("packed").create()
        run = write_shards(first, url, store=VersionStore(client), jobs=1)
        assert not next(run).was_stored
        run.close()  # as one that was killed, so that the cache has the shard
        bucket.delete()
        bucket.create()
        list(write_shards(other, url, store=VersionStore(client)))
        with pytest.raises(ConflictError, match="shard-000000.tar with other bytes"):
            list(write_shards(first, url, store=VersionStore(client)))
        client.close()


def test_other_classes_are_not_replaced_in_silence(folder, out, tmp_path):
    """The numbers in the shards would mean something else."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/classes.json").write_text('{"b": 0}')
    with pytest.raises(ConflictError, match="has other classes, in .*/classes.json"):
        list(pack_folder(folder, out, files=_labels(tmp_path)))
    list(pack_folder(folder, out, files=_labels(tmp_path), overwrite=True))
    assert json.loads((tmp_path / "out/classes.json").read_bytes()) == {"cat": 0, "dog": 1}


def _labels(tmp_path: Path) -> Path:
    (tmp_path / "list.csv").write_text("file,label\na/0001.png,dog\na/0002.png,cat\n")
    return tmp_path / "list.csv"


def test_several_shards_are_written_at_once(folder, out):
    """As many as jobs, and each is told in its turn."""

    class Meeting(LocalStore):
        """Lets no shard pass until two are being written."""

        def __init__(self) -> None:
            self.barrier = threading.Barrier(2, timeout=60)

        def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
            if url.name.endswith(".tar"):
                self.barrier.wait()
            return super().put(url, data)

    plan = plan_folder(folder, samples=5)
    shards = list(write_shards(plan, ObjectUrl.parse(out), store=Meeting(), jobs=2))
    assert samples_of(shards) == expected_samples(DIGITS)


def test_progress_is_told_once_for_each_file(folder, out):
    """Also where nothing is sent again."""
    for _ in range(2):
        pieces: list[tuple[int, int]] = []

        def on_packed(size: int, files: int, pieces: list[tuple[int, int]] = pieces) -> None:
            pieces.append((size, files))

        plan = plan_folder(folder, samples=5)
        target = ObjectUrl.parse(out)
        list(write_shards(plan, target, store=LocalStore(), on_packed=on_packed))
        assert sum(size for size, _ in pieces) == plan.content_bytes
        assert sum(files for _, files in pieces) == len(DIGITS)


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
