"""What ModelCheckpoint finds out about ais:// URLs; see also `test_checkpoint_io.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import fsspec  # type: ignore[import-untyped]
import lightning  # noqa: F401 - which needs it
import pytest

from aisio import Client, NotFoundError
from aisio.gateway import Gateway
from aisio.integrations.lightning.checkpoint_files import CheckpointFiles, register_files


@pytest.fixture(autouse=True)
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a gateway with a bucket of one object."""
    with Gateway(tmp_path) as gateway:
        monkeypatch.setenv("AIS_ENDPOINT", gateway.endpoint)
        bucket = Client(gateway.endpoint).bucket("b")
        bucket.create()
        bucket.object("run/1=a b.ckpt").put(b"content")
        yield


def test_objects_and_folders_are_found() -> None:
    """Their names may be any."""
    register_files()
    files, path = fsspec.core.url_to_fs("ais://b/run/")
    assert isinstance(files, CheckpointFiles)
    assert path == "ais://b/run"
    assert files.ls(path, detail=False) == ["ais://b/run/1=a b.ckpt"]
    assert files.ls("b/run")[0] == {"name": "ais://b/run/1=a b.ckpt", "size": 7, "type": "file"}
    assert (files.exists("ais://b/run"), files.isdir("ais://b/run/")) == (True, True)
    assert (files.exists("ais://b/run/1=a b.ckpt"), files.isfile("ais://b/run/1=a b.ckpt")) == (
        True,
        True,
    )
    assert not files.exists("ais://b/run/1")
    assert not files.isdir("ais://b/ru")
    with pytest.raises(NotFoundError, match="there is no ais://b/other"):
        files.info("ais://b/other")
