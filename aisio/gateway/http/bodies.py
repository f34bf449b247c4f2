"""The JSON and msgpack of responses, as AIStore 5.0 writes them.

Source: AIStore 5.0; compared response by response with a live cluster of 1 proxy and 2 targets.
"""

from __future__ import annotations

import json
import os
from typing import Any

import msgspec

from aisio.gateway.http.cluster import Cluster
from aisio.gateway.http.listing import ListMessage, Page
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.wire.listing import PackedEntry, PackedPage

_MAX_ERROR_MESSAGE = 4000


def error_body(refusal: Refusal, cluster: Cluster, *, method: str, path: str, remote: str) -> bytes:
    """Return the JSON that says why a request failed, on one line of ASCII."""
    node = (
        f"t[{cluster.target_id}]"
        if path.startswith(("/v1/objects/", "/v1/ml/"))
        else f"p[{cluster.proxy_id}]"
    )
    message = refusal.message
    if len(message) > _MAX_ERROR_MESSAGE:  # clients accept headers of 64 KiB
        message = f"{message[:_MAX_ERROR_MESSAGE]}..."
    if refusal.tcode == "ErrNotFound":
        message = f"{node}: {message}"
    body: dict[str, Any] = {"tcode": refusal.tcode} if refusal.tcode else {}
    body |= {"message": message, "method": method, "url_path": path, "remote_addr": remote}
    body |= {"caller": "", "node": node, "status": refusal.status}
    return json.dumps(body, separators=(",", ":")).encode()


def json_body(value: Any) -> bytes:
    """Return JSON with a newline at its end, as AIStore sends it."""
    return msgspec.json.encode(value) + b"\n"


def bucket_entry(bucket: BucketName) -> dict[str, Any]:
    """Return a bucket's entry in the list of buckets."""
    return {
        "name": bucket.name,
        "provider": "ais",
        "namespace": {"uuid": "", "name": bucket.namespace},
    }


def bucket_props(props: BucketProps, status: os.stat_result) -> str:
    """Return the bucket properties, as one line of JSON.

    Args:
        props: The properties that clients can set.
        status: Of the bucket's folder.
    """
    values = {
        "backend_bck": {"name": "", "provider": "", "namespace": {"uuid": "", "name": ""}},
        "write_policy": {"data": "immediate", "md": "immediate"},
        "provider": "ais",
        "Renamed": "",
        "checksum": {
            "type": "xxhash2",
            "validate_cold_get": False,
            "validate_warm_get": False,
            "validate_obj_move": False,
            "enable_read_range": False,
        },
        "mirror": {"copies": 1, "burst_buffer": 0, "enabled": False},
        "ec": {"data_slices": 1, "parity_slices": 1, "enabled": False},
        "lru": {"dont_evict_time": "2h0m", "capacity_upd_time": "10m", "enabled": False},
        "access": str(props.access),
        "features": "0",
        "bid": str(status.st_ino),
        "created": str(status.st_ctime_ns),
        "versioning": {
            "enabled": props.counts_versions,
            "validate_warm_get": False,
            "synchronize": False,
        },
    }
    return json.dumps(values, separators=(",", ":"))


def packed_list(page: Page, message: ListMessage, new_uuid: str) -> bytes:
    """Return a listing page as msgpack."""
    uuid = message.uuid or new_uuid
    return msgspec.msgpack.encode(PackedPage(uuid, page.token, page.entries or None))


def json_list(page: Page, message: ListMessage, new_uuid: str) -> bytes:
    """Return a listing page as JSON, with sizes as strings."""
    return json_body(
        {
            "uuid": message.uuid or new_uuid,
            "continuation_token": page.token,
            "entries": [_json_entry(entry) for entry in page.entries] or None,
            "flags": 0,
        }
    )


def _json_entry(entry: PackedEntry) -> dict[str, Any]:
    values = (
        ("name", entry.n),
        ("checksum", entry.cs),
        ("atime", entry.a),
        ("version", entry.v),
        ("location", entry.t),
        ("custom-md", entry.m),
        ("size", str(entry.s) if entry.s else ""),
        ("copies", entry.c),
        ("flags", entry.f),
    )
    return {key: value for key, value in values if value}
