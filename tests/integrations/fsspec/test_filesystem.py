"""AisFileSystem: what it does beyond the tests that fsspec has for all."""

from __future__ import annotations

import asyncio
import gc
import io
import multiprocessing
import pickle
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import fsspec
import pytest

from aisio import Bucket
from aisio.errors import ConfigError, IntegrityError
from aisio.gateway import Gateway
from aisio.integrations.fsspec import AisFileSystem, S3FileSystem
from aisio.stores import DirectSettings
from aisio.testing.fault_proxy import FaultProxy
from aisio.transport.writer import WriteOptions

DATA = bytes(range(256)) * 1000


@pytest.fixture
def counted(bucket: Bucket, cluster: str) -> Any:
    """Yield a file system whose requests are counted, and the proxy that counts them."""
    with FaultProxy(cluster) as proxy:
        yield AisFileSystem(endpoint=proxy.endpoint), proxy


def test_urls_find_it(bucket: Bucket, cluster: str) -> None:
    """By the entry point; endpoint by argument or environment."""
    with fsspec.open("ais://data/a", "wb", endpoint=cluster) as file:
        file.write(DATA)
    with fsspec.open("ais://data/a", "rb", endpoint=cluster) as file:
        assert file.read() == DATA
    fs, path = fsspec.url_to_fs("ais://data/a", endpoint=cluster)
    assert (type(fs), path, fs.unstrip_protocol(path)) == (AisFileSystem, "data/a", "ais://data/a")


def test_a_file_is_one_request(counted: Any, bucket: Bucket) -> None:
    """Ranges that are near come by one, far ones by one each."""
    fs, proxy = counted
    bucket.object("a").put(DATA)
    fs.cat_file("data/a")
    before = len(proxy.requests)
    assert fs.cat_file("ais://data/a") == DATA
    assert len(proxy.requests) - before == 1
    before = len(proxy.requests)
    assert fs.cat_ranges(["data/a"] * 3, [0, 20, 5], [10, 30, 8]) == [
        DATA[:10],
        DATA[20:30],
        DATA[5:8],
    ]
    assert len(proxy.requests) - before == 1
    before = len(proxy.requests)
    assert fs.cat_ranges(["data/a"] * 2, [0, 200_000], [1, 200_001], max_gap=1) == [
        DATA[:1],
        DATA[200_000:200_001],
    ]
    assert len(proxy.requests) - before == 2


def test_ranges_that_fail_stand_where_they_are(fs: AisFileSystem, bucket: Bucket) -> None:
    """Or are raised."""
    bucket.object("a").put(DATA)
    found = fs.cat_ranges(["data/a", "data/x"], 0, 5)
    assert found[0] == DATA[:5]
    assert isinstance(found[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["data/a", "data/x"], 0, 5, on_error="raise")


def test_a_block_that_raises_stores_nothing(fs: AisFileSystem, bucket: Bucket) -> None:
    """The old object stays."""
    bucket.object("a").put(b"old")
    _write_and_raise(fs, "data/a")
    assert fs.cat_file("data/a") == b"old"


def _write_and_raise(fs: AisFileSystem, path: str) -> None:
    """Write an object in a block that raises."""
    with suppress(RuntimeError), fs.open(path, "wb") as file:
        file.write(b"new")
        raise RuntimeError


@pytest.mark.parametrize("compression", [None, "gzip", "bz2", "xz", "zip"])
@pytest.mark.parametrize("mode", ["w", "wb"])
def test_any_file_is_stored_whole_or_not_at_all(
    fs: Any, bucket: Bucket, cluster: str, mode: str, compression: str | None
) -> None:
    """Text and compressed ones too, and those of `fsspec.open`, which a block that raises drops."""
    text = "ä" if mode == "w" else "ä".encode()
    as_text = {"encoding": "utf-8"} if mode == "w" else {}
    by_url = partial(fsspec.open, "ais://data/a", mode, endpoint=cluster, compression=compression)
    by_path = partial(fs.open, "data/a", mode, compression=compression)
    for opened in (by_url, by_path):
        with suppress(RuntimeError), opened(**as_text) as file:
            file.write(text)
            raise RuntimeError
        gc.collect()
        assert fs.find("data") == []
        with opened(**as_text) as file:
            file.write(text)
        with fs.open("data/a", mode.replace("w", "r"), compression=compression, **as_text) as file:
            assert file.read() == text
        fs.rm("data/a")


def test_a_file_that_is_forgotten_is_not_stored(fs: AisFileSystem, bucket: Bucket) -> None:
    """Whatever it is written by."""
    for mode, compression in (("wb", None), ("w", None), ("wb", "gzip"), ("w", "gzip")):
        with pytest.warns(ResourceWarning, match="nothing was stored"):
            _write_and_forget(fs, mode, compression)
        assert fs.find("data") == []


def _write_and_forget(fs: AisFileSystem, mode: str, compression: str | None) -> None:
    """Drop a file without closing it."""
    fs.open("data/a", mode, compression=compression).write("a" if mode == "w" else b"a")
    gc.collect()


def test_a_file_may_be_closed_where_an_error_is_handled(
    fs: AisFileSystem, bucket: Bucket, cluster: str
) -> None:
    """It is stored: only a block that raises drops one."""
    opened = fsspec.open("ais://data/a", "wb", endpoint=cluster)
    file = opened.open()
    try:
        raise RuntimeError
    except RuntimeError:
        file.write(b"a")
        opened.close()
    assert fs.cat_file("data/a") == b"a"


def test_transactions(fs: AisFileSystem, bucket: Bucket) -> None:
    """All files appear at its end, or none; one that was dropped by itself stays dropped."""
    with fs.transaction:
        for name in ("a", "b"):
            with fs.open(f"data/{name}", "wb") as file:
                file.write(name.encode())
        _write_and_raise(fs, "data/c")
        assert fs.ls("data") == []
    assert fs.cat(["data/a", "data/b"]) == {"data/a": b"a", "data/b": b"b"}
    assert not fs.exists("data/c")
    with suppress(RuntimeError), fs.transaction:
        with fs.open("data/d", "wb") as file:
            file.write(b"d")
        raise RuntimeError
    assert not fs.exists("data/d")


def test_writing_creates_no_bucket(fs: AisFileSystem, cluster: str) -> None:
    """Its name may be misspelt."""
    file = fsspec.open("ais://dtaa/a", "wb", endpoint=cluster).open()
    file.write(b"a")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        file.close()
    assert "dtaa" not in fs.ls("", detail=False)


def test_without_fsspec_the_error_names_the_package() -> None:
    """As where any other extra is missing."""
    code = "import sys; sys.modules['fsspec'] = None; import aisio.integrations.fsspec"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError: this needs the package fsspec" in done.stderr


def test_options_that_are_not_known(cluster: str) -> None:
    """Those of other file systems, and misspelt ones."""
    with pytest.raises(ConfigError, match="anon, endpont: no options of AisFileSystem, nor of fss"):
        AisFileSystem(endpont=cluster, anon=True)
    with pytest.raises(ConfigError, match="the address of the cluster is endpoint="):
        AisFileSystem(endpoint_url=cluster)
    AisFileSystem(endpoint=cluster, listings_expiry_time=1, max_paths=2, batch_size=3)


def test_modes(fs: AisFileSystem, bucket: Bucket) -> None:
    """Text is UTF-8 as asked; an object cannot be changed in place; an empty one can be stored."""
    with fs.open("data/a.txt", "w", encoding="utf-8", newline="") as file:
        file.write("äöü\r\n")
    assert fs.cat_file("data/a.txt") == "äöü\r\n".encode()
    for mode in ("ab", "r+b"):
        with pytest.raises(NotImplementedError, match="read, or written anew"):
            fs.open("data/a.txt", mode)
    fs.touch("data/empty")
    assert fs.info("data/empty")["size"] == 0
    with pytest.raises(FileNotFoundError):
        fs.open("data/x")
    with fs.open("data/b.txt", "w", encoding="utf-16") as file:
        file.write("größer")
    assert fs.read_text("data/b.txt", encoding="utf-16") == "größer"


def test_files_have_what_fsspec_reads_of_them(fs: AisFileSystem, bucket: Bucket) -> None:
    """Size and path, and where they are."""
    bucket.object("a").put(b"one,two,three")
    with fs.open("ais://data/a") as file:
        assert (file.fs, file.path, file.size) == (fs, "data/a", 13)
    assert fs.read_block("data/a", 2, 5, delimiter=b",") == b"two,"


def test_reads_through_the_caches_of_fsspec(fs: AisFileSystem, bucket: Bucket) -> None:
    """As fsspec.parquet asks for."""
    bucket.object("a").put(DATA)
    parts = {"data": {(100, 200): DATA[100:200]}}
    with fs.open("data/a", "rb", cache_type="parts", cache_options=parts) as file:
        file.seek(100)
        assert (file.size, file.read(100)) == (len(DATA), DATA[100:200])
    with fs.open("data/a", "rb", block_size=1000) as file:
        assert file.read() == DATA


@pytest.mark.parametrize("options", [{}, {"block_size": 1000}, {"cache_type": "none"}])
def test_a_file_is_of_one_version(fs: AisFileSystem, bucket: Bucket, options: Any) -> None:
    """Also where fsspec's caches read it."""
    large = DATA * 10
    bucket.object("a").put(large)
    with fs.open("data/a", **options) as file:
        file.seek(1000)  # not from 0 on: AIStore replaces nothing while a response is open
        file.read(10)
        bucket.object("a").put(large[::-1])
        file.seek(len(large) - 10)
        with pytest.raises(IntegrityError, match="was replaced while"):
            file.read(10)


def test_finds_and_patterns(fs: AisFileSystem, bucket: Bucket) -> None:
    """Sorted; depth counts folders; folders on request."""
    for name in ("a.txt", "d/b.txt", "d/e/c.bin"):
        bucket.object(name).put(b"1")
    assert fs.find("data") == ["data/a.txt", "data/d/b.txt", "data/d/e/c.bin"]
    assert fs.find("data", maxdepth=2) == ["data/a.txt", "data/d/b.txt"]
    assert fs.find("data/d", withdirs=True) == [
        "data/d",
        "data/d/b.txt",
        "data/d/e",
        "data/d/e/c.bin",
    ]
    assert fs.find("data/d", maxdepth=1, withdirs=True) == ["data/d", "data/d/b.txt", "data/d/e"]
    assert fs.find("data/a.txt") == fs.find("data/a.txt", maxdepth=1) == ["data/a.txt"]
    assert fs.find("data", maxdepth=1) == ["data/a.txt"]
    assert fs.find("data/x", maxdepth=1) == []
    assert fs.find("data", prefix="d/") == fs.find("data/d")
    assert fs.find("data/d", prefix="e/c") == ["data/d/e/c.bin"]
    assert fs.find("data/a.txt", prefix="x") == []
    assert fs.find("data", prefix="d", maxdepth=1, withdirs=True) == ["data", "data/d"]
    assert fs.find("", prefix="data/d/b") == ["data/d/b.txt"]
    assert fs.glob("data/*") == ["data/a.txt", "data/d"]
    assert fs.glob("data/*/*") == ["data/d/b.txt", "data/d/e"]
    assert fs.glob("data/**/*.txt") == ["data/a.txt", "data/d/b.txt"]
    assert [(where, dirs, files) for where, dirs, files in fs.walk("data/d")] == [
        ("data/d", ["e"], ["b.txt"]),
        ("data/d/e", [], ["c.bin"]),
    ]
    assert fs.du("data") == 3
    with pytest.raises(ValueError, match="maxdepth"):
        fs.find("data", maxdepth=0)


def test_deleting(fs: AisFileSystem, bucket: Bucket) -> None:
    """Of nothing is an error."""
    for name in ("a", "d/b", "d/e/c"):
        bucket.object(name).put(b"1")
    fs.rm("data/a")
    fs.rm("data/d", recursive=True)
    assert fs.find("data") == []
    for recursive in (False, True):
        with pytest.raises(FileNotFoundError):
            fs.rm("data/x", recursive=recursive)


def test_all_buckets_are_not_deleted_at_once(fs: AisFileSystem, bucket: Bucket) -> None:
    """By a path without a bucket."""
    bucket.object("a").put(DATA)
    for path in ("", "ais://", "/"):
        with pytest.raises(ConfigError, match="all buckets"):
            fs.rm(path, recursive=True)
    assert fs.find("data") == ["data/a"]


def test_a_pattern_deletes_objects_alone(fs: AisFileSystem, bucket: Bucket) -> None:
    """Folders that it matches stay."""
    for name in ("a", "b", "d/c"):
        bucket.object(name).put(DATA)
    fs.rm("data/*")
    assert fs.find("data") == ["data/d/c"]
    with pytest.raises(FileNotFoundError):
        fs.rm("data/*")


def test_moving(fs: AisFileSystem, bucket: Bucket) -> None:
    """Copy, then delete; what it was is gone."""
    bucket.object("a").put(DATA)
    fs.mv("data/a", "data/d/b")
    assert fs.find("data") == ["data/d/b"]
    assert fs.cat_file("data/d/b") == DATA
    fs.mv("data/d", "data/e", recursive=True)
    assert fs.find("data") == ["data/e/b"]
    with pytest.raises(FileNotFoundError):
        fs.mv("data/x", "data/y")


def test_the_cluster_copies(counted: Any, bucket: Bucket) -> None:
    """No byte comes here, except for names that AIStore would store wrongly."""
    fs, proxy = counted
    for name in ("d/a", "d/b"):
        bucket.object(name).put(DATA)
    fs.copy("data/d/", "data/e/", recursive=True)
    fs.mv("data/e/a", "data/f")
    reads = [one for one in proxy.requests if one.method == "GET" and "/objects/" in one.path]
    assert [one for one in reads if one.status == 200] == []
    fs.cp_file("data/d/a", "data/100%?\n")
    assert fs.find("data") == ["data/100%?\n", "data/d/a", "data/d/b", "data/e/b", "data/f"]
    assert {fs.cat_file(path) for path in fs.find("data")} == {DATA}


def test_what_is_replaced_while_it_is_moved_stays(fs: AisFileSystem, bucket: Bucket) -> None:
    """Its new bytes were not copied."""
    bucket.object("a").put(b"old")

    class Replaced(AisFileSystem):
        async def _copy(self, *args: Any, **options: Any) -> None:
            await super()._copy(*args, **options)
            await self._pipe_file("data/a", b"new")

    with pytest.raises(IntegrityError, match="ais://data/a: it was replaced after it was copied"):
        Replaced(endpoint=bucket.client.endpoint).mv("data/a", "data/b")
    assert fs.cat(fs.find("data")) == {"data/a": b"new", "data/b": b"old"}


class _ReplacedInS3(S3FileSystem):
    """Another program replaces an object of S3 after it was copied."""

    def write(self, data: bytes) -> None:
        """Upload the object in parts: its ETag is no MD5."""
        options = WriteOptions(5 << 20)
        with self._tree.writer("data/a", overwrite=True, options=options) as file:
            file.write(data)

    async def _copy(self, *args: Any, **options: Any) -> None:
        await super()._copy(*args, **options)
        self.write(NEW)


OLD, NEW = (letter * (5 << 20) + letter for letter in (b"o", b"n"))


def test_what_is_replaced_while_a_cloud_moves_it_stays(tmp_path: Path) -> None:
    """Also where the new bytes are as many, and the store has no checksums: its ETags tell."""
    pytest.importorskip("obstore")
    (tmp_path / "data").mkdir()
    options: Any = {"access_key_id": "a", "secret_access_key": "b"}
    with Gateway(tmp_path) as gateway:
        fs = _ReplacedInS3(direct=DirectSettings(gateway.s3_endpoint, "us-east-1", options))
        fs.write(OLD)
        with pytest.raises(IntegrityError, match="s3://data/a: it was replaced after it was"):
            fs.mv("data/a", "data/b")
        assert fs.cat(["data/a", "data/b"]) == {"data/a": NEW, "data/b": OLD}


def test_two_objects_are_not_moved_to_one_name(fs: AisFileSystem, bucket: Bucket) -> None:
    """One of them would be lost."""
    for name in ("d/a", "e/a"):
        bucket.object(name).put(name.encode())
    with pytest.raises(ConfigError, match="data/d/a would be copied there, too"):
        fs.mv(["data/d/a", "data/e/a"], "data/f/")
    assert fs.cat_file("data/d/a") + fs.cat_file("data/e/a") == b"d/ae/a"


@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        (["data/a", "data/b"], ["data/b", "data/c"]),
        (["data/b", "data/a"], ["data/c", "data/b"]),
        (["data/a", "data/b"], ["data/b", "data/a"]),
        (["data/a", "data/b"], ["data/c", "data/c"]),
        (["data/a", "data/b"], ["data/b", "data/b"]),
        (["data/a", "data/b"], ["data/c"]),
        (["data/a", "ais://data/b"], ["ais://data/b", "data/c"]),
        (["data/d/a", "data/a"], "data/d/"),
        ("data/d/", "data/"),
    ],
)
def test_chains_and_swaps_are_refused(
    fs: AisFileSystem, bucket: Bucket, sources: Any, targets: Any
) -> None:
    """What is copied at once has no order: any could be replaced before it is copied."""
    names = ("a", "b", "d/a", "d/d/a")
    for name in names:
        bucket.object(name).put(name.encode())
    for work in (fs.mv, fs.copy):
        with pytest.raises(ConfigError):
            work(sources, targets, recursive=isinstance(sources, str))
    found = {one.name: bucket.object(one.name).get() for one in bucket.list()}
    assert found == {name: name.encode() for name in names}


def test_a_folder_is_copied_into_itself(fs: AisFileSystem, bucket: Bucket) -> None:
    """What is in it is known before the first copy."""
    for name in ("d/a", "d/d/b"):
        bucket.object(name).put(name.encode())
    fs.copy("data/d", "data/d/e", recursive=True)
    names = {"d/a", "d/d/b", "d/e/a", "d/e/d/b"}
    assert {one.name for one in bucket.list()} == names
    assert bucket.object("d/e/d/b").get() == b"d/d/b"


def test_moving_something_to_itself_deletes_nothing(fs: AisFileSystem, bucket: Bucket) -> None:
    """However the same place is written."""
    for name in ("d/a", "d/b"):
        bucket.object(name).put(DATA)
    fs.mv("ais://data/d/a", "data/d/a")
    for source, target in (("data/d/*", "data/d/"), ("data/d/a", "data/d/")):
        with pytest.raises(ConfigError, match="to itself"):
            fs.mv(source, target)
    for target in ("data/d/", "data/d/sub", "ais://data/d/sub/"):
        with pytest.raises(ConfigError, match="into itself"):
            fs.mv("data/d", target, recursive=True)
    assert fs.find("data") == ["data/d/a", "data/d/b"]


def test_what_comes_while_a_folder_is_moved_stays(fs: AisFileSystem, bucket: Bucket) -> None:
    """It was not copied."""
    bucket.object("d/a").put(DATA)

    class Late(AisFileSystem):
        async def _copy(self, *args: Any, **options: Any) -> None:
            await super()._copy(*args, **options)
            await self._pipe_file("data/d/late", b"1")

    Late(endpoint=bucket.client.endpoint).mv("data/d", "data/e", recursive=True)
    assert fs.find("data") == ["data/d/late", "data/e/a"]


def test_a_copy_to_a_missing_bucket_is_an_error(fs: AisFileSystem, bucket: Bucket) -> None:
    """Also of a folder, where fsspec would pass over missing files."""
    bucket.object("d/a").put(DATA)
    for recursive, source in ((False, "data/d/a"), (True, "data/d")):
        with pytest.raises(FileNotFoundError, match="nobucket"):
            fs.copy(source, "nobucket/e", recursive=recursive)


def test_whole_buckets_are_fetched_and_copied(
    fs: AisFileSystem, bucket: Bucket, tmp_path: Path
) -> None:
    """As folders are."""
    bucket.object("d/a").put(DATA)
    fs.get("data", str(tmp_path / "got"), recursive=True)
    assert (tmp_path / "got" / "d" / "a").read_bytes() == DATA
    fs.mkdir("more")
    fs.copy("data/", "more/", recursive=True)
    assert fs.find("more") == ["more/d/a"]
    fs.rm("more", recursive=True)
    fs.rmdir("more")


def test_listings_are_kept_only_when_asked(bucket: Bucket, cluster: str) -> None:
    """What is written through the file system is listed all the same."""
    cached = AisFileSystem(endpoint=cluster, use_listings_cache=True)
    plain = AisFileSystem(endpoint=cluster)
    assert cached.ls("data") == plain.ls("data") == []
    bucket.object("a").put(b"1")
    assert cached.ls("data") == []
    assert plain.ls("data", detail=False) == cached.ls("data", detail=False, refresh=True)
    cached.pipe_file("data/d/b", b"2")
    with cached.open("data/d/c", "wb") as file:
        file.write(b"3")
    assert cached.ls("data", detail=False) == ["data/a", "data/d"]
    assert cached.ls("data/d", detail=False) == ["data/d/b", "data/d/c"]


def test_a_listing_is_not_kept_that_something_was_written_meanwhile(bucket: Bucket) -> None:
    """The object would be missing until the next write."""

    class Written(AisFileSystem):
        async def _run(self, call: Any, *args: Any, **options: Any) -> Any:
            result = await super()._run(call, *args, **options)
            if call == self._tree.level:
                await self._pipe_file("data/d/late", b"1")
            return result

    fs = Written(endpoint=bucket.client.endpoint, use_listings_cache=True)
    bucket.object("d/a").put(b"1")
    assert fs.ls("data/d", detail=False) == ["data/d/a"]
    assert fs.ls("data/d", detail=False) == ["data/d/a", "data/d/late"]


def test_progress(fs: AisFileSystem, bucket: Bucket, tmp_path: Path) -> None:
    """Counts bytes of a file."""
    callback = fsspec.callbacks.Callback()
    (tmp_path / "a").write_bytes(DATA)
    fs.put_file(str(tmp_path / "a"), "data/a", callback=callback)
    assert (callback.size, callback.value) == (len(DATA), len(DATA))
    callback = fsspec.callbacks.Callback()
    fs.get_file("data/a", str(tmp_path / "b"), callback=callback)
    assert (callback.size, callback.value) == (len(DATA), len(DATA))
    assert (tmp_path / "b").read_bytes() == DATA
    out = io.BytesIO()
    fs.get_file("data/a", out)
    assert out.getvalue() == DATA


def test_a_missing_object_leaves_no_file(fs: AisFileSystem, tmp_path: Path) -> None:
    """Nor a partial one."""
    with pytest.raises(FileNotFoundError):
        fs.get_file("data/x", str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_in_an_event_loop(bucket: Bucket, cluster: str) -> None:
    """As coroutines."""
    bucket.object("a").put(DATA)

    async def read() -> bytes:
        fs = AisFileSystem(endpoint=cluster, asynchronous=True, skip_instance_cache=True)
        return await fs._cat_file("data/a")

    assert asyncio.run(read()) == DATA


def _read(fs: AisFileSystem) -> bytes:
    return fs.cat_file("data/a")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_in_other_processes(fs: AisFileSystem, bucket: Bucket, method: str) -> None:
    """Also after a read in the parent, by the object that it has."""
    bucket.object("a").put(DATA)
    assert fs.cat_file("data/a") == DATA
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_read, (fs,)) == DATA
    if method == "fork":
        process = multiprocessing.get_context("fork").Process(target=_check, args=(fs,))
        process.start()
        process.join()
        assert process.exitcode == 0


def _check(fs: AisFileSystem) -> None:
    assert fs.cat_file("data/a") == DATA


def test_it_pickles_and_is_shared(fs: AisFileSystem, cluster: str) -> None:
    """Fsspec makes one file system of the same arguments."""
    assert pickle.loads(pickle.dumps(fs)) == fs
    assert AisFileSystem(endpoint=cluster) is fs
    assert fs.fsid.startswith("aisio-")


def test_no_more_calls_wait_than_run(cluster: str) -> None:
    """So an interrupted program ends when those that run have ended."""
    assert AisFileSystem(endpoint=cluster, concurrency=3).batch_size == 3
    assert AisFileSystem(endpoint=cluster, concurrency=3, batch_size=9).batch_size == 9


def test_numbers_are_checked(cluster: str) -> None:
    """At once."""
    with pytest.raises(ConfigError, match="concurrency"):
        AisFileSystem(endpoint=cluster, concurrency=0)
    with pytest.raises(ConfigError, match="part_bytes"):
        AisFileSystem(endpoint=cluster, part_bytes=0)
