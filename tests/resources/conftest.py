"""NVIDIA's registry on loopback, and an empty cache, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.resources.cache.cache import Cache
from tests.resources.certificates import Authority, make_authority
from tests.resources.ngc_server import NgcServer, registry_for_a_guest


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return certificates for loopback."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def registry(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NgcServer]:
    """Run a registry for a guest."""
    with registry_for_a_guest(authority, tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Return a cache with an empty folder."""
    cache = Cache(tmp_path / "cache")
    cache.create_folder()
    return cache
