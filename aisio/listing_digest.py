"""The old path of `aisio.sources.digest`, until the next release."""

from __future__ import annotations

import warnings

from aisio.sources.digest import ListingDigest, listing_digest

__all__ = ["ListingDigest", "listing_digest"]

warnings.warn(
    "aisio.listing_digest has moved: import its names from aisio.sources.digest",
    DeprecationWarning,
    stacklevel=2,
)
