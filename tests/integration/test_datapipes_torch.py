"""The datapipes on a server, as users of the official package chained them."""

from __future__ import annotations

from collections import Counter

import pytest
import torch  # noqa: F401 - this file is for environments that have it
from torch.utils.data import DataLoader
from torch.utils.data.datapipes.iter import IterableWrapper

import aisio.datapipes  # noqa: F401 - registers the functional names
from aisio.errors import NotFoundError

NAMES = sorted(
    [f"temp/obj{number}" for number in range(10)] + [f"obj{number}" for number in range(10)]
)


@pytest.fixture
def filled(bucket):
    """Return a bucket with ten objects at its root and ten under temp/."""
    for name in NAMES:
        bucket.object(name).put(name.encode())
    return bucket


def read(pair):
    """Return the URL and the bytes of a loaded object."""
    url, stream = pair
    return url, stream.read()


@pytest.mark.parametrize("prefixes", [[""], ["/"], ["/temp/", "/obj"]])
def test_three_spellings_give_the_same_twenty(endpoint, filled, prefixes):
    """`ais://b`, `ais://b/` and `[ais://b/temp/, ais://b/obj]` each list all objects (AIS-19)."""
    urls = IterableWrapper([f"{filled.url}{prefix}" for prefix in prefixes]).ais_list_files(
        url=endpoint
    )
    assert sorted(urls) == [f"{filled.url}/{name}" for name in NAMES]
    assert len(list(urls)) == 20


def test_lister_then_loader(endpoint, filled):
    """What the lister lists, the loader reads, byte for byte, again and again (AIS-20)."""
    urls = IterableWrapper([str(filled.url)]).ais_list_files(url=endpoint)
    for _ in range(2):
        got = dict(map(read, urls.ais_load_files(url=endpoint)))
        assert got == {f"{filled.url}/{name}": name.encode() for name in NAMES}


def test_a_missing_bucket_says_so(endpoint):
    """AIS-21: 404 at iteration."""
    with pytest.raises(NotFoundError, match="aisio-no-such-bucket"):
        list(IterableWrapper(["ais://aisio-no-such-bucket"]).ais_list_files(url=endpoint))


def test_source_lister_takes_ours_and_theirs(endpoint, filled, sdk_client):
    """AIS-04, AIS-20: buckets and groups of both packages, groups honour the prefix."""
    theirs = sdk_client.bucket(filled.name)
    sources = [
        filled,
        filled.objects(["temp/obj1", "obj1"]),
        theirs,
        theirs.objects(obj_names=["temp/obj2", "x"]),
    ]
    urls = IterableWrapper(sources).ais_list_sources(prefix="temp/")
    assert Counter(url.rpartition("/")[2] for url in urls)["obj1"] == 3
    assert len(list(urls)) == 22
    assert len([stream.read() for _, stream in urls.ais_load_files(url=endpoint)]) == 22


def test_http_urls_load_too(endpoint, filled, sdk_client):
    """The official package lists http URLs; the loader opens them."""
    urls = list(sdk_client.bucket(filled.name).list_urls(prefix="temp/"))
    got = sorted(stream.read() for _, stream in IterableWrapper(urls).ais_load_files(url=endpoint))
    assert got == [name.encode() for name in NAMES if name.startswith("temp/")]


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(
    ("workers", "context"),
    [(0, None), (1, "fork"), (2, "fork"), (3, "fork"), (1, "forkserver"), (2, "forkserver")],
)
def test_workers_load_every_object_once(endpoint, filled, workers, context):
    """Torch's own pipes around ours, in workers of both kinds, after the parent has read."""
    urls = IterableWrapper([str(filled.url)]).ais_list_files(url=endpoint)
    assert len(list(urls)) == 20
    pipe = urls.shuffle().sharding_filter().ais_load_files(url=endpoint).map(read).batch(3)
    loader = DataLoader(pipe, batch_size=None, num_workers=workers, multiprocessing_context=context)
    got = Counter(tuple(item) for batch in loader for item in batch)
    assert got == Counter((f"{filled.url}/{name}", name.encode()) for name in NAMES)
