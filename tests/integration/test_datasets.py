"""The datasets on a server, ours beside the official package's."""

from __future__ import annotations

import io
import random
import tarfile
from collections import Counter
from inspect import signature

import pytest
from aistore.pytorch import AISIterDataset as OfficialIterDataset
from aistore.pytorch import AISMapDataset as OfficialMapDataset
from aistore.pytorch import AISShardReader as OfficialShardReader
from aistore.pytorch.batch_iter_dataset import AISBatchIterDataset as OfficialBatchIterDataset
from torch.utils.data import DataLoader

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMapDataset,
    AISShardReader,
    NotFoundError,
    ShardError,
)

NAMES = [f"temp/obj{number}" for number in range(10)]


@pytest.fixture
def filled(bucket):
    """Return a bucket with ten objects."""
    for number, name in enumerate(NAMES):
        bucket.object(name).put(name.encode() * number)
    return bucket


def make_shard(number: int, samples: int) -> bytes:
    """Return a shard of samples with three fields each, the same for the same number."""
    noise = random.Random(number)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for sample in range(samples):
            for extension, size in (("jpg", 5000), ("cls", 1), ("json", 40)):
                member = tarfile.TarInfo(f"{number}/{sample:04d}.{extension}")
                member.size = size
                tar.addfile(member, io.BytesIO(noise.randbytes(size)))
    return buffer.getvalue()


def read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return the payload of a regular file."""
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


@pytest.fixture
def shards(bucket):
    """Return a bucket with three shards of twenty samples under shards/."""
    for number in range(3):
        bucket.object(f"shards/shard_{number}.tar").put(make_shard(number, 20))
    return bucket


def test_map_and_iter_agree_with_the_official_ones(filled, sdk_client):
    """Names, bytes, order and length are upstream's (AIS-05, AIS-06)."""
    theirs = sdk_client.bucket(filled.name)
    official = list(OfficialMapDataset(ais_source_list=[theirs]))
    assert [AISMapDataset([filled])[index] for index in range(10)] == official
    assert (
        list(AISIterDataset([filled]))
        == list(OfficialIterDataset(ais_source_list=[theirs]))
        == official
    )
    assert list(AISIterDataset([theirs])) == official


@pytest.mark.parametrize("streaming", [True, False])
def test_batches_agree_with_the_official_ones(filled, sdk_client, streaming):
    """The same call, the same samples; client and bucket may be theirs."""
    theirs = sdk_client.bucket(filled.name)
    arguments = ([theirs], sdk_client, {theirs: "temp/"}, False, 4, ".tar", streaming)
    official = list(OfficialBatchIterDataset(*arguments))
    assert len(official) == 10
    assert list(AISBatchIterDataset(*arguments)) == official
    assert list(AISBatchIterDataset([filled], max_batch_size=3)) == official


def test_an_object_that_is_gone_when_its_batch_is_read(filled):
    """Listed, then deleted: an error that names it, or less by it."""
    for on_missing in ("raise", "skip"):
        dataset = AISBatchIterDataset(
            [filled.objects([*NAMES, "temp/gone"])], on_missing=on_missing, max_batch_size=4
        )
        if on_missing == "skip":
            assert [name for name, _ in dataset] == NAMES
        else:
            with pytest.raises(NotFoundError, match="temp/gone"):
                list(dataset)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(
    ("cls", "context"),
    [
        (AISIterDataset, "fork"),
        (AISIterDataset, "spawn"),
        (AISBatchIterDataset, "fork"),
        (AISBatchIterDataset, "forkserver"),
    ],
)
def test_workers_of_all_kinds_read_several_at_once(filled, cls, context):
    """After the parent has used its own threads and connections."""
    dataset = cls([filled], concurrency=4)
    assert len(list(dataset)) == 10
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=context)
    assert Counter(name for name, _ in loader) == Counter(NAMES)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("context", ["fork", "forkserver"])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_object_once_under_a_loader(filled, workers, context):
    """AIS-07, AIS-08: no duplicate, no loss, after the parent has read on its own connections."""
    dataset = AISIterDataset([filled])
    assert len(list(dataset)) == 10
    loader = DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=context
    )
    assert Counter(name for name, _ in loader) == Counter(NAMES)


def test_batches_of_a_map_dataset(filled):
    """The default collate takes names and bytes."""
    batches = list(DataLoader(AISMapDataset([filled]), batch_size=4, num_workers=2))
    assert [len(names) for names, _ in batches] == [4, 4, 2]
    assert [data for _, batch in batches for data in batch] == [
        name.encode() * n for n, name in enumerate(NAMES)
    ]


def test_shard_reader_by_prefix_map(shards):
    """One shard of a bucket, by its full name as a prefix, as the official test has it (AIS-11)."""
    reader = AISShardReader(bucket_list=[shards], prefix_map={shards: "shards/shard_1.tar"})
    with tarfile.open(fileobj=io.BytesIO(make_shard(1, 20))) as tar:
        expected = {member.name: read_member(tar, member) for member in tar}
    got = {
        f"1/{basename}.{key}": data
        for basename, fields in iter(reader)
        for key, data in fields.items()
    }
    assert got == expected
    assert reader.count() == 20


@pytest.mark.parametrize("workers", [0, 2])
def test_shard_reader_under_a_loader(shards, workers):
    """Every sample once, collated by default, from workers (AIS-12)."""
    reader = AISShardReader(shards.objects(template="shards/shard_{0..2}.tar"), full_key=False)
    batches = list(DataLoader(reader, batch_size=7, num_workers=workers))
    assert Counter(name for names, _ in batches for name in names) == Counter(
        {f"{sample:04d}": 3 for sample in range(20)}
    )
    assert all(list(fields) == ["cls", "jpg", "json"] for _, fields in batches)


def test_a_cut_shard_on_a_server(shards):
    """AIS-14: a shard that was stored cut is an error, though its checksum is right."""
    shards.object("shards/shard_1.tar").put(make_shard(1, 20)[:51_200])
    reader = AISShardReader(
        "/".join([str(shards.url), "shards/"]), client=shards.client, full_key=False
    )
    with pytest.raises(
        ShardError, match=r"<AISShardReader> ais://.*/shards/shard_1\.tar"
    ) as caught:
        list(iter(reader))
    assert caught.value.offset is not None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (AISMapDataset, OfficialMapDataset),
        (AISIterDataset, OfficialIterDataset),
        (AISShardReader, OfficialShardReader),
        (AISBatchIterDataset, OfficialBatchIterDataset),
    ],
)
def test_arguments_have_the_official_names_and_places(ours, theirs):
    """Moving is a changed import."""
    official = [name for name in signature(theirs).parameters if name != "cont_on_err"]
    parameters = signature(ours).parameters
    positional = [name for name, one in parameters.items() if one.kind is not one.KEYWORD_ONLY]
    assert positional[: len(official)] == official
