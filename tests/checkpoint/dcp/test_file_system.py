"""FileSystem: what torch's own classes do with it; see also `tests/acceptance/test_oss_dcp.py`."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest
import torch  # noqa: F401 - the package needs it

from aisio.checkpoint import FileSystem
from aisio.errors import ConfigError, NotFoundError, UrlError
from tests.checkpoint.dcp.states import check, dcp, equal, load, save, state, zeros


def test_torchs_classes_write_and_read_by_it(tmp_path: Path) -> None:
    """And ours read what they have written."""
    url = f"file://{tmp_path}/run"
    files = pickle.loads(pickle.dumps(FileSystem(part_bytes=100_000, concurrency=2)))
    writer = dcp.FileSystemWriter(url, sync_files=False, single_file_per_rank=False)
    writer.fs = files
    writer.path = files.init_path(url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(state(1), writer)
    reader = dcp.FileSystemReader(url)
    reader.fs = files
    reader.path = files.init_path(url)
    assert equal(load(zeros(state(1)), reader), state(1))
    check(url, 1)


def test_files_by_their_urls(tmp_path: Path) -> None:
    """A write that fails stores nothing."""
    files, url = FileSystem(), f"file://{tmp_path}/run"
    name = files.concat_path(f"{url}/", "a")
    assert name == f"{url}/a"
    files.mkdir(url)
    assert not files.exists(name)
    with files.create_stream(name, "wb") as file:
        file.write(b"content")
    assert files.exists(name)
    with pytest.raises(TypeError), files.create_stream(name, "wb") as file:
        file.write("no bytes")
    files.rename(name, f"{url}/b/c")
    files.rename(f"{url}/b/c", f"{url}/b/c")
    assert not files.exists(name)
    with files.create_stream(tmp_path / "run" / "b" / "c", "rb") as file:
        assert file.read() == b"content"
    files.rm_file(f"{url}/b/c")
    assert not files.exists(f"{url}/b/c")


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    """By the usual errors."""
    files, url = FileSystem(), f"file://{tmp_path}/run/a"
    for call in (files.rm_file, lambda url: files.rename(url, f"{url}2")):
        with pytest.raises(NotFoundError):
            call(url)
    with pytest.raises(NotFoundError), files.create_stream(url, "rb"):
        pass
    with pytest.raises(ConfigError, match="mode='ab'"), files.create_stream(url, "ab"):
        pass
    with pytest.raises(UrlError):
        files.init_path("run/1")
    assert FileSystem.validate_checkpoint_id(url)
    assert not FileSystem.validate_checkpoint_id("run/1")
