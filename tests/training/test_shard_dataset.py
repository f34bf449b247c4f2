"""AISShardDataset: samples by index and by name, each verified."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from aisio.client.client import Client
from aisio.errors import ConfigError, DecodeError, IntegrityError, NotFoundError, ShardError
from aisio.gateway import Gateway
from aisio.shards.index import ShardIndex
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy, Restart, Status
from aisio.training.loader import Loader
from aisio.training.shard_dataset import AISShardDataset, reads_packs
from tests.indexed import local
from tests.tars import pack


def shard(name: str, samples: int = 6) -> bytes:
    """Return a shard whose samples have two fields."""
    members: list[tuple[str, bytes]] = []
    for number in range(samples):
        members += [(f"{name}/{number}.a", b"%d" % number), (f"{name}/{number}.b", b"b" * 600)]
    return pack(*members)


@pytest.fixture
def index(tmp_path: Path) -> ShardIndex:
    """Return the index of two shards in a folder, of twelve samples."""
    return local(tmp_path, {"0.tar": shard("x"), "1.tar": shard("y")})[0]


def dataset(folder: Path, index: ShardIndex, **options: Any) -> AISShardDataset:
    """Return a dataset of whole keys and one field."""
    options = {"keys": ["a"], "full_key": True, **options}
    return AISShardDataset(f"file://{folder}/", index=index, **options)


NOISE = bytes(range(256)) * 274
KEYS = [f"{name}/{number}" for name in "xy" for number in range(6)]


def test_samples_by_index(tmp_path: Path, index: ShardIndex) -> None:
    """From the end too; others are an IndexError, so that it can be iterated over."""
    of = dataset(tmp_path, index)
    assert len(of) == 12
    assert [name for name, _ in iter(of)] == KEYS
    assert of[7] == ("y/1", {"a": b"1"})
    number: Any = torch.tensor(11)
    assert of[-1] == of[number] == ("y/5", {"a": b"5"})
    for number in (12, -13):
        with pytest.raises(IndexError, match=f"<AISShardDataset> index {number} of 12 samples"):
            of[number]
    with pytest.raises(TypeError):
        of["x/1"]  # type: ignore[index]


def test_several_at_once(tmp_path: Path, index: ShardIndex) -> None:
    """In the order in which they are asked for, also twice; neighbours by one request."""
    of = dataset(tmp_path, index)
    got = of.__getitems__([7, 0, -1, 7, 1])
    assert [name for name, _ in got] == ["y/1", "x/0", "y/5", "y/1", "x/1"]
    assert got[0][1] is not got[3][1]
    assert of.__getitems__([]) == []
    with pytest.raises(IndexError):
        of.__getitems__([3, 12])


def test_samples_by_name(tmp_path: Path, index: ShardIndex) -> None:
    """Names are whole keys, and are looked up when they are asked for."""
    of = dataset(tmp_path, index, full_key=False)
    assert of.by_name("y/3") == ("3", {"a": b"3"})
    with pytest.raises(KeyError, match="y/7"):
        of.by_name("y/7")
    names = of.names
    assert isinstance(names, Sequence)
    assert (len(names), names[3], names[-1], names[4:8:3]) == (12, "x/3", "y/5", ["x/4", "y/1"])
    assert list(names) == KEYS
    with pytest.raises(IndexError):
        names[12]


def test_infos_say_where_samples_are(tmp_path: Path, index: ShardIndex) -> None:
    """Their shard, key and size, by the index."""
    of = dataset(tmp_path, index)
    infos = of.infos
    assert [info.name for info in infos] == KEYS
    assert [info.size_bytes for info in infos] == list(of.sizes)
    assert (infos[7].root, infos[7].url) == (index.shard(1).url, f"{index.shard(1).url}/y/1")
    nameless = dataset(tmp_path, ShardIndex.merge([index], names=False)).infos
    with pytest.raises(ConfigError, match="names are not in this index"):
        nameless[0]


def test_what_identifies_the_data(tmp_path: Path, index: ShardIndex) -> None:
    """Its index does."""
    assert dataset(tmp_path, index).data_digest == index.digest


def test_fields_of_all_samples_are_learned(tmp_path: Path, index: ShardIndex) -> None:
    """From the first ones of the data set, whichever is read first."""
    of = dataset(tmp_path, index, keys=None)
    assert of[11] == ("y/5", {"a": b"5", "b": b"b" * 600})
    assert dataset(tmp_path, index, keys=None, fields=("b", "a"))[1] == (b"b" * 600, b"1")


def test_only_the_first_samples_are_read_to_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set may have millions."""
    members = [(f"{number:03d}.{'ab'[number > 99]}", b"x" * 9000) for number in range(400)]
    index, _ = local(tmp_path, {"0.tar": pack(*members)})
    of = AISShardDataset(f"file://{tmp_path}/", index=index)
    read: list[int] = []
    plan = of.sample_reader.plan

    def planned(numbers: Sequence[int]) -> Any:
        read.extend(numbers)
        return plan(numbers)

    monkeypatch.setattr(of.sample_reader, "plan", planned)
    of.learn_fields()
    of.learn_fields()
    assert read == list(range(100))
    assert list(of[5][1]) == ["a"]
    with pytest.raises(ShardError, match="'100' at byte .* has 'b'"):
        of[100]


def test_it_pickles(tmp_path: Path, index: ShardIndex) -> None:
    """Also after it was read."""
    of = dataset(tmp_path, index, keys=None, transform=str)
    before = of[3]
    assert pickle.loads(pickle.dumps(of))[3] == before


def test_statistics(tmp_path: Path, index: ShardIndex) -> None:
    """Of this process and of workers."""
    of = dataset(tmp_path, index)
    of[0]
    of.__getitems__([1, 2])
    assert of.stats()["items"] == 3
    loader = DataLoader(of, 4, num_workers=1, collate_fn=list)
    assert [name for batch in loader for name, _ in batch] == KEYS
    del loader
    assert of.stats()["items"] == 15


class Doubled(AISShardDataset):
    """A subclass that makes its own items."""

    def __getitem__(self, index: int) -> Any:
        """Return a name twice."""
        return 2 * super().__getitem__(index)[0]


class Named(AISShardDataset):
    """A subclass that has something more."""

    title = "mine"


def test_subclasses(tmp_path: Path, index: ShardIndex) -> None:
    """One that makes its own items makes them in batches too, and is not read by packs."""
    of = Doubled(f"file://{tmp_path}/", index=index, keys=["a"], full_key=True)
    assert of.__getitems__([0, 7]) == ["x/0x/0", "y/1y/1"]
    assert [reads_packs(one) for one in (of, dataset(tmp_path, index), range(3))] == [
        False,
        True,
        False,
    ]
    assert reads_packs(Named(f"file://{tmp_path}/", index=index))


def test_one_of_its_own_errors(tmp_path: Path, index: ShardIndex) -> None:
    """They begin with its name."""
    of = dataset(tmp_path, index)
    (tmp_path / "0.tar").write_bytes(shard("z"))
    with pytest.raises(IntegrityError, match="<AISShardDataset> file://.*0.tar: the shard was rep"):
        of[0]
    assert of[7][0] == "y/1"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"keys": ["a"], "fields": ["a"]}, ConfigError, "give one"),
        ({"concurrency": 0}, ConfigError, "reads at once"),
        ({"shard_names": "*.tgz"}, NotFoundError, "not of shard_names="),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, index: ShardIndex, options: dict[str, Any], error: Any, message: str
) -> None:
    """When it is made."""
    with pytest.raises(error, match=message):
        dataset(tmp_path, index, **{"keys": None, **options})


def test_no_source() -> None:
    """As with the other datasets."""
    with pytest.raises(ValueError, match="must be provided"):
        AISShardDataset()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Return a gateway with two shards of 24 samples of 70,000 bytes, and an empty cache."""
    with (
        pytest.MonkeyPatch.context() as patch,
        Gateway(tmp_path_factory.mktemp("store")) as gateway,
        closing(Client(gateway.endpoint)) as client,
    ):
        patch.setenv("AISIO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        shards = client.bucket("data").create()
        for name in "xy":
            members = [(f"{name}{number:02d}.bin", NOISE) for number in range(24)]
            shards.object(f"{name}.tar").put(pack(*members))
        yield gateway


@contextmanager
def behind_proxy(gateway: Gateway, **options: Any) -> Iterator[tuple[FaultProxy, AISShardDataset]]:
    """Put a proxy before the gateway."""
    with FaultProxy(gateway.endpoint) as proxy, closing(Client(proxy.endpoint)) as client:
        of = AISShardDataset("ais://data/", client=client, **options)
        of.learn_fields()
        yield proxy, of


def read(of: AISShardDataset, numbers: Sequence[int] = range(0, 48, 3)) -> list[str]:
    """Read samples and compare their contents."""
    items = of.__getitems__(numbers)
    assert {fields["bin"] for _, fields in items} == {NOISE}
    return [name for name, _ in items]


THIRDS = [f"{name}{number:02d}" for name in "xy" for number in range(0, 24, 3)]


@pytest.mark.parametrize(
    "fault",
    [None, Cut(0), Cut(30_000), Cut(60_000, reset=True), Corrupt(40_000), Restart(), Status(503)],
)
def test_on_a_bad_network(gateway: Gateway, fault: Any) -> None:
    """Every sample comes, and is right; what was wrong costs another request."""
    with behind_proxy(gateway) as (proxy, of):
        before = len(proxy.requests)
        if fault is not None:
            proxy.add(fault, path="/v1/objects/data/y.tar")
        assert read(of) == THIRDS
        gets = [seen for seen in proxy.requests[before:] if "/objects/" in seen.path]
        assert len(gets) >= 16 + (fault is not None)
        assert all("range" in seen.headers for seen in gets)


def test_damage_in_the_store_names_the_sample(gateway: Gateway) -> None:
    """After it was read once more."""
    with behind_proxy(gateway, keys=["bin"]) as (proxy, of):
        for _ in range(2):
            proxy.add(Corrupt(40_000), path="/v1/objects/data/y.tar")
        with pytest.raises(IntegrityError, match="y.tar: sample 'y03' at byte .* XXH3-64"):
            of[27]
        assert of[27][0] == "y03"


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_it_is_read_in_other_processes(gateway: Gateway, method: str) -> None:
    """However they are started, after it was read in this one."""
    of = AISShardDataset("ais://data/", endpoint=gateway.endpoint)
    assert read(of) == THIRDS
    context: Any = multiprocessing.get_context(method)
    mine, theirs = context.Pipe()
    process = context.Process(target=_send_names, args=(of, theirs))
    process.start()
    theirs.close()
    assert mine.recv() == THIRDS
    process.join()
    assert process.exitcode == 0


def _send_names(of: AISShardDataset, pipe: Any) -> None:
    pipe.send(read(of))


def test_a_sample_that_lacks_a_field(tmp_path: Path) -> None:
    """Is named."""
    index, _ = local(tmp_path, {"0.tar": pack(("1.a", b"1"), ("2.b", b"2"))})
    of = AISShardDataset(f"file://{tmp_path}/", index=index, fields=["a"])
    assert of[0] == (b"1",)
    with pytest.raises(ShardError, match="sample '2' at byte 1024 has no field 'a'.*it has 'b'"):
        of[1]


def test_decoded_samples(tmp_path: Path, index: ShardIndex) -> None:
    """One, several, and by name."""
    of = dataset(tmp_path, index, keys=None, fields=("__key__", "a"), decode={"a": int})
    assert of[7] == of.by_name("y/1") == ("y/1", 1)
    assert of.__getitems__([0, 11]) == [("x/0", 0), ("y/5", 5)]


def test_labels_by_folders_of_the_index(tmp_path: Path, index: ShardIndex) -> None:
    """Sorted, as by torchvision's ImageFolder, or as given."""
    of = dataset(tmp_path, index, keys=None, fields=("a", "cls"), label_from="folder")
    assert (of.classes, of[0], of[-1]) == (("x", "y"), (b"0", 0), (b"5", 1))
    of = dataset(tmp_path, index, label_from="folder", classes=["y", "x"])
    assert (of.classes, of[0]) == (("y", "x"), ("x/0", {"a": b"0", "cls": 1}))
    assert dataset(tmp_path, index).classes == ()
    nameless = ShardIndex.merge([index], names=False)
    with pytest.raises(ConfigError, match="names are not in this index"):
        dataset(tmp_path, nameless, label_from="folder")
    assert dataset(tmp_path, nameless, label_from="folder", classes=["x"])[0][1]["cls"] == 0


def odd_number(data: bytes) -> int:
    """Decode a number, unless it is even."""
    if int(data) % 2 == 0:
        raise ValueError("it is even")
    return int(data)


def test_nothing_is_skipped_that_is_not_decoded(tmp_path: Path, index: ShardIndex) -> None:
    """Bytes that are wrong are an error whatever is said."""
    with pytest.raises(ConfigError, match='<AISShardDataset> on_error="skip" skips nothing witho'):
        dataset(tmp_path, index, on_error="skip")


def test_one_sample_that_cannot_be_decoded_raises(tmp_path: Path, index: ShardIndex) -> None:
    """With on_error="skip" too, as there is nothing else to give."""
    for on_error in ("raise", "skip"):
        of = dataset(tmp_path, index, decode={"a": odd_number}, on_error=on_error)
        assert of[1] == ("x/1", {"a": 1})
        with pytest.raises(DecodeError, match="<AISShardDataset> file://.*/0.tar: sample 'x/0' at"):
            of[0]


def test_a_loader_skips_what_cannot_be_decoded(tmp_path: Path, index: ShardIndex) -> None:
    """Its batches are shorter, as many as ever, and a state goes on behind them."""
    of = dataset(
        tmp_path,
        index,
        keys=None,
        fields=("__key__", "a"),
        decode={"a": odd_number},
        on_error="skip",
    )
    loader = Loader(
        of,
        4,
        num_workers=1,
        equalize="none",
        ranks=(0, 1),
        multiprocessing_context="fork",
    )
    batches = iter(loader)
    given = [next(batches), next(batches)]
    state = loader.state_dict()
    given += list(batches)
    assert [list(keys) for keys, _ in given] == [["x/1", "x/3"], ["x/5", "y/1"], ["y/3", "y/5"]]
    assert [numbers.tolist() for _, numbers in given] == [[1, 3], [5, 1], [3, 5]]
    assert sorted(one.key for one in of.skipped_samples) == [
        f"{shard}/{number}" for shard in "xy" for number in (0, 2, 4)
    ]
    again = Loader(of, 4, equalize="none", ranks=(0, 1))
    again.load_state_dict(state)
    assert [list(keys) for keys, _ in again] == [["y/3", "y/5"]]


def test_decoding_datasets_pickle(tmp_path: Path, index: ShardIndex) -> None:
    """For workers that are spawned; what they skip, the first process knows."""
    of = dataset(tmp_path, index, decode={"a": odd_number}, label_from="folder", on_error="skip")
    again = pickle.loads(pickle.dumps(of))
    assert again.__getitems__([6, 7]) == [("y/1", {"a": 1, "cls": 1})]
    assert [one.key for one in of.skipped_samples] == ["y/0"]


def test_a_worker_names_what_it_cannot_decode(tmp_path: Path, index: ShardIndex) -> None:
    """Only the text of an error comes from there."""
    of = dataset(tmp_path, index, decode={"a": odd_number})
    with pytest.raises(DecodeError, match="sample 'x/0' at byte 0: field 'a' of 1 bytes cannot be"):
        next(iter(Loader(of, 4, num_workers=1, ranks=(0, 1), multiprocessing_context="fork")))


def test_it_shows_what_it_is_and_how_much(tmp_path: Path, index: ShardIndex) -> None:
    """By its index; a notebook too."""
    of = dataset(tmp_path, index)
    assert repr(of) == f"<AISShardDataset of 12 samples in 2 shards: file://{tmp_path}/>"
    html = of._repr_html_()
    assert "<tr><th>samples</th><td>12</td></tr><tr><th>shards</th><td>2</td></tr>" in html
    assert "<th>size</th><td>30.7 kB</td>" in html
