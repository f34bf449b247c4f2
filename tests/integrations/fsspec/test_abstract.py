"""The tests that fsspec has for all file systems."""

from __future__ import annotations

import aiohttp  # noqa: F401 - the gateway needs it
import fsspec.tests.abstract as abstract
import pytest

from aisio.integrations.fsspec import AisFileSystem

# Of fixtures in fsspec 2025.3.
pytestmark = pytest.mark.filterwarnings("ignore:Class-scoped fixtures defined as instance methods")


class Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]
    """What the tests need to know; the file system is that of `conftest`."""

    @pytest.fixture
    def fs(self, request):
        """Return the file system over the gateway."""
        request.getfixturevalue("bucket")
        return AisFileSystem(endpoint=request.getfixturevalue("cluster"))

    @pytest.fixture
    def fs_path(self):
        """Return a folder in the bucket."""
        return "data/folder"

    @pytest.fixture
    def supports_empty_directories(self):
        """Return False: a folder is there with its first object."""
        return False


class TestCopy(abstract.AbstractCopyTests, Fixtures):  # type: ignore[misc]
    """Between folders of one bucket."""


class TestGet(abstract.AbstractGetTests, Fixtures):  # type: ignore[misc]
    """To local folders."""


class TestPut(abstract.AbstractPutTests, Fixtures):  # type: ignore[misc]
    """From local folders."""


class TestOpen(abstract.AbstractOpenTests, Fixtures):  # type: ignore[misc]
    """Exclusive creation."""


class TestPipe(abstract.AbstractPipeTests, Fixtures):  # type: ignore[misc]
    """Exclusive creation."""
