"""Tars with an index, as Alibaba's OSS connector reads them: on S3, a cluster and local files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch.utils.data import DataLoader

from aisio import (
    AISIterDataset,
    AISMapDataset,
    Client,
    ConfigError,
    NotFoundError,
    ShardError,
    index_tar,
    pack_tar,
)
from aisio.stores import DirectSettings
from tests.moto_server import boto_client, s3_server

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytest.importorskip("aiohttp")

from aisio.gateway import Gateway
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy, Refuse, Status

FILES = {f"c{number // 30}/{number:03d}.txt": b"%d" % number * 50 for number in range(90)}
FILES["c1/large.bin"] = bytes(300_000)
NAMES = sorted(FILES)
_numbers = count()


class Place(NamedTuple):
    """Where tars are.

    Attributes:
        url: URL of the bucket or folder, with its final "/".
        settings: How `pack_tar` reaches it.
        options: How datasets reach it.
        proxy: What all requests go through; None for local files.
    """

    url: str
    settings: dict[str, Any]
    options: dict[str, Any]
    proxy: FaultProxy | None

    def reads(self) -> list[str]:
        """Return the ranges of the tar that were read so far."""
        assert self.proxy is not None
        requests = (one for one in self.proxy.requests if one.method == "GET")
        return [one.headers.get("range", "") for one in requests if one.path.endswith(".tar")]


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, FaultProxy]]:
    """Return the endpoint of an S3 server, and a proxy of it."""
    with s3_server() as endpoint, FaultProxy(endpoint) as proxy:
        yield endpoint, proxy


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """Return a proxy of a gateway."""
    folder = tmp_path_factory.mktemp("buckets")
    with Gateway(folder) as server, FaultProxy(server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def s3(moto: tuple[str, FaultProxy]) -> Place:
    """Return an empty bucket of S3."""
    endpoint, proxy = moto
    name = f"tars-{next(_numbers)}"
    boto_client(endpoint).create_bucket(Bucket=name)
    keys = {"access_key_id": "k", "secret_access_key": "the-secret"}
    settings = {"direct": DirectSettings(proxy.endpoint, "us-east-1", keys)}
    return Place(f"s3://{name}/", settings, settings, proxy)


@pytest.fixture
def cluster(gateway: FaultProxy) -> Place:
    """Return an empty bucket of a cluster."""
    client = Client(gateway.endpoint)
    bucket = client.bucket(f"tars-{next(_numbers)}").create()
    settings = {"client": client}
    return Place(f"ais://{bucket.name}/", settings, {"endpoint": gateway.endpoint}, gateway)


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """Return an empty folder."""
    return Place(f"file://{tmp_path}/out/", {}, {}, None)


@pytest.fixture(params=["s3", "cluster", "local"])
def place(request: pytest.FixtureRequest) -> Place:
    """Return an empty place of each kind."""
    made: Place = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files."""
    for name, data in FILES.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    return tmp_path / "in"


def packed(folder: Path, place: Place) -> tuple[str, str]:
    """Pack the folder; return the URLs of tar and index."""
    made = pack_tar(folder, f"{place.url}o.tar", f"{place.url}o.idx", **place.settings)
    return made.url, made.index_url


def described(one: Any) -> tuple[str, int, str, bytes]:
    """Return what is known of a file, and its first bytes; a transform."""
    return one.key, one.size_bytes, one.label, one.read(5)


def test_oss_18_a_folder_is_packed_to_any_place(folder: Path, place: Place) -> None:
    """What was packed is read; its index can be made again."""
    tar, index = packed(folder, place)
    dataset = AISMapDataset.from_tar(tar, index, **place.options)
    assert [dataset[number] for number in range(len(dataset))] == sorted(FILES.items())
    assert index_tar(tar, f"{place.url}2.idx", **place.settings).members == 91
    indexes = AISMapDataset.from_objects([index, f"{place.url}2.idx"], **place.options)
    assert indexes[0][1] == indexes[1][1]


@pytest.mark.parametrize("where", ["s3", "cluster"])
def test_oss_18_a_prefix_is_packed_to_any_place(
    folder: Path, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    """Here to local files; the names begin behind the last "/" of the prefix."""
    place: Place = request.getfixturevalue(where)
    packed(folder, place)
    tar, index = tmp_path / "o.tar", tmp_path / "o.idx"
    pack_tar(f"{place.url}o.", tar, index, **place.settings)
    dataset = AISMapDataset.from_tar(tar, index)
    assert [dataset[number][0] for number in range(len(dataset))] == ["o.idx", "o.tar"]


def test_oss_20_items_by_index(folder: Path, place: Place) -> None:
    """Key, size and label; index errors, and negative indices."""
    tar, index = packed(folder, place)
    dataset = AISMapDataset.from_tar(tar, index, transform=described, **place.options)
    expected = [
        (name, len(FILES[name]), str(number), FILES[name][:5]) for number, name in enumerate(NAMES)
    ]
    assert len(dataset) == 91
    assert dataset[7] == expected[7]
    assert dataset[-1] == expected[-1]
    assert dataset.__getitems__([3, 4, 5, -1, 0, 3]) == [expected[n] for n in (3, 4, 5, -1, 0, 3)]
    for wrong in (91, -92):
        with pytest.raises(IndexError, match="index must be in bounds of dataset"):
            dataset[wrong]


@pytest.mark.parametrize("where", ["s3", "cluster"])
def test_oss_20_neighbours_come_by_one_request(
    folder: Path, where: str, request: pytest.FixtureRequest
) -> None:
    """So does one file; files that are far apart come by one request each."""
    place: Place = request.getfixturevalue(where)
    tar, index = packed(folder, place)
    dataset = AISMapDataset.from_tar(tar, index, **place.options)
    opened = len(place.reads())
    dataset[3]
    assert len(place.reads()) == opened + 1
    dataset.__getitems__([4, 5, 6, 7])
    assert len(place.reads()) == opened + 2
    dataset.__getitems__([0, 90])
    assert len(place.reads()) == opened + 4
    assert all(place.reads()[opened:])


@pytest.mark.parametrize("fault", [Cut(700), Corrupt(10), Refuse(), Status(503)])
@pytest.mark.parametrize("where", ["s3", "cluster"])
def test_a_fault_on_the_way_changes_nothing(
    folder: Path, where: str, fault: Any, request: pytest.FixtureRequest
) -> None:
    """A response that breaks goes on, a header that is wrong is read once more."""
    place: Place = request.getfixturevalue(where)
    tar, index = packed(folder, place)
    dataset = AISMapDataset.from_tar(tar, index, **place.options)
    assert place.proxy is not None
    place.proxy.add(fault, method="GET", path="*o.tar")
    try:
        items = dataset.__getitems__([*range(10)])
    finally:
        place.proxy.clear()
    assert items == [(name, FILES[name]) for name in NAMES[:10]]


def test_oss_21_tar_and_index_of_different_buckets_are_refused() -> None:
    """A local index of a tar in a bucket is fine."""
    with pytest.raises(ConfigError, match="must be in the same bucket"):
        AISMapDataset.from_tar("s3://a/o.tar", "s3://b/o.idx")
    AISIterDataset.from_tar("s3://a/o.tar", Path("o.idx"))


def test_oss_21_what_is_missing_or_wrong(folder: Path, place: Place) -> None:
    """The error names the one that it is about."""
    tar, index = packed(folder, place)
    for other in ((tar, f"{place.url}none"), (f"{place.url}none", index)):
        with pytest.raises(NotFoundError, match="none"):
            AISMapDataset.from_tar(*other, **place.options)
    with pytest.raises(ShardError, match=r"o\.tar: this index of a tar cannot be used: it begins"):
        AISMapDataset.from_tar(tar, tar, **place.options)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_oss_22_every_file_once(folder: Path, cluster: Place, workers: int) -> None:
    """With any number of workers, shuffled or not; chunks may be fewer than workers."""
    tar, index = packed(folder, cluster)
    for shuffle in (False, True):
        dataset: Any = AISIterDataset.from_tar(
            tar, index, shuffle=shuffle, shuffle_chunk_size=60, **cluster.options
        )
        loader = DataLoader(dataset, batch_size=None, num_workers=workers)
        assert Counter(name for name, _ in loader) == Counter(NAMES)


def test_oss_23_chunks_are_divided_among_workers(folder: Path, local: Place) -> None:
    """Each worker reads neighbours, as many as the others."""
    tar, index = packed(folder, local)
    dataset = AISIterDataset.from_tar(tar, index, shuffle=True, shuffle_chunk_size=10)
    loader: Any = DataLoader(dataset, batch_size=30, num_workers=2, collate_fn=list)
    batches = [[NAMES.index(name) for name, _ in batch] for batch in loader]
    assert sorted(map(len, batches)) == [15, 16, 30, 30]
    joined = sum(one + 1 == two for batch in batches for one, two in pairwise(batch))
    assert 91 - 4 - joined <= 14


def test_oss_24_the_order_depends_on_seed_and_epoch(folder: Path, local: Place) -> None:
    """Not on what else the program draws; every epoch has another one."""
    tar, index = packed(folder, local)

    def names(seed: int, epoch: int) -> list[str]:
        dataset = AISIterDataset.from_tar(
            tar, index, shuffle=True, shuffle_chunk_size=10, seed=seed
        )
        dataset.set_epoch(epoch)
        return [name for name, _ in dataset]

    assert names(0, 0) == names(0, 0)
    orders = [names(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert [sorted(order) for order in orders] == [NAMES] * 4
