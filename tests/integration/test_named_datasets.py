"""Names of a catalog wherever datasets and datapipes take a source."""

from __future__ import annotations

from collections import Counter

import pytest
from torch.utils.data import DataLoader
from torch.utils.data.datapipes.iter import IterableWrapper

import aisio.datapipes  # noqa: F401 - registers the functional names
from aisio import AISBatchIterDataset, AISIterDataset, AISMapDataset, AISShardReader
from aisio.catalog import read_catalog
from aisio.errors import DigestError, UrlError
from aisio.sources.digest import listing_digest
from aisio.sources.resolve import source
from tests.tars import pack

OBJECTS = {f"a/{number}": f"object {number}".encode() for number in range(8)}
SAMPLES = [("0.jpg", b"zero"), ("0.cls", b"0"), ("1.jpg", b"one"), ("1.cls", b"1")]

pytestmark = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create:UserWarning", "ignore:This process:DeprecationWarning"
)


@pytest.fixture
def filled(bucket, endpoint, tmp_path, monkeypatch):
    """Return a bucket whose objects, shards and tar have names in the default catalog."""
    for name, data in OBJECTS.items():
        bucket.object(name).put(data)
    bucket.object("b/0").put(b"other")
    for number in range(2):
        bucket.object(f"shards/{number}.tar").put(pack(*SAMPLES))
    bucket.object("all.tar").put(pack(*OBJECTS.items()))
    text = (
        f"- {{tag: all, prefix: '{bucket.url}/', endpoint: '{endpoint}'}}\n"
        f"- {{tag: x, prefix: '{bucket.url}/a/'}}\n"
        f"- {{tag: tar, tar: '{bucket.url}/all.tar'}}\n"
        f"- {{tag: shards, template: '{bucket.url}/shards/{{0..1}}.tar'}}\n"
        f"- {{tag: wrong, extends: x, digest: 'sha256:{'0' * 64}'}}\n"
    )
    (tmp_path / "team.yaml").write_text(text, "utf-8")
    monkeypatch.setenv("AISIO_CATALOG", str(tmp_path))
    monkeypatch.setenv("AIS_ENDPOINT", endpoint)
    read_catalog(tmp_path, reload=True)
    return bucket


def read(pair):
    """Return the URL and the bytes of a loaded object."""
    url, stream = pair
    return url, stream.read()


def test_a_map_dataset_by_name(filled):
    """Alone, in a list, and narrowed by a prefix map."""
    expected = list(OBJECTS.items())
    assert list(AISMapDataset("team/x")) == expected  # type: ignore[call-overload]
    dataset = AISMapDataset(["team/x", "team/all"], {"team/all": "b/"})
    assert [dataset[number] for number in range(len(dataset))] == [*expected, ("b/0", b"other")]
    in_tar = AISMapDataset(["team/tar"])
    assert in_tar.__getitems__([7, 0]) == [
        ("all.tar/a/7", b"object 7"),
        ("all.tar/a/0", b"object 0"),
    ]


@pytest.mark.parametrize("name", ["team/x", "team/tar"])
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_workers_read_every_object_of_a_name_once(filled, name, method):
    """After the parent has read them, in workers of both kinds."""
    dataset = AISIterDataset([name])
    assert dataset.count() == len(list(dataset)) == 8
    loader = DataLoader(dataset, batch_size=3, num_workers=2, multiprocessing_context=method)
    got = Counter(item for _, data in loader for item in data)
    assert got == Counter(OBJECTS.values())


def test_batches_by_name(filled):
    """From the cluster many at once; from a tar one by one."""
    assert list(AISBatchIterDataset(["team/x"], max_batch_size=3)) == list(OBJECTS.items())
    assert [data for _, data in AISBatchIterDataset(["team/tar"])] == list(OBJECTS.values())


def test_batches_of_a_pinned_source_are_compared(filled, tmp_path):
    """So they are read one by one: get-batch tells no checksums."""
    digest = listing_digest(source("team/x"))
    with (tmp_path / "team.yaml").open("a") as file:
        file.write(f"- {{tag: pinned, extends: x, digest: '{digest}'}}\n")
    read_catalog(tmp_path, reload=True)
    batches = iter(AISBatchIterDataset(["team/pinned"], max_batch_size=1, concurrency=1))
    assert next(batches) == ("a/0", b"object 0")
    filled.object("a/7").put(b"OBJECT 7")
    with pytest.raises(DigestError, match="team/pinned"):
        list(batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_by_name(filled, workers):
    """The objects of the source are the shards."""
    loader = DataLoader(AISShardReader(["team/shards"]), batch_size=None, num_workers=workers)
    got = Counter((name, fields["jpg"]) for name, fields in loader)
    assert got == Counter({("0", b"zero"): 2, ("1", b"one"): 2})


def test_the_lister_takes_names_and_urls(filled, endpoint):
    """Their URLs are what the loader opens."""
    prefixes = IterableWrapper(["team/x", f"{filled.url}/b/", "team/tar"])
    urls = prefixes.ais_list_files(url=endpoint)
    got = [data for _, data in map(read, urls.ais_load_files(url=endpoint))]
    assert got == [*OBJECTS.values(), b"other", *OBJECTS.values()]


def test_the_source_lister_takes_names(filled, endpoint):
    """Narrowed by its prefix."""
    urls = IterableWrapper(["team/x", filled]).ais_list_sources(prefix="a/7", url=endpoint)
    assert list(urls) == [f"{filled.url}/a/7"] * 2


def test_a_loader_without_a_cluster_reads_what_an_entry_names(filled, monkeypatch):
    """Its URLs say which cluster they are of."""
    monkeypatch.delenv("AIS_ENDPOINT")
    urls = IterableWrapper(["team/all"]).ais_list_files()
    got = {data for _, data in map(read, urls.ais_load_files())}
    assert set(OBJECTS.values()) < got


# A fork server keeps the environment it began in, without this catalog.
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_datapipes_by_name_in_workers(filled, endpoint, method):
    """Members of a tar among them: each worker finds them by their URLs."""
    urls = IterableWrapper(["team/x", "team/tar"]).ais_list_files(url=endpoint)
    pipe = urls.sharding_filter().ais_load_files(url=endpoint).map(read)
    loader = DataLoader(pipe, batch_size=None, num_workers=2, multiprocessing_context=method)
    assert Counter(data for _, data in loader) == Counter([*OBJECTS.values()] * 2)


def test_an_object_in_a_folder_that_is_called_as_a_tar(filled, endpoint):
    """Comes before the file in a tar; what is neither is not found, by its own name."""
    filled.object("folder.tar/x").put(b"an object")
    urls = [f"{filled.url}/folder.tar/x", f"{filled.url}/all.tar/a/3"]
    pipe = IterableWrapper(urls).ais_load_files(url=endpoint)
    assert [data for _, data in map(read, pipe)] == [b"an object", b"object 3"]
    for absent in ("folder.tar/y", "all.tar/y"):
        with pytest.raises(FileNotFoundError, match=absent):
            list(IterableWrapper([f"{filled.url}/{absent}"]).ais_load_files(url=endpoint))


def test_a_wrong_listing_ends_every_reader_with_an_error(filled):
    """A map dataset when it is made; the others when they have listed all."""
    with pytest.raises(DigestError, match="team/wrong"):
        AISMapDataset(["team/wrong"])
    with pytest.raises(DigestError, match="team/wrong"):
        list(iter(AISIterDataset(["team/wrong"])))
    with pytest.raises(DigestError, match="team/wrong"):
        list(iter(AISBatchIterDataset(["team/wrong"])))
    with pytest.raises(DigestError, match="team/wrong"):
        list(IterableWrapper(["team/wrong"]).ais_list_files())
    loader = DataLoader(AISIterDataset(["team/wrong"]), batch_size=None, num_workers=2)
    with pytest.raises(DigestError, match="team/wrong"):
        list(iter(loader))


def test_an_unknown_name_is_said_to_be_no_url_too(filled, endpoint):
    """At once by datasets; at iteration by datapipes."""
    with pytest.raises(UrlError, match=r"'team/x'.*ais://bucket/name"):
        AISMapDataset(["team/y"])
    with pytest.raises(UrlError, match="team/x"):
        list(IterableWrapper(["team/y"]).ais_list_files(url=endpoint))
