"""Sources of a catalog on a server: each kind, and the digests of listings."""

from __future__ import annotations

import multiprocessing
import pickle

import pytest

from aisio.catalog import NamedSource
from aisio.client.client import Client
from aisio.errors import DigestError, IntegrityError, NotFoundError, ShardError
from aisio.records import ByteRange
from aisio.sources.digest import ListingDigest, listing_digest
from aisio.sources.resolve import source
from aisio.stores import AisStore
from aisio.stores.tar import TarStore
from aisio.urls import ObjectUrl
from tests.tars import pack

FILES = {f"train/s-{number}": f"data {number}".encode() * number for number in range(6)}
LARGE = bytes(range(256)) * 8192


@pytest.fixture
def filled(bucket):
    """Return a bucket with six objects, and lists and archives of them."""
    for name, data in FILES.items():
        bucket.object(name).put(data)
    lines = "".join(f"{name}\t7\n" for name in FILES)
    bucket.object("list.tsv").put(f"# all\n{lines}{bucket.url}/train/s-1\n".encode())
    bucket.object("all.tar").put(pack(*FILES.items(), ("large", LARGE), ("last", b"end")))
    return bucket


def named(bucket, **fields):
    """Return a source as a catalog would have it."""
    return source(NamedSource(tag="team/x", **fields), client=bucket.client)


def read_by_name(one):
    """Return name -> bytes of all objects of a source."""
    return {info.name: one.read(info) for info in one.list()}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("prefix", "{url}/train/"),
        ("template", "{url}/train/s-{{0..5}}"),
        ("manifest", "{url}/list.tsv"),
        ("urls", ("{url}/train/s-3", "{url}/train/s-1")),
    ],
)
def test_every_kind_reads_what_is_stored(filled, kind, text):
    """By the store that has it, here the cluster."""
    texts = (text,) if isinstance(text, str) else text
    urls = tuple(one.format(url=filled.url) for one in texts)
    one = named(filled, **{kind: urls if kind == "urls" else urls[0]})
    expected = {n: d for n, d in FILES.items() if kind != "urls" or n[-1] in "13"}
    assert read_by_name(one) == expected
    assert isinstance(one.store_of(next(one.list())), AisStore)


def test_a_manifest_lists_in_its_order(filled):
    """And twice what it has twice."""
    names = [info.name for info in named(filled, manifest=f"{filled.url}/list.tsv").list()]
    assert names == [*FILES, "train/s-1"]


def test_members_of_a_tar_are_read_by_ranges(filled):
    """Small, empty, and behind a large one; whole and in part."""
    one = named(filled, tar=f"{filled.url}/all.tar")
    infos = {info.name.removeprefix("all.tar/"): info for info in one.list()}
    assert list(infos) == [*FILES, "large", "last"]
    for name, data in (FILES | {"large": LARGE, "last": b"end"}).items():
        assert infos[name].size_bytes == len(data)
        assert one.read(infos[name]) == one.get(infos[name]).readall() == data
    store = one.store_of(infos["large"])
    assert store.get(ObjectUrl.parse(infos["large"].url), ByteRange(5, 9)).readall() == LARGE[5:9]


def test_a_tar_that_is_replaced_is_an_error_and_no_other_data(filled):
    """Places of the old one mean nothing in the new one."""
    one = named(filled, tar=f"{filled.url}/all.tar")
    infos = list(one.list())
    filled.object("all.tar").put(pack(("train/s-5", b"other" * 4000)))
    with pytest.raises(IntegrityError, match="replaced"):
        one.read(infos[5])
    with pytest.raises(IntegrityError, match="replaced"):
        one.get(infos[5])


def test_a_cut_tar_is_an_error(filled):
    """At the first item, wherever it is cut."""
    data = filled.object("all.tar").get()
    for cut in (len(data) - 1024, len(data) - 2048, 1_000_000, 700):
        filled.object("cut.tar").put(data[:cut])
        with pytest.raises(ShardError, match=f"cut at byte {cut}"):
            next(named(filled, tar=f"{filled.url}/cut.tar").list())


def test_what_is_missing_is_said_at_the_first_item(filled):
    """Manifest, tar, bucket."""
    absent = f"{filled.url}/absent"
    for one in (named(filled, manifest=absent), named(filled, tar=absent)):
        with pytest.raises(NotFoundError, match="absent"):
            next(one.list())
    with pytest.raises(NotFoundError, match="aisio-no-such-bucket"):
        next(named(filled, prefix="ais://aisio-no-such-bucket/").list())


def read_last(one, out):
    """Read the last object of a source, and give it on."""
    info = list(one.list())[-1]
    out.put((info.name, one.read(info)))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_tar_is_read_in_other_processes(filled, method):
    """After this one has read from it."""
    one = named(filled, tar=f"{filled.url}/all.tar")
    assert read_by_name(one)["all.tar/last"] == b"end"
    context = multiprocessing.get_context(method)
    out = context.Queue()
    worker = context.Process(target=read_last, args=(one, out))
    worker.start()
    assert out.get(timeout=60) == ("all.tar/last", b"end")
    worker.join()
    assert list(pickle.loads(pickle.dumps(one)).list()) == list(one.list())


@pytest.mark.parametrize("page_size", [1, 2, 5, 100])
def test_a_digest_does_not_depend_on_pages(filled, page_size):
    """What a store gives in how many answers is its own affair."""
    one = named(filled, prefix=f"{filled.url}/train/")
    digest = ListingDigest(one.base_url)
    props = "name,size,checksum"
    for info in filled.list("train/", props=props, page_size=page_size):
        digest.add(info)
    assert digest.text() == listing_digest(one)


def test_a_digest_sees_other_bytes_of_the_same_size(filled):
    """A cluster's listing has checksums."""
    url = f"{filled.url}/train/"
    pinned = named(filled, prefix=url, digest=listing_digest(named(filled, prefix=url)))
    assert len(list(pinned.list())) == 6
    filled.object("train/s-2").put(b"DATA 2" * 2)
    with pytest.raises(DigestError, match="team/x"):
        list(pinned.list())
    with pytest.raises(DigestError):
        list(pinned.list("train/s-5"))


def test_the_cluster_that_an_entry_names(filled, endpoint, monkeypatch):
    """Where nothing else names one."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    entry = NamedSource(tag="team/x", prefix=f"{filled.url}/train/", endpoint=endpoint)
    assert read_by_name(source(entry)) == FILES


def test_a_tar_store_lists_in_order_of_names(filled):
    """As every store does; the source keeps the archive's order."""
    url = ObjectUrl.parse(f"{filled.url}/all.tar")
    store = TarStore(AisStore(Client(filled.client.endpoint)), url)
    names = [info.name for info in store.list(url.with_name("all.tar/"))]
    assert names == sorted(names)
    assert names[0] == "all.tar/large"
