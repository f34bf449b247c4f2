"""Load a resource of the catalog as a verified file or folder of this machine."""

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
from aisio.resources.cache.in_use import mark_in_use
from aisio.resources.download.digests import parse_digest
from aisio.resources.unpack.unpack import (
    is_complete,
    result_of,
    unpack,
    unpack_kind,
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

    A resource that was verified before is not hashed again while it looks the same on the disk.
    Otherwise it is downloaded, once for all processes that load it, hashed on the way, and unpacked
    or decompressed as the ending of its name says.

    `aisio cache prune` leaves it alone until this process and all that it forks have ended. This
    holds for the first 128 resources of a process, where the file system has locks.

    Args:
        tag: The resource's full name, `<file stem>/<tag>`.
        source: "ngc" or "pbss": that registry alone. Without it, an entry with `url` or `mirrors`
            is downloaded from there, in that order, and any other entry from the registry that
            BIONEMO_DATA_SOURCE names (ngc).
        resources: Resources by their tags, also those of bionemo-core; without it those of
            `catalog`.
        cache_dir: Folder of downloads, with "~" for the user's home folder; without it
            AISIO_CACHE_DIR, then BIONEMO_CACHE_DIR, then the user's cache folder.
        catalog: Without it the one of AISIO_CATALOG, or of the user and bionemo-core.
        pbss_endpoint: Base URL of the S3 store that pbss means; without it the entry's own, then
            AISIO_PBSS_ENDPOINT, then https://pbss.s8k.io.
        client: The cluster of ais:// URLs; without it the entry's endpoint, then AIS_ENDPOINT.
        recheck: Hash it, and compare the unpacked files byte for byte, even if it was verified
            before.
        progress: Show a bar on stderr, where that is a terminal.

    Raises:
        CatalogError: A ValueError: no such resource, or not in that registry.
        ConfigError: A ValueError: no such registry, or no place is known for its cluster or cache.
        DigestError: A ValueError: the bytes do not have the digest of the catalog; they are not
            kept.
        ArchiveError: It cannot be unpacked safely.
        NotFoundError, AccessError, UnavailableError, ...: No place gave it; each is named.
        OSError: It cannot be written: no space, or no permission. Without permission, a file that
            exists already is hashed, and returned if it is right.
    """
    resource = _find_resource(tag, resources, catalog)
    registry = _choose_registry(resource, source)
    cache = Cache(cache_dir if cache_dir is not None else default_cache_folder())
    path, kind = cache.path_of(resource), unpack_kind(resource.filename, resource)
    result = result_of(path, kind)
    # Before the entry is looked at: see mark_in_use.
    if mark_in_use(path) and not recheck and cache.find_verified(path, result):
        return result
    with ExitStack() as lock:
        try:
            lock.enter_context(cache.lock(path))
        except AccessError:
            # In another user's folder no marker can be written: the entry is hashed at each load.
            if _has_right_digest(path, resource) and is_complete(path, kind):
                return result
            raise
        mark_in_use(path)  # the first call fails while another process removes the entry
        # The process that held the lock before may have loaded it.
        if not recheck and cache.find_verified(path, result):
            return result
        sha256 = ""
        if not _remove_if_wrong(path, resource, cache):
            origins = _origins(resource, registry, pbss_endpoint, client)
            sha256 = _download(resource, origins, cache, path, progress=progress)
        cache.mark_verified(path, unpack(path, kind), sha256=sha256)
    return result


def _find_resource(
    tag: str, resources: Mapping[str, Any] | None, catalog: Catalog | None
) -> Resource:
    entries, origin = resources, ""
    if entries is None:
        entries = catalog if catalog is not None else default_catalog()
        origin = f" The catalog was read from {entries.origin()}."
    entry = entries.get(tag)
    if isinstance(entry, NamedSource):
        raise CatalogError(f"Resource '{tag}' not found. It is a source: use aisio.source({tag!r})")
    if entry is None:
        near = difflib.get_close_matches(tag, entries, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise CatalogError(f"Resource '{tag}' not found.{hint}{origin}")
    return entry if isinstance(entry, Resource) else _from_bionemo(entry)


def _from_bionemo(entry: Any) -> Resource:
    """Convert an entry of bionemo-core, whose URLs and owners are pydantic objects."""
    fields: dict[str, Any] = {name: getattr(entry, name, None) for name in _BIONEMO_FIELDS}
    for name in ("pbss", "owner"):
        fields[name] = fields[name] and str(fields[name])
    return Resource(**fields)


def _choose_registry(resource: Resource, source: str | None) -> str | None:
    """Return the registry to download from; None for the places that the entry itself names.

    The order of the checks is that of BioNeMo.
    """
    if source is None and resource.urls:
        return None
    registry = source or first_set("BIONEMO_DATA_SOURCE") or DEFAULT_REGISTRY
    if registry == "ngc" and resource.ngc is None:
        hint = _pbss_hint(resource)
        raise CatalogError(f"Resource '{resource.tag}' does not have an NGC URL.{hint}")
    if registry not in REGISTRIES:
        setting = "source" if source else "BIONEMO_DATA_SOURCE"
        raise ConfigError(
            f"Source '{registry}' not supported. {setting} can be {' or '.join(REGISTRIES)}"
        )
    if registry == "pbss" and resource.pbss is None:
        raise CatalogError(f"Resource '{resource.tag}' does not have a PBSS URL.")
    return registry


def _pbss_hint(resource: Resource) -> str:
    if not resource.pbss:
        return ""
    return " It has a PBSS URL: pass source='pbss', or set BIONEMO_DATA_SOURCE"


def _remove_if_wrong(path: Path, resource: Resource, cache: Cache) -> bool:
    """Return whether there is a right download; remove a wrong one."""
    if _has_right_digest(path, resource):
        return True
    if not path.is_file():
        return False
    _log.warning("%s does not have the digest of the catalog: it is downloaded again", path)
    cache.invalidate(path)
    path.unlink()
    return False


def _has_right_digest(path: Path, resource: Resource) -> bool:
    """Return whether a file exists and has the digest; without a digest any file is right."""
    if not path.is_file():
        return False
    expected = parse_digest(resource.sha256)
    return expected.value is None or expected.matches(expected.hash_file(path))


def _origins(
    resource: Resource, registry: str | None, pbss_endpoint: str | None, client: Client | None
) -> list[Origin]:
    has_digest = resource.sha256 is not None
    if registry == "pbss":
        from aisio.resources.origins.store import pbss_origin

        assert resource.pbss is not None
        endpoint = pbss_endpoint or resource.endpoint_for(resource.pbss)
        return [pbss_origin(resource.pbss, endpoint=endpoint, has_digest=has_digest)]
    if registry == "ngc":
        from aisio.resources.origins.ngc.origin import NgcOrigin

        assert resource.ngc is not None
        return [NgcOrigin(resource.ngc, resource.ngc_registry or "model", resource.filename)]
    from aisio.resources.origins.store import url_origin

    return [
        url_origin(url, endpoint=resource.endpoint_for(url), client=client, has_digest=has_digest)
        for url in resource.urls
    ]


def _download(
    resource: Resource, origins: list[Origin], cache: Cache, path: Path, *, progress: bool
) -> str:
    """Download a resource, and return its digest."""
    from aisio.resources.download.download import download
    from aisio.resources.progress import progress_bar

    def remove_old_results() -> None:
        # A file that exists by now is one of BioNeMo, which takes no lock and may be using its
        # results already; `unpack` compares them with the archive.
        if not path.exists():
            cache.invalidate(path)

    with progress_bar(resource.tag, enabled=progress) as on_progress:
        digest = download(
            origins,
            path,
            digest=resource.sha256,
            on_progress=on_progress,
            before_replacing=remove_old_results,
        )
    if resource.sha256 is None:
        _log.info(
            "%s has no digest in the catalog; SHA256 of what was downloaded: %s",
            resource.tag,
            digest,
        )
    return digest
