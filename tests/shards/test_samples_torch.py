"""ZeroDict under torch's default collate and DataLoader."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from torch.utils.data import DataLoader, IterableDataset, default_collate

from aisio.shards.fields import FieldPadder
from aisio.shards.reader import read_samples
from aisio.shards.samples import ZeroDict
from tests.tars import pack


class ShardOfThree(IterableDataset[tuple[str, dict[str, bytes]]]):
    """A shard whose samples differ in their fields."""

    def __iter__(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        stream = io.BytesIO(
            pack(("1.jpg", b"J1"), ("2.cls", b"C2"), ("3.cls", b""), ("3.jpg", b"J3"))
        )
        for sample in FieldPadder().pad(read_samples(stream, url="ais://b/0.tar")):
            yield sample.basename, sample.fields


def test_default_collate_takes_a_batch_of_zero_dicts():
    """AIS-12: samples with different fields collate, field by field."""
    keys = ("cls", "jpg")
    batch = default_collate([ZeroDict({"jpg": b"J1"}, keys), ZeroDict({"cls": b"C2"}, keys)])
    assert batch == {"cls": [b"", b"C2"], "jpg": [b"J1", b""]}


@pytest.mark.parametrize("num_workers", [0, 1])
def test_dataloader_batches_samples_with_different_fields(num_workers: int):
    """AIS-12: the same through a DataLoader, in this process and from a worker."""
    [batch] = DataLoader(ShardOfThree(), batch_size=3, num_workers=num_workers)
    names, fields = batch
    assert list(names) == ["1", "2", "3"]
    assert fields == {"cls": [b"", b"C2", b""], "jpg": [b"J1", b"", b"J3"]}
