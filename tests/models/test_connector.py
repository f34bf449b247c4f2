"""ModelConnector: files opened, listed and prepared with one set of settings."""

from __future__ import annotations

import io
from unittest.mock import Mock

import pytest
import torch  # noqa: F401 - in_background needs it

from aisio import NotFoundError, UrlError
from aisio.models import ModelConnector
from tests.models.models import FILES, Case


def test_files_are_opened_as_bytes_or_text(case: Case) -> None:
    """And can be read in any way that io has."""
    connector = ModelConnector()
    with connector.open(f"file://{case.source}/sub/b.bin") as file:
        assert file.read() == FILES["sub/b.bin"]
        assert file.seek(1) == 1
    with connector.open(f"file://{case.source}/config.json", binary=False) as text:
        assert isinstance(text, io.TextIOWrapper)
        assert text.read() == "{}"
    with connector.open(f"file://{case.source}/sub/empty.txt") as empty:
        assert empty.read() == b""
    with pytest.raises(NotFoundError):
        connector.open(f"file://{case.source}/absent")


def test_objects_are_listed(case: Case) -> None:
    """With their sizes; fast changes nothing."""
    connector = ModelConnector()
    prefix = f"{case.source}/sub/".lstrip("/")
    for fast in (False, True):
        found = connector.list("file:///", prefix, fast)
        assert [(info.name, info.size_bytes) for info in found] == [
            (f"{prefix}b.bin", 2000),
            (f"{prefix}empty.txt", 0),
        ]
    with pytest.raises(UrlError):
        connector.list("models", "")


def test_folders_are_closed_with_it(case: Case) -> None:
    """Each may be closed before."""
    with ModelConnector() as connector:
        first = connector.prepare_directory(
            f"file://{case.source}", case.path, memory=case.options, in_background=True
        )
        other = case.path.with_name("other")
        connector.prepare_directory(f"file://{case.source}", other, memory=case.options)
        first.close()
        assert (other / "a.safetensors").read_bytes() == FILES["a.safetensors"]
    assert not case.path.exists()
    assert not other.exists()
    assert list(case.memory.iterdir()) == []


def test_a_folder_that_cannot_be_closed_does_not_keep_the_others(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is raised when they are closed."""
    connector = ModelConnector()
    first, second = (
        connector.prepare_directory(f"file://{case.source}", path, memory=case.options)
        for path in (case.path, case.path.with_name("second"))
    )
    with monkeypatch.context() as patch:
        patch.setattr(second, "close", Mock(side_effect=OSError("no")))
        with pytest.raises(OSError, match="no"):
            connector.close()
    assert not first.path.exists()
    second.close()
