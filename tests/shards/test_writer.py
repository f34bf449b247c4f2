"""ShardWriter: samples -> shards, and what is there when something goes wrong."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

import aisio
from aisio.client.client import Bucket, Client
from aisio.errors import ConfigError, ConflictError, NotFoundError, ShardError, StorageError
from aisio.gateway import Gateway
from aisio.records import RetryPolicy
from aisio.shards.index import ShardIndex
from aisio.shards.reader import read_samples
from aisio.shards.writer import ShardWriter
from aisio.testing.fault_proxy import FaultProxy, Status
from aisio.urls import ObjectUrl
from tests.indexed import index_of


@pytest.fixture
def out(tmp_path: Path) -> str:
    """Return the URL of a folder that is not there yet."""
    return f"file://{tmp_path}/out"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a gateway."""
    with Gateway(tmp_path_factory.mktemp("buckets")) as gateway:
        yield gateway.endpoint


@pytest.fixture
def bucket(endpoint: str) -> Iterator[Bucket]:
    """Return an empty bucket."""
    bucket = Client(endpoint).bucket("written").create()
    yield bucket
    bucket.delete()


def sample(key: int | str, size: int = 10) -> dict[str, Any]:
    """Return a sample."""
    return {"__key__": str(key), "bin": bytes(size), "cls": 7, "json": {"a": 1}}


def names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def keys_of(folder: Path) -> list[str]:
    """Return the keys in the index of a folder."""
    return list(ShardIndex.from_file(folder / ".aisio-index", folder=f"file://{folder}/").keys())


def test_samples_come_back(out: str, tmp_path: Path) -> None:
    """Sorted by extension; names that begin with __ are left out, and dots do not matter."""
    with aisio.ShardWriter(out, samples_per_shard=2) as writer:
        for number in range(3):
            writer.write(
                {
                    ".txt": "é",
                    "cls": number,
                    "__key__": f"a/{number}",
                    "__url__": "x",
                    "B.jpg": b"J",
                }
            )
        assert [shard.samples for shard in writer.shards] in ([], [2])
    assert [(shard.url, shard.samples) for shard in writer.shards] == [
        (f"{out}/shard-000000.tar", 2),
        (f"{out}/shard-000001.tar", 1),
    ]
    with (tmp_path / "out/shard-000000.tar").open("rb") as file:
        first, second = read_samples(file, url=out)
    assert (first.key, first.fields) == ("a/0", {"B.jpg": b"J", "cls": b"0", "txt": "é".encode()})
    assert list(first.fields) == ["B.jpg", "cls", "txt"]
    assert second.key == "a/1"


def test_the_shards_are_plain_tar(out: str, tmp_path: Path) -> None:
    """As Python's tarfile reads them, without owner and time; the same samples give the same."""
    for prefix in ("one", "two"):
        with ShardWriter(out, prefix=prefix) as writer:
            writer.write(sample("x" * 120))
            writer.write(sample("é"))
    one, two = ((tmp_path / f"out/{name}-000000.tar").read_bytes() for name in ("one", "two"))
    assert one == two
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        assert archive.getnames()[::3] == ["x" * 120 + ".bin", "é.bin"]
        assert {(info.uid, info.mtime, info.mode) for info in archive} == {(0, 0, 0o644)}


def test_the_index_is_that_of_aisio_index(bucket: Bucket) -> None:
    """Byte for byte, on a cluster; and it is written last."""
    url = "ais://written/train"
    with ShardWriter(url, samples_per_shard=2, client=bucket.client) as writer:
        for number in range(5):
            writer.write(sample(number))
        assert not any("index" in info.name for info in bucket.list())
    shards = [ObjectUrl.parse(shard.url) for shard in writer.shards]
    store = aisio.stores.AisStore(bucket.client)
    read = ShardIndex.of_shards([(index_of(store, [one]), 0) for one in shards], folder=f"{url}/")
    assert bucket.object("train/.aisio-index").get() == read.to_bytes()
    assert [shard.checksum for shard in writer.shards] == [
        bucket.client.object(shard.url).head().checksum for shard in writer.shards
    ]


def test_shards_are_limited_by_bytes(out: str) -> None:
    """A sample that is larger than a shard has one for itself; both limits may be given."""
    with ShardWriter(out, shard_bytes=16 * 1024, samples_per_shard=3) as writer:
        for number, size in enumerate([5000, 5000, 20_000, 0, 0, 0, 0]):
            writer.write({"__key__": str(number), "bin": bytes(size)})
    assert [shard.samples for shard in writer.shards] == [2, 1, 3, 1]
    assert all(shard.size_bytes <= 16 * 1024 for shard in writer.shards if shard.samples > 1)


def test_a_bad_sample_is_named_and_leaves_no_trace(out: str, tmp_path: Path) -> None:
    """The writer goes on."""
    bad: list[tuple[dict[str, Any], str]] = [
        ({"bin": b""}, "a sample needs a '__key__'.*None"),
        (("b", b""), "a sample is a mapping of fields, not a tuple"),  # type: ignore[list-item]
        ({"__key__": "b", 1: b""}, "sample 'b': 1 cannot be the ext"),  # type: ignore[dict-item]
        ({"__key__": "", "bin": b""}, "a sample needs a '__key__'"),
        ({"__key__": 5, "bin": b""}, "a sample needs a '__key__'"),
        ({"__key__": "a.b", "bin": b""}, "the key 'a.b' would be read as another"),
        ({"__key__": "/a", "bin": b""}, "'/a' would be read"),
        ({"__key__": "./a", "bin": b""}, "'./a' would be read"),
        ({"__key__": "a/../b", "bin": b""}, "'a/../b' would be read"),
        ({"__key__": "a\0b", "bin": b""}, "no zero byte"),
        ({"__key__": "\ud800", "bin": b""}, "is no text: surrogates not allowed"),
        ({"__key__": "b"}, "sample 'b' has no field"),
        ({"__key__": "b", "__url__": "x"}, "sample 'b' has no field"),
        ({"__key__": "b", "JPG": b"", "jpg": b""}, "'b': the field 'jpg' is there twice"),
        ({"__key__": "b", ".x": b"", "x": b""}, "the field 'x' is there twice"),
        ({"__key__": "b", "a/b": b""}, "'a/b' cannot be the extension"),
        ({"__key__": "b", "": b""}, "'' cannot be the extension"),
        (
            {"__key__": "b", "x": b"", "left.cls": "cat"},
            "sample 'b', field 'left.cls': ValueError: invalid",
        ),
        ({"__key__": "a", "x": b""}, "the key 'a' was written before"),
        ({"__key__": "b", "x\0": b""}, "cannot be"),
    ]
    with ShardWriter(out, samples_per_shard=1) as writer:
        writer.write(sample("a"))
        for wrong, says in bad:
            with pytest.raises(aisio.AisioError, match=says):
                writer.write(wrong)
        writer.write(sample("b"))
        with pytest.raises(ShardError, match="'a' was written before"):
            writer.write(sample("a"))
    assert keys_of(tmp_path / "out") == ["a", "b"]


def test_encoders_of_ones_own(out: str, tmp_path: Path) -> None:
    """By extension."""
    with ShardWriter(out, encoders={"rev": lambda text: text[::-1].encode()}) as writer:
        writer.write({"__key__": "a", "rev": "abc"})
    with tarfile.open(tmp_path / "out/shard-000000.tar") as archive:
        member = archive.extractfile("a.rev")
        assert member is not None
        assert member.read() == b"cba"


def test_an_exception_publishes_nothing_of_the_shard_under_way(
    out: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is complete stays, there is no index, and all of that is said."""
    writer = ShardWriter(out, samples_per_shard=2)

    def write() -> None:
        with writer:
            for number in range(5):
                writer.write(sample(number))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names(tmp_path / "out") == ["shard-000000.tar", "shard-000001.tar"]
    assert caplog.record_tuples == [
        (
            "aisio.shard_writer",
            logging.WARNING,
            f"{out}/: the writer ended by an error: samples of the shard under way that were"
            " dropped: 1; complete shards in the store: 2; no index is written",
        )
    ]
    with pytest.raises(ConfigError, match="is closed"):
        writer.write(sample(9))


def test_a_store_that_fails_ends_the_writer(
    endpoint: str, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    """With its error, and no index."""
    with FaultProxy(endpoint) as proxy:
        # Each PUT asks for the node first, and then sends the data.
        proxy.add(Status(500), method="PUT", skip=2, times=None)
        client = Client(proxy.endpoint, retry=RetryPolicy(attempts=2, first_wait_s=0))

        def write() -> None:
            with ShardWriter("ais://written/x", samples_per_shard=1, client=client) as writer:
                for number in range(9):
                    writer.write(sample(number))

        with pytest.raises(StorageError, match="500"):
            write()
        client.close()
    assert [info.name for info in bucket.list()] == ["x/shard-000000.tar"]
    assert "complete shards in the store: 1;" in caplog.text


def test_a_shard_that_cannot_be_sent_ends_the_writer(
    endpoint: str, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever catches the error must not get an index that lacks the shard under way."""
    with FaultProxy(endpoint) as proxy:
        proxy.add(Status(500), method="PUT", times=None)
        client = Client(proxy.endpoint, retry=RetryPolicy(attempts=1))
        with ShardWriter("ais://written/x", samples_per_shard=2, client=client) as writer:
            for number in range(4):
                writer.write(sample(number))
            with pytest.raises(StorageError):
                writer.write(sample(4))
            with pytest.raises(ConfigError, match="is closed"):
                writer.write(sample(5))
        client.close()
    assert "of the shard under way that were dropped: 2;" in caplog.text
    assert not list(bucket.list())


def run_program(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(aisio.__file__).parents[1])},
    )


def test_no_room_for_a_shard_ends_the_writer(out: str, tmp_path: Path) -> None:
    """Half a sample must not become a part of a shard, whoever catches the error."""
    code = f"""
import resource, signal
from aisio import ShardWriter, StorageError
with ShardWriter({out!r}) as writer:
    writer.write({{"__key__": "a", "x": bytes(5_000_000)}})
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, 6_000_000))
    try:
        writer.write({{"__key__": "b", "x": bytes(5_000_000)}})
    except StorageError as error:
        print(error)
    writer.write({{"__key__": "c", "x": b""}})
"""
    done = run_program(code)
    assert "a shard is collected in" in done.stdout
    assert "is closed" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [-512, 0, 512])
def test_a_full_disk_shows_whichever_write_meets_it(out: str, tmp_path: Path, more: int) -> None:
    """A small sample, or the end of the archive: the text says which folder is full."""
    code = f"""
import resource, signal
from aisio import ShardWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10 * 1024 + {more}, 10 * 1024 + {more}))
with ShardWriter({out!r}) as writer:
    for number in range(10):
        writer.write({{"__key__": str(number), "x": b"1"}})
"""
    assert "StorageError: a shard is collected in" in run_program(code).stderr
    assert not (tmp_path / "out").exists()


def test_a_forked_process_that_ends_writes_nothing_into_the_shard(out: str, tmp_path: Path) -> None:
    """It shares the temporary file."""
    code = f"""
import os, sys
from aisio import ShardWriter
with ShardWriter({out!r}) as writer:
    writer.write({{"__key__": "a", "x": b"1"}})
    if not (child := os.fork()):
        sys.exit()
    os.waitpid(child, 0)
    writer.write({{"__key__": "b", "x": b"2"}})
"""
    assert run_program(code).returncode == 0
    with (tmp_path / "out/shard-000000.tar").open("rb") as file:
        fields = {one.key: one.fields for one in read_samples(file, url=out)}
    assert fields == {"a": {"x": b"1"}, "b": {"x": b"2"}}


def test_a_missing_bucket_is_noticed_at_once(endpoint: str) -> None:
    """Not after the first 256 MB."""
    with pytest.raises(NotFoundError):
        ShardWriter("ais://nowhere/x", client=Client(endpoint))


def test_an_earlier_run_is_only_replaced_on_demand(out: str, tmp_path: Path) -> None:
    """Then the shards that it had more go too, and what is not its own stays."""
    with ShardWriter(out, samples_per_shard=1) as writer:
        for number in range(3):
            writer.write(sample(number))
    (tmp_path / "out/other-000000.tar").write_bytes(b"")
    with pytest.raises(ConflictError, match="3 shards of an earlier run, the first .*-000000.tar"):
        ShardWriter(out)
    with ShardWriter(out, overwrite=True) as writer:
        writer.write(sample("new"))
    assert names(tmp_path / "out") == [".aisio-index", "other-000000.tar", "shard-000000.tar"]
    assert keys_of(tmp_path / "out") == ["new"]


def test_nothing_written_is_an_error(out: str, tmp_path: Path) -> None:
    """An empty folder would be a surprise later."""
    with pytest.raises(ConfigError, match="no sample was written"), ShardWriter(out):
        pass
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"samples_per_shard": 0}, "samples_per_shard=0"),
        ({"shard_bytes": 0}, "shard_bytes=0"),
        ({"shard_bytes": "3M"}, "shard_bytes='3M': a whole number of at least 1 is needed"),
        ({"samples_per_shard": 2.5}, "samples_per_shard=2.5: a whole number"),
        ({"rank": "0"}, "rank='0': a whole number of at least 0 is needed"),
        ({"prefix": "a/b"}, "prefix='a/b'"),
        ({"prefix": ""}, "prefix=''"),
        ({"rank": -1}, "rank=-1"),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(
    out: str, options: dict[str, Any], says: str
) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigError, match=says):
        ShardWriter(out, **options)


def test_a_misspelt_argument_is_all_that_is_told(
    out: str, recwarn: pytest.WarningsRecorder
) -> None:
    """Not that a writer that was never made cannot be closed."""
    with pytest.raises(TypeError, match="maxcount"):
        ShardWriter(out, maxcount=3)  # type: ignore[call-arg]
    assert not recwarn.list


def test_a_writer_belongs_to_its_process(out: str) -> None:
    """It cannot be pickled, and a forked child cannot write."""
    with ShardWriter(out) as writer:
        writer.write(sample(0))
        with pytest.raises(TypeError, match="make one in each process, with a rank"):
            pickle.dumps(writer)
        if not (child := os.fork()):
            try:
                writer.write(sample(1))
            except StorageError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_writer_that_is_not_closed_says_so(
    out: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And publishes nothing."""
    writers = [ShardWriter(out)]
    writers[0].write(sample(0))
    with pytest.warns(ResourceWarning, match="was not closed"):
        writers.clear()
    assert not (tmp_path / "out").exists()
    assert "that were dropped: 1;" in caplog.text


def write_rank(url: str, endpoint: str, rank: int) -> None:
    """Write five samples as one of several processes."""
    client = Client(endpoint) if url.startswith("ais") else None
    with ShardWriter(url, samples_per_shard=2, rank=rank, client=client) as writer:
        for number in range(5):
            writer.write(sample(f"{rank}/{number}"))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_several_processes_write_one_folder(method: str, endpoint: str, bucket: Bucket) -> None:
    """Each has its own shards; the index is joined from what they have noted."""
    url = f"ais://written/{method}/"
    context: Any = multiprocessing.get_context(method)
    processes = [context.Process(target=write_rank, args=(url, endpoint, n)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with pytest.raises(ConflictError, match="1 of 3 writers were not closed"):
        ShardWriter.combine(url, ranks=3, client=bucket.client)
    assert ShardWriter.combine(url, ranks=2, client=bucket.client) == f"{url}.aisio-index"
    shards = [f"{method}/shard-r{rank:05d}-{n:06d}.tar" for rank in range(2) for n in range(3)]
    assert [info.name for info in bucket.list()] == [f"{method}/.aisio-index", *shards]
    index = ShardIndex.from_buffer(bucket.object(f"{method}/.aisio-index").get(), folder=url)
    assert list(index.keys()) == [f"{rank}/{number}" for rank in range(2) for number in range(5)]
    assert all(shard.is_ranged for shard in index.shards)


def test_a_rank_replaces_its_own_shards_only(out: str, tmp_path: Path) -> None:
    """Those of the others may be of the same run."""
    for rank in range(2):
        write_rank(out, "", rank)
    with pytest.raises(ConflictError, match="3 shards of an earlier run"):
        write_rank(out, "", 1)
    with ShardWriter(out, rank=1, overwrite=True) as writer:
        writer.write(sample("1/new"))
    ShardWriter.combine(out, ranks=2)
    assert keys_of(tmp_path / "out") == [f"0/{number}" for number in range(5)] + ["1/new"]
    with pytest.raises(ConflictError, match="4 shards of an earlier run"):
        ShardWriter(out)
