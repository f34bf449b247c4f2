"""Checkpoints by the OSS connector's names."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.integrations.oss import OssCheckpoint
from tests.integrations.oss.conftest import Place

MIB = 1 << 20


def checkpoint_of(place: Place, **options: str) -> OssCheckpoint:
    """Return what reads and writes a bucket."""
    return OssCheckpoint(place.endpoint, **place.options, **options)


def test_oss_25_torch_saves_and_loads(place: Place) -> None:
    """Under either spelling; the object pickles to a worker."""
    checkpoint = pickle.loads(pickle.dumps(checkpoint_of(place)))
    state: dict[str, Any] = {"weight": torch.arange(1000.0), "step": 7}
    with checkpoint.writer(f"oss://{place.name}/run/1.pt") as file:
        torch.save(state, file)
    with checkpoint.reader(f"/{place.name}/run/1.pt") as file:
        loaded = torch.load(file)
    assert torch.equal(loaded["weight"], state["weight"])
    assert loaded["step"] == 7


def test_oss_27_a_reader_has_the_connectors_attributes(place: Place) -> None:
    """Size and key are known at once; a missing key is told then."""
    place.put("a.bin", b"one\ntwo\n")
    checkpoint = checkpoint_of(place)
    with checkpoint.reader(f"oss://{place.name}/a.bin") as file:
        assert (file.key, file.size, file.label) == (f"/{place.name}/a.bin", 8, "")
        assert (file.readline(), file.read(-1), file.tell()) == (b"one\n", b"two\n", 8)
        assert (file.seek(-3, 2), file.read(2)) == (5, b"wo")
    with pytest.raises(NotFoundError, match="none.bin"):
        checkpoint.reader(f"oss://{place.name}/none.bin")


def test_oss_26_a_writer_is_atomic(place: Place) -> None:
    """What fails leaves the old object; nothing written is an error, unless that is said."""
    place.put("a.bin", b"old")
    checkpoint = checkpoint_of(place)
    uri = f"oss://{place.name}/a.bin"
    with pytest.raises(ZeroDivisionError), checkpoint.writer(uri) as file:
        file.write(b"%d" % (1 // (file.write(b"new") - 3)))
    with pytest.raises(ConfigError, match="nothing was written"), checkpoint.writer(uri):
        pass
    assert place.get("a.bin") == b"old"
    with checkpoint.writer(uri, allow_empty=True):
        pass
    assert place.get("a.bin") == b""


def test_oss_33_the_file_says_how_large_requests_are(place: Place, tmp_path: Path) -> None:
    """In MiB; parts go up by one request each, ranges come so."""
    (tmp_path / "config.json").write_text(
        '{"checkpointConfig": {"uploadIoSizeMB": 5, "prefetchIoSizeMB": 1}}', "utf-8"
    )
    checkpoint = checkpoint_of(place, config_path=f"{tmp_path}/config.json")
    data = bytes(range(256)) * (6 * MIB // 256)
    with checkpoint.writer(f"oss://{place.name}/large.bin") as file:
        file.write(data)
    parts = [one for one in place.log() if "partNumber" in one.query]
    assert len(parts) == 2
    with checkpoint.reader(f"oss://{place.name}/large.bin") as file:
        assert file.read() == data
    assert len([one for one in place.log() if one.method == "GET"]) == 6


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("", "oss_uri must be non-empty"),
        ("s3://bucket/key", "only oss:// uri are supported"),
        ("oss://", "Bucket name must be non-empty"),
        ("oss://bucket", "names no object"),
    ],
)
def test_oss_01_arguments_are_refused_in_words(uri: str, text: str) -> None:
    """A ValueError, before any request."""
    checkpoint = OssCheckpoint("https://oss-cn-test.aliyuncs.com")
    for opened in (checkpoint.reader, checkpoint.writer):
        with pytest.raises((ConfigError, UrlError), match=f"<OssCheckpoint>.*{text}|{text}"):
            opened(uri)
    with pytest.raises(ValueError, match="<OssCheckpoint> endpoint must be non-empty"):
        OssCheckpoint("")
