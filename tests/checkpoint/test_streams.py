"""Checkpoint: one class for every store; see `tests/acceptance/test_oss_checkpoints.py`."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Checkpoint, Client
from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.checkpoint.streams import CheckpointReader
from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.gateway import Gateway
from aisio.records import UnfinishedUpload
from aisio.stores import DirectStore, LocalStore


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The size is known at once; lines, and what io gives besides, work."""
    checkpoint, url = Checkpoint(), f"file://{tmp_path}/run/a"
    with checkpoint.writer(url) as file:
        file.write(b"one\ntwo\nthree")
    with checkpoint.reader(url) as read:
        assert isinstance(read, CheckpointReader)
        assert (read.size_bytes, read.info.url, read.tell()) == (13, url, 0)
        assert (read.readline(), [*read]) == (b"one\n", [b"two\n", b"three"])
        assert (read.seek(-5, 2), read.peek(1)[:5], read.read(2)) == (8, b"three", b"th")


def test_a_missing_object_is_told_at_once(tmp_path: Path) -> None:
    """By reader, not by the first read."""
    with pytest.raises(NotFoundError, match="missing"):
        Checkpoint().reader(f"file://{tmp_path}/missing")


@pytest.mark.parametrize("url", ["ais://bucket", "ais://bucket/folder/", "no url"])
def test_what_names_no_object_is_refused(url: str) -> None:
    """For reading and for writing."""
    for call in (Checkpoint(endpoint="http://127.0.0.1:1").writer, Checkpoint().reader):
        with pytest.raises(UrlError):
            call(url)


def test_settings_are_checked() -> None:
    """When they are given."""
    with pytest.raises(ConfigError, match="part_bytes=0: expected a whole number"):
        Checkpoint(part_bytes=0)
    with pytest.raises(ConfigError, match="concurrency=-1: expected a whole number"):
        Checkpoint(concurrency=-1)


def test_it_pickles(tmp_path: Path) -> None:
    """A worker may write a checkpoint."""
    checkpoint = pickle.loads(pickle.dumps(Checkpoint(part_bytes=7, concurrency=2)))
    with checkpoint.writer(f"file://{tmp_path}/a") as file:
        file.write(bytes(100))
    with checkpoint.reader(f"file://{tmp_path}/a") as read:
        assert read.read() == bytes(100)


def test_an_empty_checkpoint_is_written_only_where_that_is_said(tmp_path: Path) -> None:
    """And read as an empty file."""
    with pytest.raises(ConfigError, match="nothing was written"):
        Checkpoint().writer(f"file://{tmp_path}/a").close()
    Checkpoint().writer(f"file://{tmp_path}/a", allow_empty=True).close()
    with Checkpoint().reader(f"file://{tmp_path}/a") as file:
        assert (file.size_bytes, file.read()) == (0, b"")


def test_unfinished_writes_are_listed_and_removed(tmp_path: Path) -> None:
    """Unless they go on, which a lock tells, or are so young that they may go on."""
    checkpoint, url = Checkpoint(part_bytes=4), f"file://{tmp_path}/"
    with checkpoint.writer(url + "run/going-on") as file:
        file.write(bytes(100))
        (partial,) = (tmp_path / "run").iterdir()
        left = partial.with_name(f".killed{PARTIAL_SUFFIX}")
        shutil.copy(partial, left)
        os.utime(partial, (1000, 1000))
        (found,) = checkpoint.unfinished(url)
        assert (found.url, Path(found.id)) == (f"{url}run/", left)
        assert checkpoint.remove_unfinished(url) == 0
        os.utime(left, (1000, 1000))
        assert checkpoint.remove_unfinished(url) == 1
        assert list(checkpoint.unfinished(url)) == []
    assert [one.name for one in (tmp_path / "run").iterdir()] == ["going-on"]
    for age in (-1, float("nan"), "1d"):
        with pytest.raises(ConfigError, match="older_than_s=.*: expected a number of seconds"):
            checkpoint.remove_unfinished(url, older_than_s=age)  # type: ignore[arg-type]
    assert checkpoint.remove_unfinished(url, older_than_s=0) == 0
    with pytest.raises(ConfigError, match="is not the temporary file of a write"):
        LocalStore().abort_upload(UnfinishedUpload(url, str(tmp_path / "run")))
    with pytest.raises(ConfigError, match="this store does not list"):
        list(Checkpoint(direct=True).unfinished("s3://bucket/"))
    with pytest.raises(ConfigError, match="this store does not list"):
        DirectStore().abort_upload(found)


def write_and_read(endpoint: str, name: str) -> None:
    """Write a checkpoint of several parts, and read it."""
    checkpoint = Checkpoint(endpoint=endpoint, part_bytes=300_000, concurrency=3)
    with checkpoint.writer(f"ais://b/{name}") as file:
        file.write(bytes(range(250)) * 8000)
    with checkpoint.reader(f"ais://b/{name}") as read:
        assert read.read() == bytes(range(250)) * 8000


def test_oss_25_in_processes(tmp_path: Path) -> None:
    """Also after the parent has written and read."""
    with Gateway(tmp_path) as gateway:
        Client(gateway.endpoint).bucket("b").create()
        write_and_read(gateway.endpoint, "parent")
        for method in ("fork", "spawn", "forkserver"):
            context: Any = multiprocessing.get_context(method)
            child = context.Process(target=write_and_read, args=(gateway.endpoint, method))
            child.start()
            child.join()
            assert child.exitcode == 0
