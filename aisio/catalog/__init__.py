"""Named sources and resources in YAML files; names are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisio.catalog.entries import NamedSource, Resource
    from aisio.catalog.folder import Catalog, default_catalog, read_catalog

_HOME_OF = {
    "Catalog": "aisio.catalog.folder",
    "NamedSource": "aisio.catalog.entries",
    "Resource": "aisio.catalog.entries",
    "default_catalog": "aisio.catalog.folder",
    "read_catalog": "aisio.catalog.folder",
}

__all__ = ["Catalog", "NamedSource", "Resource", "default_catalog", "read_catalog"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'aisio.catalog' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
