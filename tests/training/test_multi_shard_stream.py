"""AISMultiShardStream over local folders: which tuples, to whom, and behind a stop."""

from __future__ import annotations

import json
import logging
import pickle
import threading
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from aisio import AISMultiShardStream, ConfigError, DataShard, NotFoundError, ShardError
from aisio.records import ObjectInfo
from aisio.sources.kinds import PrefixSource
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.tars import hard_link, pack

COUNT = 23
IMAGE_SHARDS, LABEL_SHARDS = (7, 9, 7), (10, 13)
EXPECTED = [(b"image %d" % number, b"%d" % number) for number in range(COUNT)]


def write(folder: Path, kind: str, lengths: tuple[int, ...], content: bytes) -> None:
    """Write shards of so many members, numbered over all shards."""
    number = 0
    for shard, length in enumerate(lengths):
        numbers = range(number, number + length)
        data = pack(*((f"{n:03d}.{kind}", content % n) for n in numbers))
        (folder / f"{kind}-{shard}.tar").write_bytes(data)
        number += length


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with shards of images, and of as many labels."""
    write(tmp_path, "jpg", IMAGE_SHARDS, b"image %d")
    write(tmp_path, "cls", LABEL_SHARDS, b"%d")
    return tmp_path


def dataset(folder: Path, **options: Any) -> AISMultiShardStream:
    """Return the two streams of the folder."""
    return AISMultiShardStream([f"file://{folder}/{kind}-" for kind in ("jpg", "cls")], **options)


def test_ais_16_a_tuple_has_one_member_of_each_stream(folder: Path) -> None:
    """In the order of listing and archive, whatever shards they are in; again in each epoch."""
    both = dataset(folder)
    assert list(both) == list(both) == EXPECTED
    assert both.count() == COUNT
    assert list(dataset(folder, prefetch_bytes=0)) == EXPECTED
    three = AISMultiShardStream([folder / "jpg-0.tar", folder / "jpg-0.tar", folder / "jpg-0.tar"])
    assert list(three)[6] == (b"image 6",) * 3


def test_a_hard_link_is_the_file_that_it_stands_for(tmp_path: Path) -> None:
    """Labels are often links to one file; read ahead or not."""
    linked = pack(("0.cls", b"7"))[:1024] + hard_link("1.cls", "0.cls") + pack()
    (tmp_path / "cls-0.tar").write_bytes(linked)
    write(tmp_path, "jpg", (2,), b"image %d")
    expected = [(b"image 0", b"7"), (b"image 1", b"7")]
    for prefetch_bytes in (0, 1 << 20):
        assert list(dataset(tmp_path, prefetch_bytes=prefetch_bytes)) == expected


def test_ais_16_streams_of_unequal_length_are_an_error(folder: Path, caplog: Any) -> None:
    """Or end with the shortest, as in the official class, and one line says what was left."""
    (folder / "cls-1.tar").unlink()
    both = dataset(folder)
    got: list[Any] = []
    with pytest.raises(
        ShardError,
        match=r"<AISMultiShardStream> the streams are of unequal length, 10 members in the shortest"
        r": <AISMultiShardStream> stream 1 \(file://.*/cls-\) ended behind member '009.cls' of"
        r" file://.*/cls-0.tar; .* stream 0 .* goes on with member '010.jpg' of .*/jpg-1.tar",
    ):
        got.extend(both)
    assert got == EXPECTED[:10]
    with pytest.raises(ShardError, match="of unequal length"):
        both.count()
    assert not caplog.records
    short = dataset(folder, strict=False)
    assert list(short) == EXPECTED[:10]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("aisio.shard_reader", logging.WARNING)
    assert record.getMessage().endswith(
        "jpg-1.tar; the rest of that shard and 1 more shards of stream 0 were not read"
    )
    assert short.count() == 10


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(
    ("context", "workers"), [("fork", 1), ("fork", 2), ("fork", 3), ("forkserver", 1)]
)
def test_ais_16_workers_share_the_tuples(folder: Path, workers: int, context: str) -> None:
    """Each once, and the members of each belong together."""
    both = dataset(folder, match="basename")
    loader = DataLoader(both, batch_size=4, num_workers=workers, multiprocessing_context=context)
    found = [pair for images, labels in loader for pair in zip(images, labels, strict=True)]
    assert Counter(found) == Counter(EXPECTED)


class EtlSource(PrefixSource):
    """Objects that an ETL transforms: it adds its name to each payload of one byte."""

    def get(self, info: ObjectInfo, *, byte_range: Any = None, etl_name: Any = None) -> Any:
        """Return the object of a folder that has the name of the ETL."""
        url = ObjectUrl.parse(f"{info.url.rpartition('/')[0]}/{etl_name or 'plain'}/")
        name = info.name.rpartition("/")[2]
        return self.store.get(url.with_name(url.name + name))


def test_ais_16_each_stream_has_its_own_etl(tmp_path: Path) -> None:
    """Or none."""
    for name in ("plain", "resize", "crop"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.tar").write_bytes(pack(("1", name.encode())))
    (tmp_path / "a.tar").write_bytes(b"")
    etl_source = EtlSource(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/a"))
    streams = [DataShard.from_url(etl_source, etl_name=name) for name in ("crop", None, "resize")]
    assert list(AISMultiShardStream(streams)) == [(b"crop", b"plain", b"resize")]


@pytest.mark.parametrize("equalize", ["none", "drop", "pad"])
@pytest.mark.parametrize(("ranks", "workers"), [(1, 2), (2, 1), (3, 2), (4, 1), (5, 3)])
def test_ranks_and_workers_share_the_positions(
    folder: Path, in_worker: Any, ranks: int, workers: int, equalize: Any
) -> None:
    """As those of any dataset: position i goes to rank i mod ranks, then to its workers."""
    found: Counter[Any] = Counter()
    for rank in range(ranks):
        both = dataset(folder, ranks=(rank, ranks), equalize=equalize)
        share = []
        for worker in range(workers):
            in_worker(worker, workers)
            share += list(both)
        in_worker(0, 1)
        count = both.count()
        assert len(share) == count
        assert count == both.count_batches(1, num_workers=workers)
        assert equalize == "none" or count == (COUNT + (equalize == "pad") * (ranks - 1)) // ranks
        found += Counter(share)
    left = COUNT % ranks
    if equalize == "none":
        assert found == Counter(EXPECTED)
    elif equalize == "drop":
        assert found == Counter(EXPECTED[: COUNT - left])
    else:
        assert found == Counter(EXPECTED) + Counter(EXPECTED[: -COUNT % ranks])


def test_too_few_tuples_for_the_ranks(folder: Path) -> None:
    """None would be left; or all are repeated."""
    with pytest.raises(ConfigError, match="too few items, 23 for 30 ranks"):
        list(dataset(folder, ranks=(0, 30), equalize="drop"))
    padded = [list(dataset(folder, ranks=(rank, 50), equalize="pad")) for rank in (0, 29, 49)]
    assert padded == [[EXPECTED[0]], [EXPECTED[6]], [EXPECTED[3]]]


def test_whole_shards_may_be_shared(folder: Path, in_worker: Any) -> None:
    """Each is then read once; the n-th of all streams must be of equal length."""
    write(folder, "cls", IMAGE_SHARDS, b"%d")
    found = []
    for worker in range(2):
        in_worker(worker, 2)
        both = dataset(folder, split_by="shard")
        found.append(list(both))
        shards = (0, 2) if worker == 0 else (1,)
        sizes = [
            (folder / f"{kind}-{one}.tar").stat().st_size
            for kind in ("jpg", "cls")
            for one in shards
        ]
        assert both.stats()["bytes_read"] == sum(sizes)
    in_worker(0, 1)
    assert found == [EXPECTED[:7] + EXPECTED[16:], EXPECTED[7:16]]
    assert dataset(folder, split_by="shard", ranks=(0, 2)).count() == 14
    write(folder, "cls", LABEL_SHARDS, b"%d")
    with pytest.raises(
        ShardError, match=r"split_by='shard': .* stream 1 .* goes on with .*its num"
    ):
        list(dataset(folder, split_by="shard", ranks=None))


def test_a_worker_without_a_shard_says_so(folder: Path, in_worker: Any, caplog: Any) -> None:
    """It has nothing to do."""
    write(folder, "cls", IMAGE_SHARDS, b"%d")
    in_worker(3, 4)
    assert list(dataset(folder, split_by="shard")) == []
    assert "worker 3 of rank 0 has nothing to read: too few shards" in caplog.text


def test_names_may_come_and_must_match(folder: Path) -> None:
    """A pair that does not belong together is an error, with both names."""
    named = list(dataset(folder, with_names=True, match="key"))
    assert named[10] == (("010.jpg", b"image 10"), ("010.cls", b"10"))
    (folder / "cls-1.tar").write_bytes(pack(*((f"{n:03d}.cls", b"x") for n in range(11, 24))))
    with pytest.raises(
        ShardError, match=r"stream 0 .*has member '010.jpg' .* stream 1 .*has member '011.cls'"
    ):
        list(dataset(folder, match="basename"))
    assert len(list(dataset(folder))) == COUNT


@pytest.mark.parametrize(
    "options",
    [{}, {"equalize": "pad"}, {"equalize": "drop"}, {"split_by": "shard"}, {"with_names": True}],
)
@pytest.mark.parametrize("stop", range(0, 13, 2))
def test_it_goes_on_behind_what_was_yielded(
    folder: Path, in_worker: Any, options: Any, stop: int
) -> None:
    """Also a second time, and from the end; for each rank and worker."""
    write(folder, "cls", IMAGE_SHARDS, b"%d")
    for worker in range(2):
        in_worker(worker, 2)
        both = dataset(folder, ranks=(1, 2), **options)
        expected = list(both)
        first = iter(both)
        got = list(islice(first, stop))
        second: Any = iter(dataset(folder, ranks=(1, 2), **options))
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))  # type: ignore[attr-defined]
        assert second.state_dict() == first.state_dict()  # type: ignore[attr-defined]
        got += islice(second, 2)
        third: Any = iter(pickle.loads(pickle.dumps(both)))
        third.load_state_dict(second.state_dict())
        assert got + list(third) == expected
        assert list(both) == expected


def test_shards_that_were_passed_are_not_read_again(folder: Path) -> None:
    """But those under way are, as only a whole shard can be verified."""
    first: Any = iter(dataset(folder))
    list(islice(first, 18))
    both = dataset(folder)
    again: Any = iter(both)
    again.load_state_dict(first.state_dict())
    assert list(again) == EXPECTED[18:]
    last = [(folder / name).stat().st_size for name in ("jpg-2.tar", "cls-1.tar")]
    assert both.stats()["bytes_read"] == sum(last)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"partition": [0, 2, 0, 1, "member"]},
            r"\[0, 2, .*\], and this is \[0, 1, 0, 1, 'member'\]",
        ),
        ({"partition": [0, 1, 0, 1, "shard"]}, "1, 'shard'., and this is"),
        ({"yielded": -1}, "yielded=-1"),
        ({"places": 7}, "places=7 are no places"),
        ({"places": [[0, "x"]]}, "are no places"),
        ({"places": [[0, "x", None, "y"]]}, "member=None"),
        ({"places": [[0, "x", 0, "y"]]}, "the state is of 1 streams, and these are 2"),
        (
            {"shard": "x"},
            "stream 0 .* stood at member '002.jpg' of x, and has file.* as its shard 0",
        ),
        ({"name": "x"}, "stood at member 'x' of .*, and has member '002.jpg'"),
        ({"number": 9}, "the state is of other data: .*, and has nothing as its shard 9: begin"),
        (
            {"member": 99},
            "stream 0 .* stood at .*, and has member '007.jpg' of .*: begin",
        ),
    ],
)
def test_a_state_of_something_else_is_refused(folder: Path, change: Any, message: str) -> None:
    """The iteration stays where it was, unless it must read to find out."""
    first: Any = iter(dataset(folder))
    list(islice(first, 3))
    state = first.state_dict()
    is_found_later = "name" in change or "member" in change
    place = state["places"][0]
    for key, index in (("number", 0), ("shard", 1), ("member", 2), ("name", 3)):
        if key in change:
            changed = [*place[:index], change[key], *place[index + 1 :]]
            change = {"places": [changed, state["places"][1]]}
    with pytest.raises(ConfigError, match=message):
        go_on(first, {**state, **change})
    if not is_found_later:
        assert list(first) == EXPECTED[3:]


def go_on(iteration: Any, state: Any) -> Any:
    """Return what comes behind a state."""
    iteration.load_state_dict(state)
    return next(iteration)


@pytest.mark.parametrize("damage", ["cut", "flip", "missing"])
def test_a_bad_shard_names_stream_and_place(folder: Path, damage: str) -> None:
    """Behind the tuples that are whole."""
    path = folder / "cls-1.tar"
    data = bytearray(path.read_bytes())
    both: Any = iter(dataset(folder, prefetch_bytes=0))
    got = [next(both)]
    data[4 * 1024] ^= damage == "flip"
    path.write_bytes(data[: 4 * 1024 + 100] if damage == "cut" else data)
    if damage == "missing":
        path.unlink()
    error = NotFoundError if damage == "missing" else ShardError
    with pytest.raises(
        error, match=r"^<AISMultiShardStream> stream 1 .*cls-\).*cls-1\.tar"
    ) as caught:
        got.extend(both)
    assert got == EXPECTED[: 10 if damage == "missing" else 14]
    if damage != "missing":
        assert "013.cls" in str(caught.value) or "byte 4196" in str(caught.value)
        assert isinstance(caught.value, ShardError)
        assert caught.value.offset in (4096, 4196)


def _open_in(folder: Path) -> list[Path]:
    """Return the files of a folder that this process has open."""
    files = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of /proc/self/fd
            files.append(path.readlink())
    return [file for file in files if file.is_relative_to(folder)]


def test_nothing_is_left_when_it_is_left_early(folder: Path) -> None:
    """Neither a thread nor an open file."""
    write(folder, "jpg", (COUNT,), b"%0500000d")  # more than is read at once
    iteration = iter(dataset(folder))
    next(iteration)
    assert _open_in(folder)
    del iteration
    assert _open_in(folder) == []
    assert not [one for one in threading.enumerate() if one.name == "aisio-prefetch"]


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ("file:///a/", {}, "a list of DataShards is needed"),
        (None, {}, "a list of DataShards is needed"),
        ([None], {}, "a NoneType is no source"),
        (["file:///a/"], {"match": "name"}, "match='name'"),
        (["file:///a/"], {"split_by": "worker"}, "split_by='worker'"),
        (["file:///a/"], {"split_by": "shard", "strict": False}, "split_by='shard' needs"),
        (["file:///a/"], {"split_by": "shard", "equalize": "pad"}, "equalize='pad' makes"),
        (["file:///a/"], {"prefetch_bytes": -1}, "prefetch_bytes=-1"),
        (["file:///a/"], {"equalize": "some"}, "equalize='some'"),
        (["file:///a/"], {"length": -1}, "length=-1"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(
    sources: Any, options: Any, message: str
) -> None:
    """When the dataset is made."""
    with pytest.raises(ConfigError, match=message):
        AISMultiShardStream(sources, **options)


def test_no_stream_and_no_shard_are_errors(folder: Path) -> None:
    """One at once, the other when the stream is listed."""
    with pytest.raises(ValueError, match="^<AISMultiShardStream> data_sources must be provided$"):
        AISMultiShardStream([])
    both = dataset(folder)
    assert len(list(AISMultiShardStream([folder], shard_names="jpg-[01]*"))) == 16
    with pytest.raises(NotFoundError, match="png-"):
        list(AISMultiShardStream([folder, f"file://{folder}/png-"]))
    with pytest.raises(TypeError, match="<AISMultiShardStream> has no length"):
        len(both)
    assert len(dataset(folder, length=5)) == 5


@pytest.fixture(autouse=True)
def one_rank(monkeypatch: Any) -> None:
    """Have no launcher set a rank."""
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def test_after_an_error_a_stream_is_read_again_from_where_it_stood(folder: Path) -> None:
    """A loop that skips errors does not take the rest for read."""
    shard = folder / "jpg-1.tar"
    good = shard.read_bytes()
    shard.write_bytes(good[: 4 * 1024])
    items = iter(dataset(folder))
    got = list(islice(items, 7 + 4))
    for _ in range(2):
        with pytest.raises(ShardError, match="cut at byte"):
            next(items)
    shard.write_bytes(good)
    assert got + list(items) == EXPECTED
