"""Objects, prefixes and manifests as Alibaba's OSS connector reads them: on S3, here moto's."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch.utils.data import DataLoader

from aisio import AISIterDataset, AISMapDataset, Client, DataObject, NotFoundError
from aisio import imagenet_manifest_parser as by_tabs
from aisio.sources import PrefixSource
from aisio.stores import DirectSettings, LocalStore
from aisio.urls import ObjectUrl
from tests.moto_server import boto_client, s3_server

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytest.importorskip("aiohttp")

from aisio.gateway import Gateway
from aisio.testing.fault_proxy import FaultProxy

PAGE_SIZE = 10
NAMES = [f"train/{number:02d}" for number in range(25)]
_numbers = count()


class Place(NamedTuple):
    """Where objects are.

    Attributes:
        url: URL of the bucket, with its final "/".
        options: How datasets reach it.
        put: Stores an object.
        delete: Deletes one.
        proxy: What all requests go through; None for local files.
    """

    url: str
    options: dict[str, Any]
    put: Any
    delete: Any
    proxy: FaultProxy | None

    def requests(self) -> list[str]:
        """Return the targets of the GET requests for the bucket so far."""
        assert self.proxy is not None
        bucket = self.url.split("/")[2]
        return [
            one.target
            for one in self.proxy.requests
            if one.method == "GET" and f"/{bucket}" in one.target
        ]

    def listings(self) -> int:
        """Return how many requests for pages of listings there were so far."""
        pages = ("list-type=2", "/v1/buckets/")
        return sum(any(page in target for page in pages) for target in self.requests())

    def reads(self) -> Counter[str]:
        """Return how often each object was read."""
        paths = (target.partition("?")[0] for target in self.requests())
        return Counter(path.partition("/train/")[2] for path in paths if "/train/" in path)


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, FaultProxy]]:
    """Return the endpoint of an S3 server whose listings have short pages, and a proxy of it."""
    with s3_server(page_size=PAGE_SIZE) as endpoint, FaultProxy(endpoint) as proxy:
        yield endpoint, proxy


@pytest.fixture
def s3(moto: tuple[str, FaultProxy]) -> Place:
    """Return an empty bucket of S3."""
    endpoint, proxy = moto
    api, name = boto_client(endpoint), f"bucket-{next(_numbers):03d}"
    api.create_bucket(Bucket=name)
    keys = {"access_key_id": "k", "secret_access_key": "the-secret"}
    return Place(
        f"s3://{name}/",
        {"direct": DirectSettings(proxy.endpoint, "us-east-1", keys)},
        lambda key, data: api.put_object(Bucket=name, Key=key, Body=data),
        lambda key: api.delete_object(Bucket=name, Key=key),
        proxy,
    )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, FaultProxy]]:
    """Return the endpoint of a gateway, and a proxy of it."""
    with (
        Gateway(tmp_path_factory.mktemp("buckets")) as server,
        FaultProxy(server.endpoint) as proxy,
    ):
        yield server.endpoint, proxy


@pytest.fixture
def cluster(gateway: tuple[str, FaultProxy]) -> Place:
    """Return an empty bucket of the gateway."""
    endpoint, proxy = gateway
    bucket = Client(endpoint).bucket(f"bucket-{next(_numbers):03d}").create()
    return Place(
        f"ais://{bucket.name}/",
        {"endpoint": proxy.endpoint},
        lambda key, data: bucket.object(key).put(data),
        lambda key: bucket.object(key).delete(),
        proxy,
    )


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """Return an empty folder."""
    folder = tmp_path / "local"
    folder.mkdir()

    def put(key: str, data: bytes) -> None:
        (folder / key).parent.mkdir(exist_ok=True)
        (folder / key).write_bytes(data)

    return Place(f"file://{folder}/", {}, put, lambda key: (folder / key).unlink(), None)


@pytest.fixture(params=["s3", "cluster", "local"])
def place(request: pytest.FixtureRequest) -> Place:
    """Return an empty place of each kind."""
    made: Place = request.getfixturevalue(request.param)
    return made


def fill(place: Place, names: list[str] = NAMES) -> Place:
    """Store objects whose bytes are their names, but for the first, which has none."""
    for number, name in enumerate(names):
        place.put(name, name.encode() if number else b"")
    return place


def described(one: DataObject | None) -> tuple[str, int, str, bytes] | None:
    """Return what is known of an object, and its bytes; a transform."""
    if one is None:
        return None
    return one.key[-8:], one.size_bytes, one.label, one.read()


def row(name: str, label: str = "") -> tuple[str, int, str, bytes]:
    """Return what `described` returns for an object of `fill`."""
    data = b"" if name == NAMES[0] else name.encode()
    return name, len(data), label, data


def test_oss_02_a_prefix_lists_all_pages_without_folder_markers(s3: Place) -> None:
    """As boto3 does, one page after the other; empty objects are data."""
    fill(s3)
    for name in ("train/", "train/folder/", "val/0"):
        s3.put(name, b"")
    dataset = AISMapDataset.from_prefix(f"{s3.url}train/", **s3.options)
    assert s3.listings() > len(NAMES) / PAGE_SIZE
    assert list(dataset.names) == NAMES
    assert dataset[0] == (NAMES[0], b"")
    kept = AISMapDataset.from_prefix(f"{s3.url}train/", skip_empty=True, **s3.options)
    assert list(kept.names) == NAMES[1:]


def test_oss_02_empty_objects_are_data_everywhere(place: Place) -> None:
    """And a switch leaves them out, as the vendor does."""
    fill(place, NAMES[:3])
    for cls in (AISMapDataset, AISIterDataset):
        items = [*iter(cls.from_prefix(f"{place.url}train/", **place.options))]
        assert [data for _, data in items] == [b"", *(name.encode() for name in NAMES[1:3])]
        kept = [*iter(cls.from_prefix(f"{place.url}train/", skip_empty=True, **place.options))]
        assert kept == items[1:]


def test_oss_03_objects_come_in_their_order_with_their_sizes(place: Place) -> None:
    """One or many; nobody says their sizes."""
    fill(place, NAMES[:4])
    order = [3, 0, 2]
    urls = [f"{place.url}{NAMES[number]}" for number in order]
    options = {"transform": described, **place.options}
    expected = [row(NAMES[number]) for number in order]
    dataset = AISMapDataset.from_objects(urls, **options)
    assert [dataset[number] for number in range(3)] == dataset.__getitems__(range(3)) == expected
    assert [one.size_bytes for one in dataset.get_obj_list()] == [one[1] for one in expected]
    assert list(AISIterDataset.from_objects(urls, **options)) == expected
    assert list(AISIterDataset.from_objects(urls[0], **options)) == expected[:1]


def test_oss_04_an_item_is_a_file_with_key_size_and_label(place: Place) -> None:
    """The transform reads it; without one, (name, bytes) may be kept."""
    fill(place, NAMES[:3])
    seen: list[Any] = []

    def read_parts(one: DataObject) -> bytes:
        seen.append((one.key[-8:], one.url, one.size_bytes, one.label, one.tell()))
        one.seek(2)
        return one.read(3)

    prefix = f"{place.url}train/"
    dataset = AISMapDataset.from_prefix(prefix, transform=read_parts, **place.options)
    assert dataset.__getitems__([1, 2]) == [b"ain", b"ain"]
    assert seen == [(name, f"{place.url}{name}", 8, "", 0) for name in NAMES[1:3]]
    plain = AISMapDataset.from_prefix(prefix, **place.options)
    kept = [plain[number] for number in range(3)]
    assert [data for _, data in kept] == [row(name)[3] for name in NAMES[:3]]


def test_oss_05_a_missing_object_has_one_rule(place: Place) -> None:
    """By index and in a batch: an error, or None for the transform."""
    fill(place, NAMES[:4])
    prefix = f"{place.url}train/"
    options = {"transform": described, **place.options}
    strict = AISMapDataset.from_prefix(prefix, **options)
    lenient = AISMapDataset.from_prefix(prefix, on_missing="none", **options)
    short = AISMapDataset.from_prefix(prefix, on_missing="skip", **options)
    place.delete(NAMES[2])
    for step in (lambda: strict[2], lambda: strict.__getitems__([1, 2]), lambda: short[2]):
        with pytest.raises(NotFoundError, match=NAMES[2]):
            step()
    assert [lenient[2], lenient[3]] == [None, row(NAMES[3])]
    assert lenient.__getitems__([1, 2, 3]) == [row(NAMES[1]), None, row(NAMES[3])]
    assert short.__getitems__([1, 2, 3]) == [row(NAMES[1]), row(NAMES[3])]


def test_oss_06_a_batch_keeps_its_order_and_empty_objects(place: Place) -> None:
    """Whichever response comes first."""
    fill(place)
    dataset = AISMapDataset.from_prefix(f"{place.url}train/", transform=described, **place.options)
    order = [*range(24, -1, -1), 0, 0]
    assert dataset.__getitems__(order) == [row(NAMES[number]) for number in order]


class MeetingStore(LocalStore):
    """A store in which no read ends before four have begun."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(4, timeout=60)

    def read_with_info(self, url: ObjectUrl) -> Any:
        """See `Store.read_with_info`."""
        self.barrier.wait()
        return super().read_with_info(url)


def test_oss_06_a_batch_is_read_concurrently(local: Place) -> None:
    """Also with a transform."""
    fill(local, NAMES[:8])
    own = PrefixSource(MeetingStore(), ObjectUrl.parse(f"{local.url}train/"))
    dataset = AISMapDataset.from_url(own, concurrency=4, transform=described)
    assert dataset.__getitems__(range(8)) == [row(name) for name in NAMES[:8]]


def test_oss_07_an_iteration_skips_what_is_missing_and_counts_it(place: Place, caplog) -> None:
    """Again and again."""
    fill(place, NAMES[:4])
    dataset = AISIterDataset.from_prefix(
        f"{place.url}train/", transform=described, on_missing="skip", **place.options
    )
    assert dataset.count() == 4
    place.delete(NAMES[2])
    for epoch in (1, 2):
        assert list(dataset) == [row(NAMES[number]) for number in (0, 1, 3)]
        assert dataset.stats()["skipped"] == len(caplog.messages) == epoch
    assert "<AISIterDataset> skipped 1 (gone since they were listed): " in caplog.messages[0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("kind", ["s3", "cluster"])
@pytest.mark.parametrize("cls", [AISMapDataset, AISIterDataset])
def test_oss_08_workers_share_one_listing_and_read_each_object_once(
    request: pytest.FixtureRequest, cls: Any, kind: str
) -> None:
    """The requests that the server got say so."""
    place = fill(request.getfixturevalue(kind))
    AISMapDataset.from_prefix(f"{place.url}train/", **place.options)
    for_one = place.listings()
    dataset = cls.from_prefix(f"{place.url}train/", transform=described, **place.options)
    loader = DataLoader(dataset, batch_size=4, num_workers=3, collate_fn=list)
    items = [item for batch in loader for item in batch]
    assert sorted(items) == [row(name) for name in NAMES]
    assert place.listings() == 2 * for_one > 0
    assert place.reads() == {name.removeprefix("train/"): 1 for name in NAMES}


def label_of(one: DataObject) -> tuple[str, bytes]:
    """Return label and bytes of an object; a transform that a spawned worker can import."""
    return one.label, one.read()


@pytest.mark.parametrize(
    ("cls", "context"),
    [(AISMapDataset, "fork"), (AISMapDataset, "spawn"), (AISIterDataset, "fork")],
)
def test_oss_09_workers_read_after_the_parent_has(s3: Place, cls: Any, context: str) -> None:
    """By fork and spawn; the labels of a manifest go with them."""
    fill(s3, NAMES[:4])
    s3.put("list.tsv", "".join(f"{name}\t{name[-1]}\n" for name in NAMES[:4]).encode())
    dataset = cls.from_manifest_file(
        f"{s3.url}list.tsv", by_tabs, s3.url, transform=label_of, **s3.options
    )
    expected = [(name[-1], row(name)[3]) for name in NAMES[:4]]
    assert next(iter(dataset)) == expected[0]
    loader = DataLoader(
        dataset, batch_size=2, num_workers=1, collate_fn=list, multiprocessing_context=context
    )
    assert [item for batch in loader for item in batch] == expected
    assert len([target for target in s3.requests() if "list.tsv" in target]) == 1


def by_json(reader: Any) -> Iterator[tuple[str, str]]:
    """Yield the entries of a manifest in JSON lines."""
    for line in reader:
        entry = json.loads(line)
        yield entry["key"], entry["label"]


@pytest.mark.parametrize("is_remote", [True, False])
def test_oss_10_a_manifest_lists_keys_with_labels(
    place: Place, tmp_path: Path, is_remote: bool
) -> None:
    """In its order; what stands before a key is put there literally."""
    fill(place, NAMES[:4])
    entries = [("/03", "cat"), ("/00", ""), ("/03", "dog")]
    text = "".join(json.dumps({"key": key, "label": label}) + "\n" for key, label in entries)
    where = tmp_path / "manifest.jsonl"
    if is_remote:
        place.put("manifest.jsonl", text.encode())
    else:
        where.write_text(text, "utf-8")
    arguments = (f"{place.url}manifest.jsonl" if is_remote else where, by_json)
    expected = [row(f"train{key}", label) for key, label in entries]
    for cls in (AISMapDataset, AISIterDataset):
        dataset = cls.from_manifest_file(
            *arguments, f"{place.url}train", transform=described, **place.options
        )
        assert [*iter(dataset)] == expected


def test_oss_12_every_listing_is_complete(s3: Place, moto: tuple[str, FaultProxy]) -> None:
    """There is one way to list, in the order of the names; boto3 finds the same set."""
    fill(s3)
    pages = boto_client(moto[0]).get_paginator("list_objects_v2").paginate(Bucket=s3.url[5:-1])
    theirs = {one["Key"] for page in pages for one in page["Contents"]}
    ours = list(AISMapDataset.from_prefix(s3.url, **s3.options).names)
    assert (set(ours), ours) == (theirs, sorted(theirs))


def test_oss_42_a_local_folder_has_the_same_api(local: Place, tmp_path: Path) -> None:
    """By path or URL, in every constructor."""
    fill(local, NAMES[:3])
    folder = Path(local.url.removeprefix("file://"))
    (tmp_path / "list.tsv").write_text("00\tcat\n01\tcat\n02\tcat\n", "utf-8")
    expected = [row(name) for name in NAMES[:3]]
    labelled = [row(name, "cat") for name in NAMES[:3]]
    files = [folder / name for name in NAMES[:3]]
    for cls in (AISMapDataset, AISIterDataset):
        for made, rows in (
            (cls.from_prefix(folder, transform=described), expected),
            (cls.from_prefix(f"{local.url}train/", transform=described), expected),
            (cls.from_objects(files, transform=described), expected),
            (cls.from_url(folder, transform=described), expected),
            (
                cls.from_manifest_file(
                    tmp_path / "list.tsv", by_tabs, folder / "train", transform=described
                ),
                labelled,
            ),
        ):
            assert [*iter(made)] == rows
