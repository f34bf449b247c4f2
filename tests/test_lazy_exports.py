"""Packages that import their names on first use."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from aisio.lazy_exports import lazy_exports


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a package that exports three names of two modules of the standard library."""
    module = ModuleType("lazy_package")
    monkeypatch.setitem(sys.modules, "lazy_package", module)
    names = {"fractions": ("Fraction",), "math": ("pi", "tau")}
    vars(module).update(helper=lazy_exports, _NAMES=names, __version__="1")
    vars(module)["__getattr__"], vars(module)["__dir__"] = lazy_exports("lazy_package", names)
    return module


def test_a_name_is_imported_once(package: ModuleType) -> None:
    """Afterwards it is an attribute like any other, which needs no `__getattr__`."""
    from fractions import Fraction

    assert "Fraction" not in vars(package)
    assert package.Fraction is Fraction
    assert vars(package)["Fraction"] is Fraction


def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    """With the message of Python's own modules, and what tracebacks need for "Did you mean"."""
    with pytest.raises(
        AttributeError, match="module 'lazy_package' has no attribute 'Fractoin'"
    ) as raised:
        _ = package.Fractoin
    assert (raised.value.name, raised.value.obj) == ("Fractoin", package)


def test_all_names_are_listed_before_they_are_imported(package: ModuleType) -> None:
    """For editors, in order, along with what Python has of each module; no helper is among them."""
    names = dir(package)
    assert names == sorted(names)
    assert {"Fraction", "pi", "tau", "__name__", "__version__"} <= set(names)
    assert [name for name in names if not name.startswith("__")] == ["Fraction", "pi", "tau"]


def test_a_module_may_be_named_without_its_import() -> None:
    """As in `import aisio; aisio.stats.totals()`. Others are found only if they were imported."""
    code = (
        "import sys, aisio\n"
        "assert 'aisio.stats' not in sys.modules and 'stats' in dir(aisio)\n"
        "aisio.stats.totals()\n"
        "assert not {'torch', 'aisio.training'} & sys.modules.keys()\n"
        "assert not hasattr(aisio, 'listing_digest')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_package_of_aisio_imports_no_module_of_its_own() -> None:
    """`import aisio.sources` is cheap; `aisio.sources.Source` imports what it needs."""
    code = (
        "import sys, aisio.sources\n"
        "assert 'aisio.sources.base' not in sys.modules\n"
        "assert aisio.sources.Source.__module__ == 'aisio.sources.base' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
