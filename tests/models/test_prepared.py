"""PreparedModel: the parts together, and that nothing is left of them."""

from __future__ import annotations

import json

import pytest

from aisio import NotFoundError
from aisio.models import MemoryOptions
from aisio.models.files import Patterns, model_url
from aisio.models.prepared import PreparedModel
from aisio.stores import LocalStore
from tests.models.models import Case, files_in

INDEX = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}


def prepare(case: Case, ignore: str | None = None) -> PreparedModel:
    """Prepare a model."""
    return PreparedModel(
        model_url(f"file://{case.source}"),
        LocalStore(),
        case.path,
        patterns=Patterns.of(None, ignore),
        options=case.options,
        in_background=False,
    )


def test_a_file_that_an_index_names_must_be_there(case: Case) -> None:
    """Unless it is left out on purpose; nothing stays of a failure."""
    (case.source / "model.safetensors.index.json").write_text(json.dumps(INDEX))
    with pytest.raises(NotFoundError, match=r"names 1 files .*'b\.safetensors'"):
        prepare(case)
    assert not case.path.exists()
    assert list(case.memory.iterdir()) == []
    prepare(case, "*.safetensors").close()
    (case.source / "model.safetensors.index.json").write_text("[]")
    prepare(case).close()


def test_files_of_equal_processes_are_shared(case: Case) -> None:
    """And go with the last."""
    first, second = prepare(case), prepare(case)
    assert case.memory_names() == ["0000.safetensors", "0002.bin", "lock"]
    first.close()
    assert files_in(case.path) == files_in(case.source)
    second.close()
    assert not case.path.exists()
    assert list(case.memory.iterdir()) == []


def test_a_limit_is_told_before_a_folder_is_made(case: Case) -> None:
    """Of all large files together."""
    options = MemoryOptions(from_bytes=1000, max_bytes=5000, folder=str(case.memory))
    with pytest.raises(ValueError, match="max_bytes=5,000"):
        PreparedModel(
            model_url(f"file://{case.source}"),
            LocalStore(),
            case.path,
            patterns=Patterns.of(None, None),
            options=options,
            in_background=False,
        )
    assert not case.path.exists()
