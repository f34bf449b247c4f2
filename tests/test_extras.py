"""What is said of a package that is missing: what helps, and nothing that does not."""

from __future__ import annotations

import importlib.metadata
import re

import pytest

from aisio.extras import missing_extra

EXTRAS = importlib.metadata.metadata("aisio").get_all("Provides-Extra") or []


def test_the_error_holds_the_pip_command():
    """It names all packages of the extra, with the versions that aisio needs."""
    told = str(missing_extra("torch", "torch"))
    assert re.search(r"the package torch, [^:]*: pip install 'torch>=", told)
    assert re.search(r" 'numpy>=\S+' \(aisio's extra torch\)$", told)


def test_a_package_that_is_installed_is_not_said_to_be_missing():
    """It is too old, or its import fails."""
    assert "no-such-one, which is not installed: " in str(missing_extra("no-such-one", "lhotse"))
    version = importlib.metadata.version("pytest")
    told = str(missing_extra("pytest", "lhotse"))
    assert f"pytest, of which version {version} is installed and cannot be used: pip" in told


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_extra_has_packages_and_none_is_aisio(extra):
    """There is no aisio on an index: pip would find another project of its name, or none."""
    command = str(missing_extra("this-one", extra)).partition("pip install ")[2]
    assert ">=" in command
    assert not command.startswith(("aisio", "'aisio", "this-one"))


def test_without_an_installation_the_package_itself_is_named(monkeypatch):
    """As where the source lies on PYTHONPATH."""

    def raise_not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", raise_not_found)
    assert "pip install lz4 (aisio's extra lz4)" in str(missing_extra("lz4", "lz4"))


@pytest.mark.parametrize(("python", "helps"), [((3, 10), False), ((3, 11), True), ((3, 14), True)])
def test_pip_is_not_named_where_it_would_change_nothing(python, helps):
    """There is no obstore for Python 3.10, and the extra leaves it out there."""
    told = str(missing_extra("obstore", "stores", python=python))
    assert ("pip install" in told) is helps
    assert ("s3://, gs://, az://, pbss, " in told) is not helps
    assert ("need Python 3.11 or newer" in told) is not helps
