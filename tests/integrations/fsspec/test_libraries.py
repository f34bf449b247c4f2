"""What libraries that take paths by fsspec do with `ais://`.

The largest of them are imported by their tests: every pytest process imports this file, and each
process that it forks has all that it imported.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from fsspec.generic import rsync

from aisio import Bucket

TABLE = pd.DataFrame({"number": range(1000), "name": [f"row {number}" for number in range(1000)]})


@pytest.fixture(autouse=True)
def endpoint(bucket: Bucket, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the cluster in the environment, as most users do."""
    monkeypatch.setenv("AIS_ENDPOINT", cluster)


def test_pandas() -> None:
    """CSV, with and without compression, and parquet."""
    for name in ("t.csv", "t.csv.gz"):
        TABLE.to_csv(f"ais://data/{name}", index=False)
        pd.testing.assert_frame_equal(pd.read_csv(f"ais://data/{name}"), TABLE)
    TABLE.to_parquet("ais://data/t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet("ais://data/t.parquet"), TABLE)
    columns = pd.read_parquet("ais://data/t.parquet", columns=["number"])
    assert list(columns) == ["number"]


def test_pandas_with_options(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster is named by the call."""
    monkeypatch.delenv("AIS_ENDPOINT")
    options = {"endpoint": cluster}
    TABLE.to_csv("ais://data/t.csv", index=False, storage_options=options)
    found = pd.read_csv("ais://data/t.csv", storage_options=options)
    pd.testing.assert_frame_equal(found, TABLE)


def test_pyarrow() -> None:
    """A data set of several files in folders."""
    fs, _ = fsspec.url_to_fs("ais://data")
    table = pa.Table.from_pandas(TABLE.assign(part=TABLE.number % 3))
    pyarrow.parquet.write_to_dataset(table, "data/set", partition_cols=["part"], filesystem=fs)
    assert len(fs.find("data/set")) == 3
    found = pyarrow.parquet.read_table("data/set", filesystem=fs, filters=[("part", "=", 1)])
    assert sorted(found["number"].to_pylist()) == list(range(1, 1000, 3))


def test_parquet_by_parts() -> None:
    """fsspec.parquet fetches the columns that are asked for."""
    from fsspec.parquet import open_parquet_file

    TABLE.to_parquet("ais://data/t.parquet")
    with open_parquet_file("ais://data/t.parquet", columns=["number"], engine="pyarrow") as file:
        found = pd.read_parquet(file, columns=["number"])
    assert found.number.tolist() == list(range(1000))


def test_polars() -> None:
    """Files that fsspec opens: polars itself knows only some clouds."""
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(TABLE)
    with fsspec.open("ais://data/t.parquet", "wb") as file:
        frame.write_parquet(file)
    with fsspec.open("ais://data/t.parquet") as file:
        assert polars.read_parquet(file).equals(frame)


def test_zarr() -> None:
    """Arrays in chunks, written and read."""
    zarr = pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
    data = np.arange(10_000, dtype="int32").reshape(100, 100)
    array = zarr.create_array(
        "ais://data/array.zarr", shape=data.shape, dtype=data.dtype, chunks=(10, 100)
    )
    array[:] = data
    found = zarr.open_array("ais://data/array.zarr", mode="r")
    assert np.array_equal(found[25:35, 40], data[25:35, 40])


def test_dask() -> None:
    """Many files as one table."""
    dataframe = pytest.importorskip("dask.dataframe")
    for number in range(3):
        TABLE.iloc[number::3].to_csv(f"ais://data/parts/{number}.csv", index=False)
    found = dataframe.read_csv("ais://data/parts/*.csv").compute(scheduler="threads")
    assert sorted(found.number) == list(range(1000))


def test_datasets(tmp_path: Any) -> None:
    """Hugging Face's, streamed and downloaded."""
    datasets = pytest.importorskip("datasets")
    for number in range(3):
        TABLE.iloc[number::3].to_parquet(f"ais://data/parts/{number}.parquet")
    urls = "ais://data/parts/*.parquet"
    streamed = datasets.load_dataset("parquet", data_files=urls, split="train", streaming=True)
    assert sorted(row["number"] for row in streamed) == list(range(1000))
    whole = datasets.load_dataset(
        "parquet", data_files=urls, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert sorted(whole["number"]) == list(range(1000))


def test_datasets_sees_that_a_file_was_replaced(tmp_path: Any) -> None:
    """If it is asked to look: it keeps what it downloaded, by URL and etag."""
    datasets = pytest.importorskip("datasets")
    looks = datasets.DownloadConfig(cache_dir=str(tmp_path / "files"), use_etag=True)
    for first in (0, 1000):
        pd.DataFrame({"number": [first]}).to_parquet("ais://data/t.parquet")
        found = datasets.load_dataset(
            "parquet",
            data_files="ais://data/t.parquet",
            split="train",
            cache_dir=str(tmp_path),
            download_config=looks,
        )
        assert found["number"][:] == [first]


def test_datasets_on_disk() -> None:
    """Hugging Face's, saved and loaded."""
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"number": [1, 2, 3]}).save_to_disk("ais://data/saved")
    assert datasets.load_from_disk("ais://data/saved")["number"][:] == [1, 2, 3]


def test_fsspecs_own(bucket: Bucket, tmp_path: Any) -> None:
    """Caches, folders, references to ranges, archives, mappings and rsync."""
    bucket.object("d/a").put(b"0123456789")
    with fsspec.open("simplecache::ais://data/d/a") as file:
        assert file.read() == b"0123456789"
    assert fsspec.filesystem("dir", path="data/d", target_protocol="ais").find("") == ["a"]
    references = {"x": ["ais://data/d/a", 2, 3], "y": ["ais://data/d/a", 7, 2]}
    found = fsspec.filesystem("reference", fo=references, remote_protocol="ais").cat(["x", "y"])
    assert found == {"x": b"234", "y": b"78"}
    with fsspec.open("ais://data/z.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside", b"1")
    with fsspec.open("zip://inside::ais://data/z.zip") as file:
        assert file.read() == b"1"
    mapping = fsspec.get_mapper("ais://data/d")
    mapping["b/c"] = b"2"
    assert dict(mapping) == {"a": b"0123456789", "b/c": b"2"}
    rsync("ais://data/d", f"file://{tmp_path}/copy")
    assert (tmp_path / "copy" / "b" / "c").read_bytes() == b"2"


@pytest.mark.filterwarnings("ignore:torch.distributed is", "ignore:fsync not supported")
def test_torch() -> None:
    """Files, and distributed checkpoints by torch's own writer."""
    try:
        from torch.distributed.checkpoint.fsspec_filesystem import FsspecReader, FsspecWriter
    except ModuleNotFoundError:  # before torch 2.15
        from torch.distributed.checkpoint._fsspec_filesystem import FsspecReader, FsspecWriter
    from torch.distributed.checkpoint.state_dict_loader import load
    from torch.distributed.checkpoint.state_dict_saver import save

    state = {"weight": torch.arange(1000.0)}
    with fsspec.open("ais://data/a.pt", "wb") as file:
        torch.save(state, file)
    with fsspec.open("ais://data/a.pt") as file:
        assert torch.equal(torch.load(io.BytesIO(file.read()))["weight"], state["weight"])
    save(state, storage_writer=FsspecWriter("ais://data/checkpoint"), no_dist=True)
    found = {"weight": torch.zeros(1000)}
    load(found, storage_reader=FsspecReader("ais://data/checkpoint"), no_dist=True)
    assert torch.equal(found["weight"], state["weight"])
