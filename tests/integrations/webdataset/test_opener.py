"""What webdataset opens by aisio, to read and to write."""

from __future__ import annotations

import contextlib
import gc
import io
import warnings

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import webdataset as wds

from aisio.errors import ConfigError, IntegrityError, NotFoundError, UrlError
from aisio.integrations.webdataset import ObjectStream, open_url, shard_urls
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy, Misroute
from tests.integrations.webdataset.conftest import shard


def test_an_object_is_a_binary_file(bucket):
    """Of any kind: gopen is for more than shards."""
    bucket.object("labels?v=1#a{b}.txt").put(b"one\ntwo\n")
    with wds.gopen("ais://data/labels?v=1#a{b}.txt") as file:
        assert isinstance(file, ObjectStream)
        assert isinstance(file, io.BufferedReader)
        assert file.readline() == b"one\n"
        assert file.read() == b"two\n"
        assert repr(file) == "<ObjectStream of ais://data/labels?v=1#a{b}.txt>"


def test_a_shard_of_a_catalogs_source_is_read_as_its_entry_says(catalog):
    """The environment names no cluster here."""
    with wds.gopen(f"catalog://{catalog}/1.tar") as file:
        assert file.read() == shard(1)


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        ("ais://data/nothing.tar", NotFoundError, "nothing.tar"),
        ("ais://data/train/", UrlError, "names no object"),
        ("ais://data", UrlError, "names no object"),
        ("memory://", UrlError, "no bucket"),
    ],
)
def test_what_cannot_be_opened_is_an_error_at_once(bucket, url, error, told):
    """Not at the first read, which webdataset would take for a bad shard."""
    with pytest.raises(error, match=told):
        wds.gopen(url)


def test_a_cut_is_continued_and_a_flipped_byte_is_an_error(bucket, monkeypatch):
    """As everywhere in aisio."""
    with FaultProxy(bucket.client.endpoint) as proxy:
        monkeypatch.setenv("AIS_ENDPOINT", proxy.endpoint)
        proxy.add(Cut(after_bytes=3000), method="GET", path="/v1/objects/data/train/0.tar")
        assert open_url("ais://data/train/0.tar").read() == shard(0)
        proxy.add(Corrupt(at_byte=3000), method="GET", path="/v1/objects/data/train/1.tar")
        with pytest.raises(IntegrityError, match="wrong xxhash2 checksum"):
            open_url("ais://data/train/1.tar").read()


def test_the_response_of_another_request_is_an_error(bucket, monkeypatch):
    """The sound shard of another object would be other samples."""
    bucket.object("other.tar").put(shard(1, samples=3))
    other = "/v1/objects/data/other.tar?provider=ais"
    with FaultProxy(bucket.client.endpoint) as proxy:
        monkeypatch.setenv("AIS_ENDPOINT", proxy.endpoint)
        proxy.add(Misroute(other), method="GET", path="/v1/objects/data/train/0.tar")
        with pytest.raises(IntegrityError):
            open_url("ais://data/train/0.tar")


def test_what_is_written_is_stored_when_it_is_closed(bucket):
    """By webdataset's writer, with all its shards."""
    with wds.ShardWriter("ais://data/written/%02d.tar", maxcount=2, verbose=0) as writer:
        for number in range(3):
            writer.write({"__key__": f"a/{number}", "txt": str(number)})
    dataset = wds.WebDataset(shard_urls("ais://data/written/"), shardshuffle=False)
    assert [(one["__key__"], one["txt"]) for one in dataset] == [
        ("a/0", b"0"),
        ("a/1", b"1"),
        ("a/2", b"2"),
    ]


def test_what_is_not_closed_is_not_stored(bucket):
    """Whether by an error, or because the writer is gone."""
    with contextlib.suppress(LookupError), open_url("ais://data/half.tar", "wb") as file:
        file.write(b"half")
        raise LookupError
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the writer
        left = open_url("ais://data/half.tar", "wb")
        left.write(b"half")
        del left
        gc.collect()
    with pytest.raises(NotFoundError):
        bucket.object("half.tar").head()


def test_other_modes_and_names_are_not_written(bucket, catalog):
    """They are misunderstandings."""
    with pytest.raises(ConfigError, match="'rb' or 'wb'"):
        open_url("ais://data/x", "ab")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="by its own URL"):
        open_url(f"catalog://{catalog}/x.tar", "wb")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cached_shard_is_whole(bucket, tmp_path):
    """Webdataset's own cache: what breaks off is not kept."""
    urls = ["ais://data/train/0.tar"]
    dataset = wds.WebDataset(urls, shardshuffle=False, cache_dir=str(tmp_path))
    assert len(list(dataset)) == 6
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == shard(0)
