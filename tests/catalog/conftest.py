"""Ways to write catalog files and to read what is wrong with them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from aisio.catalog import Catalog, read_catalog
from aisio.errors import CatalogError


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Return a function that writes one catalog file and returns its folder."""

    def write(text: str, name: str = "team.yaml") -> Path:
        (tmp_path / name).write_text(textwrap.dedent(text), "utf-8", newline="")
        return tmp_path

    return write


@pytest.fixture
def read(write) -> Callable[..., Catalog]:
    """Return a function that reads the text of one catalog file."""
    return lambda text, name="team.yaml": read_catalog(write(text, name), reload=True)


@pytest.fixture
def problems(write) -> Callable[..., list[str]]:
    """Return a function that tells what is wrong with a text, without the folder's name."""

    def problems(text: str, name: str = "team.yaml") -> list[str]:
        folder = write(text, name)
        with pytest.raises(CatalogError) as caught:
            read_catalog(folder, reload=True)
        assert all(problem in str(caught.value) for problem in caught.value.problems)
        return [problem.removeprefix(f"{folder}/") for problem in caught.value.problems]

    return problems
