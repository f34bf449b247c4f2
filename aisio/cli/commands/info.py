"""`aisio info`: describe an object, a prefix, a source or the connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.output import json_line, plot_option, printable, time_text, write_lines
from aisio.cli.types import SOURCE, CatalogName
from aisio.errors import StorageError
from aisio.urls import FILE, ObjectUrl

if TYPE_CHECKING:
    from aisio.client.balance import Balance
    from aisio.client.client import Client
    from aisio.records import ObjectInfo, Settings
    from aisio.sources.base import Source
    from aisio.stores import Store

_VARIABLES = {
    "endpoint": "AIS_ENDPOINT",
    "token": "AIS_AUTHN_TOKEN or AIS_AUTHN_TOKEN_FILE",
    "token_file": "AIS_AUTHN_TOKEN_FILE",
    "authn_url": "AIS_AUTHN_URL",
    "timeouts.connect_s": "AIS_CONNECT_TIMEOUT",
    "timeouts.read_s": "AIS_READ_TIMEOUT",
    "tls.verify": "AIS_SKIP_VERIFY_CRT or AIS_SKIP_VERIFY",
    "tls.ca_file": "AIS_CLIENT_CA",
    "tls.client_cert_file": "AIS_CRT",
    "tls.client_key_file": "AIS_CRT_KEY",
    "pool_size": "AIS_MAX_CONN_POOL",
}


@click.command("info", short_help="Describe an object, a bucket or the connection.")
@click.argument("url", type=SOURCE, required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@plot_option("Draw what each target of the cluster holds into a .png or .svg file.")
@click.pass_obj
def command(
    cluster: Cluster, url: ObjectUrl | CatalogName | None, as_json: bool, picture: Path | None
) -> None:
    """Describe the object at URL; for a bucket or a URL that ends in "/", count what is below.

    With braces or wildcards, URL is a pattern: what it matches is counted.
    Where there is nothing, that is shown as well, and the status is 1.
    For catalog://NAME, a source of the catalog: what it is, what it has, and its listing's digest.
    Without URL: where commands go, whether it is ready, and the settings with their origins.
    With --plot also how evenly the cluster is filled: without URL by the capacity of its targets,
    for a bucket or a URL that ends in "/" by the objects below it as well.
    """
    if picture is not None:
        facts = _plot_balance(cluster, url, picture)
    elif url is None:
        facts = _describe_connection(cluster)
    elif isinstance(url, CatalogName):
        facts = _describe_source(cluster, url)
    elif (source := cluster.pattern_source(url)) is not None:
        facts = _describe_matches(source, url)
    elif not url.name or url.name.endswith("/"):
        facts = _describe_prefix(cluster, url)
    else:
        facts = _describe_object(cluster, url)
    write_lines([json_line(facts)] if as_json else _table(facts))
    if isinstance(url, ObjectUrl) and facts.get("exists") is False:
        raise cluster.no_objects_error(url)


def _plot_balance(
    cluster: Cluster, url: ObjectUrl | CatalogName | None, picture: Path
) -> dict[str, Any]:
    """Draw what the targets of the cluster hold, and return the numbers with the other facts."""
    from dataclasses import asdict

    from aisio.pictures.balance import draw_balance
    from aisio.pictures.picture_file import check_picture

    check_picture(picture)
    if url is None:
        facts, balance = _describe_connection(cluster), _balance(cluster.client())
    else:
        facts, balance = _count_on_targets(cluster, url)
    targets = [asdict(share) for share in balance.targets]
    if not targets:
        raise StorageError(f"{picture}: the cluster reports no target, so there is nothing to draw")
    notes = [f"{one['target']} reports: {one['problem']}" for one in targets if one["problem"]]
    if balance.elsewhere:
        notes.append(f"{balance.elsewhere:,} objects are on no target: the cluster has not them")
    name = "the cluster" if url is None else str(url)
    draw_balance(picture, targets, title=f"What the targets hold of {name}", notes=notes)
    return facts | {"targets": targets}


def _count_on_targets(
    cluster: Cluster, url: ObjectUrl | CatalogName
) -> tuple[dict[str, Any], Balance]:
    from aisio.client.balance import count_by_target
    from aisio.client.client import Bucket
    from aisio.stores import AisStore

    if isinstance(url, CatalogName) or (url.name and not url.name.endswith("/")):
        raise click.UsageError('--plot takes a bucket, or a URL that ends in "/"')
    store = cluster.store(url)
    if not isinstance(store, AisStore):
        raise click.UsageError(f"--plot {url}: this is in no cluster, which alone has targets")
    bucket = Bucket(store.client, url.with_name(""))
    if not bucket.exists():
        raise cluster.no_objects_error(url)
    balance = count_by_target(
        _balance(store.client), bucket.list(url.name, props="name,size,location")
    )
    count = sum(share.objects or 0 for share in balance.targets) + balance.elsewhere
    if url.name and not count:
        raise cluster.no_objects_error(url)
    size_bytes = sum(share.size_bytes or 0 for share in balance.targets)
    return {"url": str(url), "exists": True, "objects": count, "size_bytes": size_bytes}, balance


def _balance(client: Client) -> Balance:
    from aisio.client.balance import capacities

    return capacities(client.session)


def _describe_source(cluster: Cluster, name: CatalogName) -> dict[str, Any]:
    from aisio.sources.digest import ListingDigest

    source = name.source(cluster)
    digest, size_bytes = ListingDigest(source.base_url), 0
    all_sizes_known = True
    for info in source.unpinned.list():
        digest.add(info)
        size_bytes += info.size_bytes or 0
        all_sizes_known &= info.size_bytes is not None
    entry = source.entry
    return {
        "name": entry.tag,
        "kind": entry.kind,
        "owner": entry.owner,
        "description": entry.description,
        "objects": digest.count,
        "size_bytes": size_bytes if all_sizes_known else None,
        "digest": digest.text(),
        "expected_digest": entry.digest,
    }


def _describe_matches(source: Source, url: ObjectUrl) -> dict[str, Any]:
    from aisio.sources.nothing_found import require_some

    count = size_bytes = 0
    for info in map(source.completed, require_some(source.list(), str(url))):
        count += 1
        size_bytes += info.size_bytes or 0
    return {"url": str(url), "exists": True, "objects": count, "size_bytes": size_bytes}


def _describe_object(cluster: Cluster, url: ObjectUrl) -> dict[str, Any]:
    import msgspec

    with cluster.not_found_hints(url, f"aisio info '{url}/'"):
        info = cluster.store(url).head(url)
    facts: dict[str, Any] = {"url": info.url} | msgspec.to_builtins(info)
    del facts["root"], facts["label"], facts["location"]
    if info.mtime_s:
        facts["mtime"] = time_text(info.mtime_s)
    return facts


def _describe_prefix(cluster: Cluster, url: ObjectUrl) -> dict[str, Any]:
    infos = _list_if_exists(cluster.store(url), url)
    count = size_bytes = 0
    for info in infos or ():
        count += 1
        size_bytes += info.size_bytes or 0
    # A bucket or local folder may exist and be empty; a folder of a bucket exists by its objects.
    may_be_empty = not url.name or url.provider == FILE
    exists = count > 0 or (may_be_empty and infos is not None)
    return {"url": str(url), "exists": exists, "objects": count, "size_bytes": size_bytes}


def _list_if_exists(store: Store, url: ObjectUrl) -> Iterator[ObjectInfo] | None:
    """List the objects; return None if the bucket or folder does not exist."""
    from aisio.client.client import Bucket
    from aisio.errors import NotFoundError
    from aisio.stores import AisStore

    if url.provider == FILE:
        return store.list(url) if Path("/", url.name).is_dir() else None
    if isinstance(store, AisStore):
        return store.list(url) if Bucket(store.client, url.with_name("")).exists() else None
    infos = store.list(url)
    try:
        # A cloud that is accessed directly reports a missing bucket with the first page.
        return chain([next(infos)], infos)
    except StopIteration:
        return iter(())
    except NotFoundError:
        return None


def _describe_connection(cluster: Cluster) -> dict[str, Any]:
    client = cluster.client()
    settings = _flat(client.settings)
    origins = _origins(cluster, settings)
    return {
        "endpoint": client.endpoint,
        "ready": client.ready(),
        "settings": {
            name: {"value": "set" if name == "token" and value else value, "from": origins[name]}
            for name, value in settings.items()
        },
    }


def _flat(settings: Settings) -> dict[str, Any]:
    from dataclasses import asdict

    flat: dict[str, Any] = {}
    for name, value in asdict(settings).items():
        if name == "endpoint_from":  # where the endpoint is from: `_origins` shows that
            continue
        parts = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}.{field}": part for field, part in parts} or {name: value}
    return flat


def _origins(cluster: Cluster, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return where each setting is from; one that is not the default is from its variable."""
    from aisio.config import load_settings

    defaults = _flat(load_settings("http://default", environ={}))
    origins = {
        name: "default" if value == defaults[name] else _VARIABLES.get(name, "environment")
        for name, value in settings.items()
    }
    return origins if cluster.endpoint is None else origins | {"endpoint": "argument"}


def _table(facts: Mapping[str, Any]) -> Iterator[str]:
    rows = dict(facts)
    for target in rows.pop("targets", ()):
        rows[f"target {target['target']}"] = _target_text(target)
    for name, setting in rows.pop("settings", {}).items():
        rows[name] = f"{_text(setting['value'])}  ({setting['from']})"
    width = max(map(len, rows))
    for name, value in rows.items():
        yield f"{name:<{width}}  {_text(value)}"


def _target_text(target: Mapping[str, Any]) -> str:
    parts = []
    if target["objects"] is not None:
        parts.append(f"{target['objects']:,} objects, {target['size_bytes']:,} bytes")
    if target["used_bytes"] is not None:
        total = target["used_bytes"] + target["available_bytes"]
        parts.append(f"disks {100 * target['used_bytes'] / total:.0f} % used of {total:,} bytes")
    return "; ".join(parts)


def _text(value: Any) -> str:
    if value is None or value == "" or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{printable(str(key))}={printable(str(item))}" for key, item in value.items()
        )
    return f"{value:,}" if isinstance(value, int) else printable(str(value))
