"""Where processes publish."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.publishing.folder import default_top_folder, top_folder


def test_where_numbers_are_published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nowhere, unless a variable says so; in its folder, or in the usual one."""
    for value, folder in (
        ("", None),
        ("0", None),
        ("off", None),
        ("1", default_top_folder()),
        ("true", default_top_folder()),
        (str(tmp_path), tmp_path),
    ):
        monkeypatch.setenv("AISIO_TOP", value)
        assert top_folder() == folder
    assert default_top_folder().is_dir()
