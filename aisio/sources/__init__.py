"""Sources: which objects to read. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.sources.base import Source, url_of
    from aisio.sources.catalog_source import CatalogSource
    from aisio.sources.kinds import GroupSource, PrefixSource, TemplateSource, UrlListSource
    from aisio.sources.resolve import SourceLike, source
    from aisio.sources.source_set import PrefixMap, SourceSet
    from aisio.sources.url import UrlSource

__all__ = [
    "CatalogSource",
    "GroupSource",
    "PrefixMap",
    "PrefixSource",
    "Source",
    "SourceLike",
    "SourceSet",
    "TemplateSource",
    "UrlListSource",
    "UrlSource",
    "source",
    "url_of",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.sources.base": ("Source", "url_of"),
        "aisio.sources.kinds": ("GroupSource", "PrefixSource", "TemplateSource", "UrlListSource"),
        "aisio.sources.catalog_source": ("CatalogSource",),
        "aisio.sources.resolve": ("SourceLike", "source"),
        "aisio.sources.source_set": ("PrefixMap", "SourceSet"),
        "aisio.sources.url": ("UrlSource",),
    },
)
