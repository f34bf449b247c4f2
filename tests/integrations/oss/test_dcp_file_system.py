"""Distributed checkpoints by the OSS connector's names."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from aisio.errors import ConfigError
from aisio.integrations.oss import OssDCPFileSystem, OssStorageReader, OssStorageWriter
from tests.integrations.oss.conftest import Place

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is")


@pytest.fixture
def files(place: Place) -> OssDCPFileSystem:
    """Return the files of a bucket, as a process gets them that was started with them."""
    made: OssDCPFileSystem = pickle.loads(
        pickle.dumps(OssDCPFileSystem(place.endpoint, **place.options))
    )
    return made


def state() -> dict[str, Any]:
    """Return what is saved."""
    return {"weight": torch.arange(1000.0), "step": torch.tensor(7)}


def assert_loaded(reader: Any, **options: Any) -> None:
    """Load a checkpoint and check it."""
    loaded = {name: torch.zeros_like(tensor) for name, tensor in state().items()}
    load(loaded, storage_reader=reader, no_dist=True, **options)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state().items())


def test_oss_30_dcp_saves_and_loads(place: Place, files: OssDCPFileSystem) -> None:
    """By its writer and reader, or another URI of the same ones; torch's own reader works too."""
    save(state(), storage_writer=files.writer(f"oss://{place.name}/run/1"), no_dist=True)
    assert_loaded(files.reader(f"/{place.name}/run/1"))
    writer = files.writer(f"oss://{place.name}/none", thread_count=2)
    save(state(), storage_writer=writer, checkpoint_id=f"/{place.name}/run/2", no_dist=True)
    again = files.reader(f"oss://{place.name}/none")
    assert_loaded(again, checkpoint_id=f"oss://{place.name}/run/2/")
    torchs: Any = FileSystemReader("unused")
    torchs.fs, torchs.path = files, files.init_path(f"oss://{place.name}/run/1")
    assert_loaded(torchs)


def test_oss_30_files_are_renamed_found_and_removed(place: Place, files: OssDCPFileSystem) -> None:
    """Under either spelling."""
    path = files.concat_path(f"/{place.name}/run", "a.bin")
    assert path == f"oss://{place.name}/run/a.bin"
    with files.create_stream(path, "wb") as file:
        file.write(b"data")
    files.mkdir(f"/{place.name}/run")
    files.rename(path, f"/{place.name}/run/b.bin")
    assert [files.exists(path), files.exists(f"/{place.name}/run/b.bin")] == [False, True]
    with files.create_stream(f"/{place.name}/run/b.bin", "rb") as file:
        assert file.read() == b"data"
    files.rm_file(f"/{place.name}/run/b.bin")
    assert not files.exists(f"/{place.name}/run/b.bin")
    with pytest.raises(ConfigError, match="'ab'"), files.create_stream(path, "ab"):
        pass


@pytest.mark.parametrize("kind", [OssDCPFileSystem, OssStorageReader, OssStorageWriter])
def test_oss_30_ids_of_checkpoints_are_checked(kind: Any) -> None:
    """URIs of OSS are valid; others are not."""
    for valid in ("oss://bucket/run", "/bucket/run", Path("/bucket/run")):
        assert kind.validate_checkpoint_id(valid)
    for wrong in ("s3://bucket/run", "run", "", "oss://", 7, None):
        assert not kind.validate_checkpoint_id(wrong)


def test_an_endpoint_is_needed() -> None:
    """In the connector's words."""
    with pytest.raises(ValueError, match="<OssDCPFileSystem> endpoint must be non-empty"):
        OssDCPFileSystem("")
