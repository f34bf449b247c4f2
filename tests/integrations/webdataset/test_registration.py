"""What is changed in webdataset, here and in its workers."""

from __future__ import annotations

import copy
import io
import pickle
from functools import wraps

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch  # noqa: F401 - webdataset's workers need it
import webdataset as wds
from webdataset import tariterators
from webdataset.gopen import gopen_curl, gopen_pipe, gopen_schemes

from aisio.errors import ConfigError, ShardError
from aisio.freed_memory import keep_freed_memory
from aisio.integrations.webdataset import ObjectStream, open_url
from aisio.integrations.webdataset.registration import SCHEMES, register
from aisio.records import ObjectInfo
from aisio.transport.body import Body
from tests.integrations.webdataset.conftest import SAMPLES, SHARDS
from tests.tars import pack

URLS = "ais://data/train/{0..3}.tar"


def test_urls_of_stores_are_opened_by_aisio_and_others_as_before():
    """Http and its like stay those of curl, and of the shell."""
    assert {"ais", "s3", "gs", "az", "aws", "catalog", "memory"} <= set(SCHEMES)
    assert all(gopen_schemes[scheme] is open_url for scheme in SCHEMES)
    assert gopen_schemes["https"] is gopen_curl
    assert gopen_schemes["pipe"] is gopen_pipe


def test_registering_twice_changes_nothing():
    """A module may be imported again, by another name."""
    before = tariterators.tar_file_iterator
    register()
    assert tariterators.tar_file_iterator is before


def test_a_function_that_another_library_has_wrapped_is_wrapped_too(monkeypatch):
    """Otherwise its tarfile would read aisio's streams, and take a shard that is cut for whole."""

    @wraps(tariterators.tar_file_iterator.__wrapped__)
    def logged(*arguments, **options):
        return iter([{"fname": "of another library"}])

    monkeypatch.setattr(tariterators, "tar_file_iterator", logged)
    register()
    with pytest.raises(ShardError, match="cut"):
        list(tariterators.tar_file_iterator(stream_of(pack(("0.cls", b"7"))[:700])))
    assert list(tariterators.tar_file_iterator(io.BytesIO())) == [{"fname": "of another library"}]
    before = tariterators.tar_file_iterator
    register()
    assert tariterators.tar_file_iterator is before


def stream_of(data):
    """Return a stream as aisio opens it for webdataset."""
    url = "ais://data/0.tar"
    return ObjectStream(Body(io.BytesIO(data), ObjectInfo("ais://data", "0.tar"), len(data)), url)


def test_memory_of_batches_is_kept_when_they_are_freed():
    """For the trainer as well, which opens nothing itself."""
    keep_freed_memory.cache_clear()
    register()
    assert keep_freed_memory.cache_info().currsize == 1


def test_another_webdataset_is_refused(monkeypatch):
    """Rather than read by its tarfile, without a word."""

    def tar_file_iterator(stream, options):
        """Be of another version."""

    monkeypatch.setattr(tariterators, "tar_file_iterator", tar_file_iterator)
    with pytest.raises(ConfigError, match=r"webdataset 1\.0\.2 .*\(stream, options\)"):
        register()


def test_stages_of_a_pipeline_pickle_and_copy():
    """As they do without aisio."""
    dataset = wds.WebDataset(URLS, shardshuffle=False).to_tuple("cls")
    for other in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)):
        assert other.pipeline[0].urls == dataset.pipeline[0].urls
        assert len(other.pipeline) == len(dataset.pipeline)


def test_pickled_stages_name_this_module():
    """So that a spawned worker, which imports it for them, is taught as well."""
    stages = [wds.tarfile_to_samples(), wds.SimpleShardList(URLS), wds.ResampledShards(URLS)]
    assert all(b"aisio.integrations.webdataset" in pickle.dumps(stage) for stage in stages)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_each_shard_once(bucket, method):
    """The whole of a user's pipeline, in batches, decoded."""
    dataset = (
        wds.WebDataset(URLS, shardshuffle=100, seed=3)
        .shuffle(10)
        .decode()
        .to_tuple("__key__", "cls")
        .batched(4)
    )
    next(iter(dataset))  # a parent that has read, with its connections, is forked too
    loader = wds.WebLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=method)
    rows = [row for keys, classes in loader for row in zip(keys, classes.tolist(), strict=True)]
    assert sorted(rows) == [
        (f"s{shard}/{sample:02d}", sample) for shard in range(SHARDS) for sample in range(SAMPLES)
    ]


def test_epochs_of_a_number_of_samples(bucket):
    """with_epoch() begins again where the shards end."""
    dataset = (
        wds.WebDataset(URLS, resampled=True, shardshuffle=False).to_tuple("__key__").with_epoch(50)
    )
    assert len(list(dataset)) == 50
    once = wds.WebDataset(URLS, shardshuffle=False).to_tuple("__key__").with_epoch(30)
    keys = [key for (key,) in once]
    assert keys[24:] == keys[:6]


def test_nodes_read_each_shard_once(bucket, monkeypatch):
    """split_by_node asks the environment, as torchrun sets it."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    keys = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        dataset = wds.WebDataset(URLS, shardshuffle=False, nodesplitter=wds.split_by_node)
        keys += [one["__key__"] for one in dataset]
    assert len(set(keys)) == len(keys) == SHARDS * SAMPLES
