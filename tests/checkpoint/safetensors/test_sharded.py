"""load_sharded, load_model: files with an index, compared with it before tensors are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio.checkpoint.safetensors import load_model, load_sharded, save_file
from aisio.errors import CheckpointError, NotFoundError
from tests.checkpoint.safetensors.stored import same

FILES: Mapping[str, Mapping[str, torch.Tensor]] = {
    "model-00001-of-00002.safetensors": {"weight": torch.arange(6.0).reshape(2, 3)},
    "model-00002-of-00002.safetensors": {"bias": torch.ones(2)},
}
MAP = {name: file for file, tensors in FILES.items() for name in tensors}


def write(
    folder: Path, weight_map: Any = MAP, files: Mapping[str, Mapping[str, torch.Tensor]] = FILES
) -> str:
    """Write a model; return the URL of its index."""
    for name, tensors in files.items():
        save_file(tensors, f"file://{folder}/{name}")
    index = folder / "model.safetensors.index.json"
    text = weight_map if isinstance(weight_map, str) else json.dumps({"weight_map": weight_map})
    index.write_text(text)
    return f"file://{index}"


def test_a_model_is_loaded_by_its_index_or_its_folder(tmp_path: Path) -> None:
    """All tensors of all files; `model.safetensors` alone is a model too."""
    url = write(tmp_path)
    for one in (url, f"file://{tmp_path}/"):
        found = load_sharded(one)
        assert found.keys() == MAP.keys()
        assert same(found["weight"], FILES[MAP["weight"]]["weight"])
    with pytest.raises(NotFoundError, match="is a folder, not a file; the URL of a folder ends in"):
        load_sharded(f"file://{tmp_path}")
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(NotFoundError, match="there is neither model.safetensors.index.json nor"):
        load_sharded(f"file://{tmp_path}/")
    save_file({"a": torch.ones(1)}, f"file://{tmp_path}/model.safetensors")
    for one in (f"file://{tmp_path}/", f"file://{tmp_path}/model.safetensors"):
        assert load_sharded(one)["a"].tolist() == [1]


FIRST, SECOND = FILES
TWICE = {**FILES, SECOND: {"bias": torch.ones(2), "weight": torch.ones(1)}}
UNKNOWN = {**FILES, SECOND: {"bias": torch.ones(2), "other": torch.ones(1)}}


@pytest.mark.parametrize(
    ("weight_map", "files", "problem"),
    [
        ("no json", FILES, "is no index of a model: Expecting value"),
        ("[]", FILES, "is no index of a model: it has no weight_map"),
        ("{}", FILES, "is no index of a model: it has no weight_map"),
        ({}, FILES, "is no index of a model: it has no weight_map"),
        ('{"weight_map": {"a": "x", "a": "y"}}', FILES, "'a' is there twice"),
        ({"weight": 7}, FILES, "the file of tensor 'weight' is 7"),
        ({"weight": "../x"}, FILES, "names a file '../x', which cannot be beside it"),
        ({"weight": "https://h/x"}, FILES, "which cannot be beside it"),
        ({**MAP, "x": FIRST}, FILES, f"tensor 'x' should be in {FIRST}, and is not"),
        (MAP, TWICE, f"tensor 'weight' is in {SECOND} and in {FIRST}"),
        (MAP, UNKNOWN, f"tensor 'other' is in {SECOND}, but not in the index"),
    ],
)
def test_what_does_not_belong_together_is_told(
    tmp_path: Path, weight_map: Any, files: Any, problem: str
) -> None:
    """With the index, the tensor and the file."""
    url = write(tmp_path, weight_map, files)
    with pytest.raises(CheckpointError, match=problem) as raised:
        load_sharded(url)
    assert url in str(raised.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """Also where the folder was named: the index is there."""
    url = write(tmp_path)
    (tmp_path / SECOND).unlink()
    for one in (url, f"file://{tmp_path}/"):
        with pytest.raises(NotFoundError, match=SECOND):
            load_sharded(one)


class Tied(torch.nn.Module):
    """A model of which two names are one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 2)
        self.second = torch.nn.Linear(3, 2, bias=False)
        self.second.weight = self.first.weight


def test_a_model_gets_its_weights(tmp_path: Path) -> None:
    """From one file or several."""
    model = torch.nn.Linear(3, 2)
    assert load_model(model, write(tmp_path)) == ([], [])
    assert same(model.weight, FILES[FIRST]["weight"])
    assert same(model.bias, FILES[SECOND]["bias"])


def test_a_tied_tensor_is_not_missing(tmp_path: Path) -> None:
    """It is loaded under its other name."""
    url, model = f"file://{tmp_path}/a", Tied()
    save_file({"first.weight": torch.ones(2, 3), "first.bias": torch.ones(2)}, url)
    assert load_model(model, url) == ([], [])
    assert same(model.second.weight, torch.ones(2, 3))


def test_a_model_without_memory_has_no_tied_tensors(tmp_path: Path) -> None:
    """On the meta device all tensors are at the same address."""
    url = f"file://{tmp_path}/a"
    save_file({"0.weight": torch.ones(2, 2), "0.bias": torch.ones(2)}, url)
    with torch.device("meta"):
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match=r"it lacks \[1.bias, 1.weight\]"):
        load_model(model, url)


def test_other_names_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    """Or returned, if that is asked for."""
    url, model = f"file://{tmp_path}/a", torch.nn.Linear(3, 2)
    save_file({"weight": torch.ones(2, 3), "other": torch.ones(1)}, url)
    before = model.weight.detach().clone()
    with pytest.raises(
        CheckpointError, match=r"Linear: it lacks \[bias\], and the model lacks \[other\]"
    ):
        load_model(model, url)
    assert same(model.weight, before)
    assert load_model(model, url, strict=False) == (["bias"], ["other"])
    assert same(model.weight, torch.ones(2, 3))
