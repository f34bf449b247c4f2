"""AISShardReader on a bad network: each sample once and right, or the right error in the budget."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("aiohttp", reason="the gateway needs aiohttp")

from aisio import AISShardReader
from aisio.client.client import Bucket, Client
from aisio.errors import IntegrityError, StoreTimeoutError, TruncatedError, UnavailableError
from aisio.gateway import Gateway
from aisio.records import RetryPolicy, Timeouts
from aisio.testing.fault_proxy import (
    Corrupt,
    Cut,
    FaultProxy,
    Misroute,
    Refuse,
    Restart,
    SeenRequest,
    Stall,
    Status,
    Trickle,
)
from tests.tars import pack

SAMPLES, SHARDS = 8, 3
PAYLOAD_BYTES = 60_000
NAMES = [f"{shard}-{number}" for shard in range(SHARDS) for number in range(SAMPLES)]
CONTENTS = {name: os.urandom(PAYLOAD_BYTES) for name in NAMES}
SECOND = "/v1/objects/shards/1.tar"


def shard(number: int) -> bytes:
    """Return one of the shards."""
    names = [name for name in NAMES if name.startswith(f"{number}-")]
    return pack(*((f"{name}.bin", CONTENTS[name]) for name in names))


SHARD_BYTES = len(shard(0))


@dataclass
class Scene:
    """A gateway with shards, a proxy in front of it, and readers through that."""

    bucket: Bucket
    proxy: FaultProxy
    client: Client

    def reader(self, **options: Any) -> AISShardReader:
        """Return a reader without look-ahead."""
        return AISShardReader("ais://shards/", client=self.client, keys=["bin"], **options)

    def got(self, **options: Any) -> list[str]:
        """Read to the end, and compare each payload."""
        return checked(iter(self.reader(**options)), [])

    def gets(self) -> list[SeenRequest]:
        """Return the requests for shards."""
        return [seen for seen in self.proxy.requests if seen.path.startswith("/v1/objects/")]


def checked(samples: Iterator[Any], got: list[str]) -> list[str]:
    """Append the names of samples, whose payloads must be right, to a list."""
    for basename, fields in samples:
        assert fields["bin"] == CONTENTS[basename]
        got.append(basename)
    return got


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[Gateway]:
    """Return a gateway."""
    with Gateway(tmp_path_factory.mktemp("store")) as gateway:
        yield gateway


@pytest.fixture
def scene(gateway) -> Iterator[Scene]:
    """Return three fresh shards behind a proxy."""
    direct = Client(gateway.endpoint)
    bucket = direct.bucket("shards").create(exist_ok=True)
    for number in range(SHARDS):
        bucket.object(f"{number}.tar").put(shard(number))
    with FaultProxy(gateway.endpoint) as proxy:
        client = Client(
            proxy.endpoint,
            retry=RetryPolicy(attempts=5, total_s=20, first_wait_s=0),
            timeouts=Timeouts(read_s=0.5),
        )
        yield Scene(bucket, proxy, client)
        client.close()
    direct.close()


PREFETCH = pytest.mark.parametrize("prefetch_bytes", [0, 200_000, 1 << 22])


@PREFETCH
def test_without_faults_each_shard_is_requested_once(scene, prefetch_bytes):
    """Each sample once, in order, in one request a shard."""
    assert scene.got(prefetch_bytes=prefetch_bytes) == NAMES
    assert [seen.path[-5:] for seen in scene.gets()] == ["0.tar", "1.tar", "2.tar"]


@PREFETCH
@pytest.mark.parametrize("cut", [0, 1, 512, 60_511, 262_144, SHARD_BYTES - 1])
def test_a_cut_shard_is_read_on_where_it_was_cut(scene, prefetch_bytes, cut):
    """Nothing is lost, nothing comes twice, nothing is fetched twice."""
    scene.proxy.add(Cut(cut), path=SECOND)
    assert scene.got(prefetch_bytes=prefetch_bytes) == NAMES
    first, again = (seen for seen in scene.gets() if seen.path == SECOND)
    assert (first.fault, first.sent_bytes) == ("Cut", cut)
    assert again.headers["range"] == f"bytes={cut}-"
    assert again.sent_bytes == SHARD_BYTES - cut


def test_a_shard_may_be_cut_several_times(scene):
    """Once in each of two requests, by FIN and by RST."""
    scene.proxy.add(Cut(100_000), path=SECOND)
    scene.proxy.add(Cut(150_000, reset=True), path=SECOND)
    assert scene.got() == NAMES
    assert sum(seen.path == SECOND for seen in scene.gets()) == 3


@pytest.mark.parametrize(
    "fault",
    [
        Stall(100_000),
        Stall(),
        Refuse(),
        Status(503, retry_after_s=1),
        Status(429, retry_after_s=0),
    ],
    ids=lambda fault: type(fault).__name__,
)
@pytest.mark.parametrize("prefetch_bytes", [0, 1 << 22])
def test_what_passes_costs_one_more_request(scene, fault, prefetch_bytes):
    """Silence, a refusal, an overloaded node: the shard is requested again."""
    scene.proxy.add(fault, path=SECOND)
    assert scene.got(prefetch_bytes=prefetch_bytes) == NAMES
    faults = [seen.fault for seen in scene.gets() if seen.path == SECOND]
    assert faults == [type(fault).__name__, ""]


@PREFETCH
def test_a_node_may_restart(scene, prefetch_bytes):
    """All its connections break, also that of the shard before, which is read on as well."""
    scene.proxy.add(Restart(), path=SECOND)
    assert scene.got(prefetch_bytes=prefetch_bytes) == NAMES
    faults = [seen.fault for seen in scene.gets() if seen.path == SECOND]
    assert faults[0] == "Restart"
    assert 2 <= len(faults) <= 3


def test_a_slow_line_is_no_fault(scene):
    """As long as bytes come, there is nothing to do again."""
    scene.proxy.add(Trickle(20_000), path=SECOND)
    assert scene.got() == NAMES
    assert len(scene.gets()) == SHARDS


@PREFETCH
def test_a_corrupt_byte_is_an_error_at_the_end_of_its_shard(scene, prefetch_bytes):
    """Samples of that shard have been yielded by then; the next shard is not read."""
    scene.proxy.add(Corrupt(700), path=SECOND)
    names = []
    with pytest.raises(IntegrityError, match=r"ais://shards/1\.tar: wrong xxhash2 checksum"):  # noqa: PT012
        for basename, _ in scene.reader(prefetch_bytes=prefetch_bytes):
            names.append(basename)
    assert names == NAMES[: len(names)]
    assert SAMPLES <= len(names) < 2 * SAMPLES
    assert sum(seen.path == SECOND for seen in scene.gets()) == 1


def test_the_reply_to_another_request_is_no_shard(scene):
    """Its own headers are right; that it is of another object, its size tells."""
    scene.proxy.add(Misroute("/v1/daemon?what=smap"), path=SECOND)
    with pytest.raises(IntegrityError, match=r"ais://shards/1\.tar.* of another object"):
        scene.got()


def replaced_while_read(scene: Scene, prefetch_bytes: int) -> Iterator[Any]:
    """Begin to read, have the first shard replaced, and cut its connection."""
    scene.proxy.add(Cut(300_000), path="/v1/objects/shards/0.tar")
    scene.proxy.add(Stall(), path="/v1/objects/shards/0.tar")  # the request that would read on
    samples = iter(scene.reader(prefetch_bytes=prefetch_bytes))
    assert next(samples)[0] == NAMES[0]
    scene.bucket.object("0.tar").put(shard(1))
    scene.proxy.release()
    return samples


@pytest.mark.parametrize("prefetch_bytes", [0, 200_000])
def test_a_shard_that_is_replaced_meanwhile_is_never_a_mixture(scene, prefetch_bytes):
    """The rest would be of other samples."""
    samples, got = replaced_while_read(scene, prefetch_bytes), [NAMES[0]]
    with pytest.raises(IntegrityError, match=r"ais://shards/0\.tar: the object was replaced"):
        checked(samples, got)
    assert got == NAMES[: len(got)]
    assert len(got) < SAMPLES


@PREFETCH
def test_skip_does_not_hide_a_line_that_breaks_again_and_again(scene, prefetch_bytes):
    """However it breaks: that says nothing of the shard, of which the samples so far were good."""
    scene.proxy.add(Cut(300_000), path=SECOND)
    scene.proxy.add(Cut(0), path=SECOND, times=None)
    reader = scene.reader(on_error="skip", prefetch_bytes=prefetch_bytes)
    got: list[str] = []
    with pytest.raises(TruncatedError, match=r"ais://shards/1\.tar.*gave up after 5 tries"):
        checked(iter(reader), got)
    assert SAMPLES < len(got) < 2 * SAMPLES
    assert (got, reader.quarantine) == (NAMES[: len(got)], ())


def test_a_count_does_not_leave_out_what_a_bad_line_hides(scene):
    """A count that is too low would pass for the right one from then on."""
    scene.proxy.add(Cut(0), path=SECOND, times=None)
    with pytest.raises(TruncatedError, match="gave up after 5 tries"):
        scene.reader(on_error="skip").count()


@PREFETCH
def test_skip_leaves_out_the_rest_of_a_shard_that_is_stored_cut(scene, prefetch_bytes, caplog):
    """The object is whole, the tar in it is not; the log and the list say what is missing."""
    scene.bucket.object("1.tar").put(shard(1)[:300_000])
    reader = scene.reader(on_error="skip", prefetch_bytes=prefetch_bytes)
    got = checked(iter(reader), [])
    (entry,) = reader.quarantine
    assert 0 < entry.samples_given < SAMPLES
    assert got == [*NAMES[: SAMPLES + entry.samples_given], *NAMES[2 * SAMPLES :]]
    assert (entry.url, entry.offset, entry.samples_lost) == ("ais://shards/1.tar", 300_000, None)
    assert f"skipped a bad shard after {entry.samples_given} of its samples" in caplog.text


@PREFETCH
def test_skip_names_a_shard_whose_checksum_is_wrong(scene, prefetch_bytes):
    """Its samples have been yielded: the list says how many are suspect."""
    scene.proxy.add(Corrupt(700), path=SECOND)
    reader = scene.reader(on_error="skip", prefetch_bytes=prefetch_bytes)
    names = [basename for basename, _ in iter(reader)]
    (entry,) = reader.quarantine
    assert "wrong xxhash2 checksum" in entry.cause
    assert len(names) == 2 * SAMPLES + entry.samples_given
    assert names[-SAMPLES:] == NAMES[-SAMPLES:]


def test_skip_passes_over_a_missing_shard(scene):
    """Deleted after it was listed."""
    reader = AISShardReader(
        scene.client.bucket("shards").objects(["0.tar", "gone.tar", "2.tar"]),
        keys=["bin"],
        on_error="skip",
    )
    assert checked(iter(reader), []) == NAMES[:SAMPLES] + NAMES[-SAMPLES:]
    (entry,) = reader.quarantine
    assert (entry.url, entry.samples_given) == ("ais://shards/gone.tar", 0)


@PREFETCH
@pytest.mark.parametrize(
    ("fault", "error"), [(Status(503), UnavailableError), (Stall(), StoreTimeoutError)]
)
def test_skip_does_not_hide_that_the_store_is_away(scene, prefetch_bytes, fault, error):
    """That is no property of a shard: it raises, whatever on_error says, after five tries."""
    scene.proxy.add(fault, path=SECOND, times=None)
    reader = scene.reader(on_error="skip", prefetch_bytes=prefetch_bytes)
    got: list[str] = []
    with pytest.raises(error, match=r"ais://shards/1\.tar"):
        checked(iter(reader), got)
    assert (got, reader.quarantine) == (NAMES[:SAMPLES], ())
    assert sum(seen.path == SECOND for seen in scene.gets()) == 5


def counts() -> tuple[int, int]:
    """Return how many descriptors are open and how many threads run."""
    gc.collect()  # what earlier tests left must not go meanwhile
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def test_epochs_that_are_cut_short_leave_nothing(scene):
    """Fifty of them: no more descriptors, no thread."""
    reader = scene.reader(prefetch_bytes=1 << 20)

    def begin() -> None:
        samples = iter(reader)
        next(samples)

    begin()
    descriptors, threads = counts()
    for _ in range(50):
        begin()
    after = counts()
    assert after[0] <= descriptors
    assert after[1] <= threads
