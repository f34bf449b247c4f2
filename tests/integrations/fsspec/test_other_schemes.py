"""Schemes that other packages have are aisio's on request."""

from __future__ import annotations

import sys

import fsspec  # noqa: F401 - the package imports it
import pytest

from aisio.errors import ConfigError
from aisio.integrations.fsspec import S3FileSystem, register


def test_other_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On request alone."""
    registered: dict[str, type] = {}
    # fsspec.registry is the table, which hides the module of that name.
    monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", registered)
    register("s3", "gs")
    assert registered["s3"] is S3FileSystem
    for schemes in ((), ("http",)):
        with pytest.raises(ConfigError, match="expected one or more of s3, s3a, gs, gcs, az, abfs"):
            register(*schemes)
