"""Other readers of the shards that aisio writes: webdataset, and aisio's own datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset as wds
from PIL import Image

import aisio

# webdataset leaves the files open that it has read.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PIXELS = np.arange(8 * 8 * 3, dtype="uint8").reshape(8, 8, 3)
SAMPLES = 7


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of three shards that a ShardWriter wrote."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    with aisio.ShardWriter(f"file://{tmp_path}/out", samples_per_shard=3) as writer:
        for number in range(SAMPLES):
            writer.write(
                {
                    "__key__": f"cat/{number:03d}",
                    "png": Image.fromarray(PIXELS),
                    "cls": number,
                    "txt": f"number {number}",
                    "json": {"number": number},
                    "npy": np.full(2, number),
                    "pth": torch.tensor([number]),
                    "seg.png": PIXELS[:, :, 0],
                }
            )
    return tmp_path / "out"


def test_webdataset_decodes_them(out: Path) -> None:
    """Its own decoders, for all that is encoded; the order is that of writing."""
    urls = sorted(map(str, out.glob("*.tar")))
    dataset = wds.WebDataset(urls, shardshuffle=False).decode("rgb8", handler=wds.reraise_exception)
    samples = list(dataset)
    assert [sample["__key__"] for sample in samples] == [f"cat/{n:03d}" for n in range(SAMPLES)]
    for number, sample in enumerate(samples):
        assert np.array_equal(sample["png"], PIXELS)
        assert sample["seg.png"].shape == (8, 8, 3)
        assert (sample["cls"], sample["txt"]) == (number, f"number {number}")
        assert sample["json"] == {"number": number}
        assert np.array_equal(sample["npy"], [number, number])


def test_webdataset_writes_the_same_members(out: Path, tmp_path: Path) -> None:
    """What webdataset has decoded and written again is read as the same samples."""
    url = str(out / "shard-000000.tar")
    raw = list(wds.WebDataset(url, shardshuffle=False))
    with wds.TarWriter(str(tmp_path / "theirs.tar")) as theirs:
        for sample in raw:
            theirs.write(
                {k: v for k, v in sample.items() if k not in ("__url__", "__local_path__")}
            )
    ours, again = (
        [(key, dict(fields)) for key, fields in aisio.AISShardReader(f"file://{path}")]
        for path in (url, tmp_path / "theirs.tar")
    )
    assert ours == again


def test_our_datasets_find_the_index(out: Path) -> None:
    """Without reading a shard first."""
    dataset = aisio.AISShardDataset(f"file://{out}/", full_key=True)
    assert len(dataset) == SAMPLES
    key, fields = dataset[5]
    assert (key, fields["cls"]) == ("cat/005", b"5")
    reader = aisio.AISShardReader(f"file://{out}/")
    assert reader.count() == SAMPLES
