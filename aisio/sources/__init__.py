"""Which objects are read: sources of all kinds. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.sources.kinds import (
        GroupSource,
        PrefixSource,
        Source,
        TemplateSource,
        UrlListSource,
        url_of,
    )
    from aisio.sources.named import CatalogSource
    from aisio.sources.resolve import PrefixMap, SourceLike, SourceSet, source
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
        "aisio.sources.kinds": (
            "GroupSource",
            "PrefixSource",
            "Source",
            "TemplateSource",
            "UrlListSource",
            "url_of",
        ),
        "aisio.sources.named": ("CatalogSource",),
        "aisio.sources.url": ("UrlSource",),
        "aisio.sources.resolve": (
            "PrefixMap",
            "SourceLike",
            "SourceSet",
            "source",
        ),
    },
)
