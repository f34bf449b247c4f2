"""Looking up sources by their names in a catalog.

A text is a name if it has no scheme and exactly one "/", as in team/imagenet-train; a URL is never
taken for a name. "catalog://team/imagenet-train" is the same name where a plain text would mean
something else, as on the command line.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TypeAlias

from aisio.catalog.entries import NamedSource
from aisio.client.client import Client
from aisio.errors import CatalogError, ConfigError, UrlError
from aisio.sources.catalog_source import SCHEME, CatalogSource
from aisio.stores import DirectSettings
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from aisio.catalog.folder import Catalog

__all__ = ["CatalogLike", "find_source", "is_catalog_name", "parse_url"]

CatalogLike: TypeAlias = "Catalog | str | os.PathLike[str]"
"""A catalog, or a folder of catalog files."""

_PATH_HINT = "a local folder is given as a pathlib.Path"

# Neither "aws:bucket/x", whose "//" is missing, nor the paths "./x", "../x" and "~/x".
_NAME = re.compile(r"[^/:.~][^/:]*/[^/]+")


def is_catalog_name(text: str) -> bool:
    """Tell whether a text can only be a name in a catalog, and not a URL."""
    return text.startswith(SCHEME) or ("://" not in text and _NAME.fullmatch(text) is not None)


def find_source(
    name: str,
    catalog: CatalogLike | None = None,
    *,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
) -> CatalogSource:
    """Return the source that a catalog has under a name.

    Args:
        name: "team/imagenet-train", with or without catalog:// before it.
        catalog: Where to look; without it the default catalog.
        client: The cluster; without it the one that the entry names, else the environment.
        direct: Read clouds directly, not through the cluster; see `store_for`.

    Raises:
        CatalogError: The catalog's files hold errors, or a name with catalog:// is not in it.
        UrlError: A name without catalog:// is not in it: the user may have meant a URL.
        ConfigError: It is the name of a resource.
    """
    tag = name.removeprefix(SCHEME)
    entries = _read(catalog)
    try:
        entry = entries.find(tag)
    except CatalogError as error:
        if name.startswith(SCHEME):
            raise
        raise UrlError(f"{error}; as a URL: {_url_error(name)}", url=name) from None
    if not isinstance(entry, NamedSource):
        raise ConfigError(
            f"{tag!r} is a resource, a file that is downloaded, and no source: "
            f"aisio.load({tag!r}) returns its path"
        )
    return CatalogSource.of(entry, client=client, direct=direct)


def parse_url(text: str) -> ObjectUrl:
    """Parse a URL where Python code names a source.

    Raises:
        UrlError: It is not valid; if it has no scheme, the text says how to pass a local folder.
    """
    if "://" in text:
        return ObjectUrl.parse(text)
    raise UrlError(_url_error(text), url=text)


def _url_error(text: str) -> str:
    """Return why a text without a scheme is not a URL."""
    try:
        ObjectUrl.parse(text)
    except UrlError as error:
        return f"{error}; {_PATH_HINT}"
    raise AssertionError(text)


def _read(catalog: CatalogLike | None) -> Catalog:
    # Imported here: reading catalogs needs a YAML parser, which only users of names should load.
    from pathlib import Path

    from aisio.catalog.folder import default_catalog, read_catalog

    if catalog is None:
        return default_catalog()
    return read_catalog(Path(catalog)) if isinstance(catalog, (str, os.PathLike)) else catalog
