"""pickles_to_tars: names, suffixes and samples that are refused, and folders in stores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - webdataset needs it
import webdataset  # noqa: F401

from aisio.errors import ConfigError
from aisio.integrations.lightning.pickle_shards import pickles_to_tars
from tests.pickle_folder import SUFFIX, contents, members, shard_names, write_pickles


@pytest.fixture
def pickles(tmp_path: Path) -> Path:
    """Return a folder of pickles, some with odd names."""
    return write_pickles(tmp_path / "pickles", ["a", "b/c", "__x__/y", "d"], [SUFFIX, "PT", "pt"])


@pytest.mark.parametrize(
    ("names", "text"), [("abc", "expected several names"), ([1], "1 is no str")]
)
def test_names_are_several_texts(pickles: Path, tmp_path: Path, names: Any, text: str) -> None:
    """The letters of a text would be names, too."""
    with pytest.raises(TypeError, match=text):
        pickles_to_tars(pickles, names, SUFFIX, tmp_path / "out", "x")


def test_a_name_may_have_folders(pickles: Path, tmp_path: Path) -> None:
    """As a key may, which webdataset reads."""
    pickles_to_tars(pickles, iter(["b/c", "a"]), SUFFIX, tmp_path / "out", "x")
    found = [member.name for member in members(tmp_path / "out" / "x-000000.tar")]
    assert found == [f"b/c.{SUFFIX}", f"a.{SUFFIX}"]


@pytest.mark.parametrize(
    ("names", "suffix", "text"),
    [
        (["__x__/y"], SUFFIX, "webdataset reads '__x__/y.a.pyd' as no field"),
        (["a"], ["PT", "pt"], "different ones in lower case"),
        (["../pickles/a"], SUFFIX, "'..' as a path element"),
    ],
)
def test_what_webdataset_would_not_read_is_not_written(
    pickles: Path, tmp_path: Path, names: list[str], suffix: Any, text: str
) -> None:
    """It would be missing without an error."""
    with pytest.raises(RuntimeError, match=f"Failed to write {names[0]} .*{text}"):
        pickles_to_tars(pickles, names, suffix, tmp_path / "out", "x")


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        ({"pyd": b""}, "the sample has no __key__, only 'pyd'"),
        ({"__key__": "k"}, "has the fields \\[\\]: expected at least one"),
        ({"__key__": "k", "pyd": 5}, "field 'pyd' of sample 'k' is int, not bytes"),
        ({"__key__": "k.x", "pyd": b""}, "webdataset reads 'k.x.pyd' as no field"),
        ({"__key__": "", "pyd": b""}, "webdataset reads '.pyd' as no field"),
    ],
)
def test_a_function_must_return_a_sample(
    pickles: Path, tmp_path: Path, sample: dict[str, Any], text: str
) -> None:
    """The error names what it was called for."""
    with pytest.raises(RuntimeError, match=f"Failed to write a into tar files: .*{text}"):
        pickles_to_tars(pickles, ["a"], SUFFIX, tmp_path / "out", "x", lambda _, __: sample)


def test_a_module_that_a_function_misses_is_told(pickles: Path, tmp_path: Path) -> None:
    """By the original's words."""

    def make(key: str, data: dict[str, bytes]) -> dict[str, Any]:
        raise ModuleNotFoundError("No module named 'molecules'")

    text = "Can't process pickle file of a due to missing dependencies: No module named 'mol"
    with pytest.raises(RuntimeError, match=text):
        pickles_to_tars(pickles, ["a"], SUFFIX, tmp_path / "out", "x", make)


def test_the_same_files_give_the_same_shards(pickles: Path, tmp_path: Path) -> None:
    """Whenever and wherever they are written."""
    for name in ("one", "two"):
        pickles_to_tars(pickles, ["a", "d"], ["PT", SUFFIX], tmp_path / name, "x")
        for path in pickles.rglob("*"):
            os.utime(path, (1, 1))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_files_may_be_in_a_store(pickles: Path, tmp_path: Path) -> None:
    """Any that aisio reads."""
    pickles_to_tars(f"file://{pickles}", ["a"], SUFFIX, f"file://{tmp_path}/out/", "x")
    assert shard_names(tmp_path / "out") == ["x-000000.tar"]
    with pytest.raises(ConfigError, match="the folder of the shards is ''"):
        pickles_to_tars("", ["a"], SUFFIX, tmp_path / "out", "x")
