"""Class folders packed and read, and samples written, on a server."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the datasets need it
from click.testing import CliRunner

from aisio import AISShardDataset, AISShardReader, Bucket, ShardWriter
from aisio.cli import main


@pytest.fixture(autouse=True)
def _cache(monkeypatch: Any, tmp_path: Any) -> None:
    """Leave the user's cache alone."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))


def test_class_folders_are_packed_and_read(bucket: Bucket, endpoint: str, tmp_path: Path) -> None:
    """The index fits what the server lists, and a second run sends nothing."""
    for number in range(30):
        path = tmp_path / "in" / "abc"[number % 3] / f"{number:02d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * (number * 1000))
    words = ["--labels-from-folder", "--samples", "4", "--split", "train=0.8,val=0.2"]
    command = ["-e", endpoint, "pack", str(tmp_path / "in"), f"{bucket.url}/pets", *words]
    for stored in ("8 shards,", "8 shards (8 stored before),"):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        assert stored in done.stderr
    train, val = (
        AISShardDataset(f"{bucket.url}/pets/{split}/", client=bucket.client, full_key=True)
        for split in ("train", "val")
    )
    assert (len(train), len(val)) == (24, 6)
    assert Counter(val[number][1]["cls"] for number in range(6)) == {b"0": 2, b"1": 2, b"2": 2}
    for key, fields in (part[number] for part in (train, val) for number in range(len(part))):
        assert fields["cls"] == b"%d" % "abc".index(key[0])
        assert fields["bin"] == bytes([int(key[2:])]) * (int(key[2:]) * 1000)


def test_samples_are_written_by_two_ranks(bucket: Bucket) -> None:
    """The joined index fits what the server lists."""
    url = f"{bucket.url}/written/"
    for rank in range(2):
        with ShardWriter(url, rank=rank, samples_per_shard=3, client=bucket.client) as writer:
            for number in range(5):
                writer.write({"__key__": f"{rank}{number}", "cls": number})
    ShardWriter.combine(url, ranks=2, client=bucket.client)
    assert len(AISShardDataset(url, client=bucket.client)) == 10
    names = [name for name, _ in AISShardReader(url, client=bucket.client)]
    assert names == [f"{rank}{number}" for rank in range(2) for number in range(5)]
