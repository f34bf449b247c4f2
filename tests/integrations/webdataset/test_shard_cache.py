"""webdataset's cache of shards, filled by aisio."""

from __future__ import annotations

import pickle

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch  # noqa: F401 - webdataset's workers need it
import webdataset as wds
from webdataset.cache import FileCache, url_to_cache_name

from aisio.errors import NotFoundError, ShardError
from aisio.integrations.webdataset.shard_cache import cache_name
from tests.integrations.webdataset.conftest import SAMPLES, shard
from tests.tars import hard_link, pack


def keys(urls, folder, **options):
    """Return the keys of a pipeline with a cache, after pickling."""
    dataset = wds.WebDataset(urls, shardshuffle=False, cache_dir=str(folder), **options)
    return [sample["__key__"] for sample in pickle.loads(pickle.dumps(dataset))]


def test_shards_of_two_folders_are_two_files(bucket, tmp_path):
    """However they are named."""
    bucket.object("cached/a/0.tar").put(shard(0))
    bucket.object("cached/b/0.tar").put(shard(1))
    for _ in range(2):
        found = keys(["ais://data/cached/a/0.tar", "ais://data/cached/b/0.tar"], tmp_path)
        assert [key.partition("/")[0] for key in found] == ["s0"] * SAMPLES + ["s1"] * SAMPLES
    assert len(list(tmp_path.iterdir())) == 2


def test_an_object_that_was_replaced_is_another_file(bucket, tmp_path):
    """The cache does not keep what the store no longer has."""
    for number in (2, 3):
        bucket.object("cached/new.tar").put(shard(number))
        assert keys(["ais://data/cached/new.tar"], tmp_path)[0].startswith(f"s{number}/")


def test_a_shard_that_was_stored_cut_is_an_error(bucket, tmp_path):
    """Also when it comes from the cache, which has the bytes that the store has."""
    bucket.object("cached/cut.tar").put(shard(0)[: 3 * 1024])
    for _ in range(2):
        with pytest.raises(ShardError, match=r"ais://data/cached/cut\.tar"):
            keys(["ais://data/cached/cut.tar"], tmp_path)
    found = keys(["ais://data/cached/cut.tar"], tmp_path, handler=wds.ignore_and_continue)
    assert len(found) < SAMPLES


def test_a_hard_link_is_read_as_its_file(bucket, tmp_path):
    """As without a cache, out of the file in it."""
    data = pack(("0.cls", b"7"))[:1024] + hard_link("1.cls", "0.cls") + pack()
    bucket.object("cached/links.tar").put(data)
    urls = ["ais://data/cached/links.tar"]
    for options in ({}, {"cache_dir": str(tmp_path)}, {"cache_dir": str(tmp_path)}):
        dataset = wds.WebDataset(urls, shardshuffle=False, **options)
        assert [sample["cls"] for sample in dataset] == [b"7"] * 2


def test_other_urls_are_named_and_read_as_before(tmp_path):
    """Http and its like are webdataset's."""
    (tmp_path / "0.tar").write_bytes(shard(0))
    cache = FileCache(cache_dir=str(tmp_path))
    assert cache.url_to_name("https://host/a/0.tar") == url_to_cache_name("https://host/a/0.tar")
    (opened,) = cache([f"file:{tmp_path}/0.tar"])
    with opened["stream"] as stream:
        assert stream.name == f"{tmp_path}/0.tar"


def test_a_name_fits_into_a_folder(bucket, catalog):
    """It has no "/", and says which shard it is of."""
    name = cache_name(f"catalog://{catalog}/0.tar")
    assert name.endswith("-0.tar")
    with pytest.raises(NotFoundError):
        cache_name(f"catalog://{catalog}/none.tar")
