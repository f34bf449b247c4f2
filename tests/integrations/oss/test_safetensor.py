"""safetensors files by the OSS connector's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.integrations.oss import OssSafetensor
from tests.integrations.oss.conftest import Place

safetensors: Any = pytest.importorskip("safetensors.torch")

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1, 2], dtype=torch.int8)}


def test_oss_29_files_are_those_of_safetensors(place: Place, tmp_path: Path) -> None:
    """It reads ours, and we read its; under either spelling."""
    own = OssSafetensor(place.endpoint, **place.options)
    own.save_file(TENSORS, f"oss://{place.name}/own.safetensors", {"format": "pt"})
    (tmp_path / "own").write_bytes(place.get("own.safetensors"))
    assert_same(safetensors.load_file(tmp_path / "own"))
    place.put("its.safetensors", safetensors.save(TENSORS))
    assert_same(own.load_file(f"/{place.name}/its.safetensors"))
    with own.safe_open(f"oss://{place.name}/own.safetensors") as file:
        assert sorted(file.offset_keys()) == file.keys() == ["a", "b"]
        assert file.metadata() == {"format": "pt"}
        assert_same({name: file.get_tensor(name) for name in file.offset_keys()})


def assert_same(loaded: dict[str, torch.Tensor]) -> None:
    """Check that tensors are those that were saved."""
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], TENSORS[name]) for name in TENSORS)


def test_oss_29_what_cannot_be_saved_or_found_is_told(place: Place) -> None:
    """Nothing is stored then."""
    own = OssSafetensor(place.endpoint, **place.options)
    uri = f"oss://{place.name}/own.safetensors"
    with pytest.raises(ConfigError, match="'a' is not contiguous"):
        own.save_file({"a": torch.zeros(2, 3).t()}, uri)
    with pytest.raises(NotFoundError, match=r"own\.safetensors"):
        own.load_file(uri)


def test_oss_01_arguments_are_refused_in_words() -> None:
    """A ValueError, before any request."""
    own = OssSafetensor("https://oss-cn-test.aliyuncs.com")
    with pytest.raises(ConfigError, match="<OssSafetensor> oss_uri must be non-empty"):
        own.load_file("")
    with pytest.raises(UrlError, match="only oss:// uri are supported"):
        own.safe_open("model.safetensors")
    with pytest.raises(ValueError, match="<OssSafetensor> endpoint must be non-empty"):
        OssSafetensor("")
