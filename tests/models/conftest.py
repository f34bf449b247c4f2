"""The model that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.models import Case, make_case


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Return a model that nobody has prepared."""
    return make_case(tmp_path)
