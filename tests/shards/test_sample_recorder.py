"""SampleRecorder: the index of a shard while it is written."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.shards.index_build import build_shard_index
from aisio.shards.sample_recorder import SampleRecorder
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl

LONG = "folder/" * 40 + "name"
SAMPLES = {"a": {"x": b"", "y": b"1" * 5000}, "b": {"x": b"2"}, LONG: {"x": b"3" * 512}}


@pytest.mark.parametrize("keys", [list(SAMPLES), ["a"]])
def test_the_index_is_that_of_reading_the_shard(tmp_path: Path, keys: list[str]) -> None:
    """Byte for byte."""
    recorder, archive = SampleRecorder(), b""
    for key in keys:
        recorder.begin(key)
        for extension, data in SAMPLES[key].items():
            for part in (header(f"{key}.{extension}", len(data)), data, padding(len(data))):
                recorder.update(part)
                archive += part
    (tmp_path / "a.tar").write_bytes(archive + END_OF_ARCHIVE)
    store, url = LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/a.tar")
    read = build_shard_index(partial(store.get, url), store.head(url))
    assert (recorder.samples, recorder.keys) == (len(keys), keys)
    for _ in range(2):
        written = recorder.finish(str(url), read.shard(0).pin)
        assert written.to_bytes() == read.to_bytes()
