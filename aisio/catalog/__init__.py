"""Named sources and resources in YAML files. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.catalog.entries import NamedSource, Resource
    from aisio.catalog.folder import Catalog, default_catalog, read_catalog

__all__ = [
    "Catalog",
    "NamedSource",
    "Resource",
    "default_catalog",
    "read_catalog",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.catalog.entries": (
            "NamedSource",
            "Resource",
        ),
        "aisio.catalog.folder": (
            "Catalog",
            "default_catalog",
            "read_catalog",
        ),
    },
)
