"""load: a resource of the catalog as a verified file or folder of this machine."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisio.catalog import Catalog, NamedSource, Resource, default_catalog
from aisio.config import first_set
from aisio.errors import AccessError, CatalogError, ConfigError
from aisio.resources.cache.cache import Cache, default_cache_folder
from aisio.resources.cache.in_use import hold
from aisio.resources.download.digests import parse_digest
from aisio.resources.unpack.unpack import (
    how_to,
    is_complete,
    result_of,
    unpack,
)

if TYPE_CHECKING:
    from aisio.client.client import Client
    from aisio.resources.download.download import Origin

REGISTRIES = ("ngc", "pbss")
DEFAULT_REGISTRY = "ngc"

_BIONEMO_FIELDS = (
    "tag",
    "ngc",
    "ngc_registry",
    "pbss",
    "sha256",
    "owner",
    "description",
    "unpack",
    "decompress",
)
_log = logging.getLogger(__name__)


def load(
    tag: str,
    source: str | None = None,
    resources: Mapping[str, Any] | None = None,
    cache_dir: Path | str | None = None,
    *,
    catalog: Catalog | None = None,
    pbss_endpoint: str | None = None,
    client: Client | None = None,
    recheck: bool = False,
    progress: bool = True,
) -> Path:
    """Return the verified file of a resource, or the folder it is unpacked to.

    What was verified before is not hashed again as long as it looks the same. Else it is
    downloaded, once for all processes that want it, hashed on the way, and unpacked or decompressed
    by the ending of its name.

    `aisio cache prune` leaves it alone until this process and all that it forks have ended; so it
    does for the first 128 resources of a process, where the file system has locks.

    Args:
        tag: The resource's full name, `<file stem>/<tag>`.
        source: "ngc" or "pbss": that registry alone. Without it, an entry with `url` or `mirrors`
            is had from there, in that order, and any other from the registry that
            BIONEMO_DATA_SOURCE names (ngc).
        resources: By their tags; without it those of `catalog`. bionemo-core's own will do.
        cache_dir: Folder of downloads, with "~" for the user's home folder; without it
            AISIO_CACHE_DIR, then BIONEMO_CACHE_DIR, then the user's cache folder.
        catalog: Without it the one of AISIO_CATALOG, or of the user and bionemo-core.
        pbss_endpoint: Base URL of the S3 store that pbss means; without it the entry's own, then
            AISIO_PBSS_ENDPOINT, then https://pbss.s8k.io.
        client: The cluster of ais:// URLs; without it the entry's endpoint, then AIS_ENDPOINT.
        recheck: Hash it, and compare what was unpacked byte for byte, whatever was verified before.
        progress: Show a bar on stderr, where that is a terminal.

    Raises:
        CatalogError: A ValueError: no such resource, or not in that registry.
        ConfigError: A ValueError: no such registry, or no place is known for its cluster or cache.
        DigestError: A ValueError: the bytes are not those of the catalog; nothing is left of them.
        ArchiveError: It cannot be unpacked safely.
        NotFoundError, AccessError, UnavailableError, ...: No place gave it; each is named.
        OSError: It cannot be written: no space, or no permission. What is there already is hashed
            then, and returned if it is right.
    """
    resource = _find(tag, resources, catalog)
    registry = _registry(resource, source)
    cache = Cache(cache_dir if cache_dir is not None else default_cache_folder())
    path, kind = cache.path_of(resource), how_to(resource.filename, resource)
    result = result_of(path, kind)
    # Before the look: what is removed before this is missed then, and nothing is removed later.
    if hold(path) and not recheck and cache.verified(path, result):
        return result
    with ExitStack() as held:
        try:
            held.enter_context(cache.lock(path))
        except AccessError:
            # Somebody else's folder: there is no marker to keep, so it is hashed each time.
            if _fits(path, resource) and is_complete(path, kind):
                return result
            raise
        hold(path)  # it could not be while it was being removed
        # Whoever held the lock before may have done all there is to do.
        if not recheck and cache.verified(path, result):
            return result
        found = ""
        if not _is_right(path, resource, cache):
            origins = _origins(resource, registry, pbss_endpoint, client)
            found = _bring(resource, origins, cache, path, progress=progress)
        cache.mark(path, unpack(path, kind), sha256=found)
    return result


def _find(tag: str, resources: Mapping[str, Any] | None, catalog: Catalog | None) -> Resource:
    known, origin = resources, ""
    if known is None:
        known = catalog if catalog is not None else default_catalog()
        origin = f" The catalog was read from {known.origin()}."
    entry = known.get(tag)
    if isinstance(entry, NamedSource):
        raise CatalogError(f"Resource '{tag}' not found. It is a source: use aisio.source({tag!r})")
    if entry is None:
        near = difflib.get_close_matches(tag, known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise CatalogError(f"Resource '{tag}' not found.{hint}{origin}")
    return entry if isinstance(entry, Resource) else _converted(entry)


def _converted(foreign: Any) -> Resource:
    """Take over an entry of bionemo-core, whose URLs and names are objects of their own."""
    given: dict[str, Any] = {name: getattr(foreign, name, None) for name in _BIONEMO_FIELDS}
    for name in ("pbss", "owner"):
        given[name] = given[name] and str(given[name])
    return Resource(**given)


def _registry(resource: Resource, source: str | None) -> str | None:
    """Return which registry is meant; None: the places that the entry itself names.

    The order of these checks is BioNeMo's.
    """
    if source is None and resource.urls:
        return None
    registry = source or first_set("BIONEMO_DATA_SOURCE") or DEFAULT_REGISTRY
    if registry == "ngc" and resource.ngc is None:
        raise CatalogError(f"Resource '{resource.tag}' does not have an NGC URL.{_other(resource)}")
    if registry not in REGISTRIES:
        named = "source" if source else "BIONEMO_DATA_SOURCE"
        raise ConfigError(
            f"Source '{registry}' not supported. {named} can be {' or '.join(REGISTRIES)}"
        )
    if registry == "pbss" and resource.pbss is None:
        raise CatalogError(f"Resource '{resource.tag}' does not have a PBSS URL.")
    return registry


def _other(resource: Resource) -> str:
    return " It has a PBSS URL: pass source='pbss', or set BIONEMO_DATA_SOURCE" * bool(
        resource.pbss
    )


def _is_right(path: Path, resource: Resource, cache: Cache) -> bool:
    """Tell whether a download is there and right; a wrong one goes."""
    if _fits(path, resource):
        return True
    if not path.is_file():
        return False
    _log.warning("%s is not what the catalog names: it is downloaded again", path)
    cache.forget(path)
    path.unlink()
    return False


def _fits(path: Path, resource: Resource) -> bool:
    """Tell whether a file is the resource; without a digest it is taken as it is."""
    if not path.is_file():
        return False
    wanted = parse_digest(resource.sha256)
    return wanted.value is None or wanted.fits(wanted.of_file(path))


def _origins(
    resource: Resource, registry: str | None, pbss_endpoint: str | None, client: Client | None
) -> list[Origin]:
    hashed = resource.sha256 is not None
    if registry == "pbss":
        from aisio.resources.origins.store import pbss_origin

        assert resource.pbss is not None
        endpoint = pbss_endpoint or resource.endpoint_for(resource.pbss)
        return [pbss_origin(resource.pbss, endpoint=endpoint, hashed=hashed)]
    if registry == "ngc":
        from aisio.resources.origins.ngc.origin import NgcOrigin

        assert resource.ngc is not None
        return [NgcOrigin(resource.ngc, resource.ngc_registry or "model", resource.filename)]
    from aisio.resources.origins.store import url_origin

    return [
        url_origin(url, endpoint=resource.endpoint_for(url), client=client, hashed=hashed)
        for url in resource.urls
    ]


def _bring(
    resource: Resource, origins: list[Origin], cache: Cache, path: Path, *, progress: bool
) -> str:
    """Download a resource, and return the digest that was found."""
    from aisio.resources.download.download import download
    from aisio.resources.progress import byte_bar

    def forget_the_old() -> None:
        # What has come meanwhile is BioNeMo's, and who uses it: what it made is compared later.
        if not path.exists():
            cache.forget(path)

    with byte_bar(resource.tag, show=progress) as show:
        found = download(
            origins,
            path,
            digest=resource.sha256,
            show=show,
            before_replacing=forget_the_old,
        )
    if resource.sha256 is None:
        _log.info(
            "%s has no digest in the catalog; SHA256 of what was downloaded: %s",
            resource.tag,
            found,
        )
    return found
