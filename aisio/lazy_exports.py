"""Packages that import what they export on first use (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str, names_by_module: Mapping[str, Sequence[str]], modules: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package.

    `dir()` of the package has what it exports, and not what it imports itself.

    No module of the package may have an exported name: its first import, from anywhere, sets the
    module as that attribute of the package.

    Args:
        package: The package's `__name__`.
        names_by_module: The names that the package exports from each module.
        modules: Modules of the package that users may name without importing them.
    """
    module_of = {name: module for module, names in names_by_module.items() for name in names}
    exported = {*module_of, *modules}

    def get_attribute(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")  # which sets the attribute
        if name not in module_of:
            # With these two, tracebacks name what is spelt like it.
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[package])
        value = getattr(import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def directory() -> list[str]:
        of_python = {name for name in vars(sys.modules[package]) if name.startswith("__")}
        return sorted(of_python | exported)

    return get_attribute, directory
