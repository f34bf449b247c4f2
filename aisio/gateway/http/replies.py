"""Bodies and headers as AIStore 5.0 writes them: pure.

Source: AIStore 5.0; compared reply by reply with a live cluster of 1 proxy and 2 targets.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec
import xxhash

from aisio.gateway.http.listing import ListMessage, Page
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.metadata import Record
from aisio.wire.listing import PackedEntry, PackedPage
from aisio.wire.placement import digest

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
_ID_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

_LONGEST_MESSAGE = 4000
_SPACES = dict.fromkeys({*range(32), 127} - {ord("\t")}, " ")

_VALID_PROPS = frozenset(
    {
        *("name", "size", "checksum", "atime", "version", "custom", "location"),
        *("copies", "ec", "chunked", "last-modified", "etag"),
    }
)


class Cluster:
    """The cluster that the gateway poses as: one proxy and one target, both of them itself.

    Args:
        identity: What tells this gateway from others, such as the path of its folder.
    """

    def __init__(self, identity: str) -> None:
        digest = xxhash.xxh64_hexdigest(identity.encode(), 0)
        self.proxy_id = f"p{digest[:8]}"
        self.target_id = f"t{digest[8:]}"
        self.uuid = digest
        self._started_ns = time.time_ns()

    def map(self, origin: str) -> dict[str, Any]:
        """Return the cluster map, with `origin` ("http://host:port") as every node's address."""
        proxy = self._node("proxy", self.proxy_id, origin, flags=2)
        return {
            "pmap": {self.proxy_id: proxy},
            "proxy_si": proxy,
            "tmap": {self.target_id: self._node("target", self.target_id, origin)},
            "uuid": self.uuid,
            "creation_time": self._created,
            "version": "1",
        }

    def uptime_headers(self) -> dict[str, str]:
        """Return how long the gateway has been up, in nanoseconds."""
        uptime = str(time.time_ns() - self._started_ns)
        return {"Ais-Cluster-Uptime": uptime, "Ais-Node-Uptime": uptime}

    @cached_property
    def _created(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._started_ns / 1e9))

    @staticmethod
    def _node(kind: str, node_id: str, origin: str, flags: int = 0) -> dict[str, Any]:
        host, _, port = origin.partition("://")[2].rpartition(":")
        net = {"node_ip_addr": host, "daemon_port": port, "direct_url": origin}
        return {
            "public_net": net,
            "intra_data_net": net,
            "intra_control_net": net,
            "daemon_type": kind,
            "daemon_id": node_id,
            "flags": flags,
            "id_digest": digest(node_id),
        }


def error_body(refusal: Refusal, cluster: Cluster, *, method: str, path: str, remote: str) -> bytes:
    """Return the JSON that tells why a request failed, on one line of ASCII."""
    node = (
        f"t[{cluster.target_id}]"
        if path.startswith(("/v1/objects/", "/v1/ml/"))
        else f"p[{cluster.proxy_id}]"
    )
    message = refusal.message
    if len(message) > _LONGEST_MESSAGE:  # clients read headers of 64 KiB
        message = f"{message[:_LONGEST_MESSAGE]}..."
    if refusal.tcode == "ErrNotFound":
        message = f"{node}: {message}"
    body: dict[str, Any] = {"tcode": refusal.tcode} if refusal.tcode else {}
    body |= {"message": message, "method": method, "url_path": path, "remote_addr": remote}
    body |= {"caller": "", "node": node, "status": refusal.status}
    return json.dumps(body, separators=(",", ":")).encode()


def new_id() -> str:
    """Return a fresh id of a job or upload, in the form of AIStore's: nine letters and digits."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(9))


def json_body(value: Any) -> bytes:
    """Return JSON as AIStore sends it, with a newline at its end."""
    return msgspec.json.encode(value) + b"\n"


def bucket_entry(bucket: BucketName) -> dict[str, Any]:
    """Return how a bucket appears in the list of buckets."""
    return {
        "name": bucket.name,
        "provider": "ais",
        "namespace": {"uuid": "", "name": bucket.namespace},
    }


def bucket_props(props: BucketProps, status: os.stat_result) -> str:
    """Return the bucket properties, as one line of JSON.

    Args:
        props: Those that can be set.
        status: Of the bucket's folder.
    """
    told = {
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
    return json.dumps(told, separators=(",", ":"))


def packed_list(page: Page, message: ListMessage, new_uuid: str) -> bytes:
    """Return a listing page as msgpack."""
    uuid = message.uuid or new_uuid
    return msgspec.msgpack.encode(PackedPage(uuid, page.token, page.entries or None))


def json_list(page: Page, message: ListMessage, new_uuid: str) -> bytes:
    """Return a listing page as JSON; sizes are strings in it."""
    return json_body(
        {
            "uuid": message.uuid or new_uuid,
            "continuation_token": page.token,
            "entries": [_json_entry(entry) for entry in page.entries] or None,
            "flags": 0,
        }
    )


def object_headers(record: Record, status: os.stat_result) -> list[tuple[str, str]]:
    """Return the headers that every reply about an existing object carries."""
    headers = [
        ("Ais-Checksum-Type", "xxhash2"),
        ("Ais-Checksum-Value", record.checksum),
        ("Ais-Atime", str(status.st_atime_ns)),
    ]
    return headers + version_headers(record) + custom_headers(record)


def version_headers(record: Record) -> list[tuple[str, str]]:
    """Return the header of the version, where there is one."""
    return [("Ais-Version", str(record.version))] if record.version else []


def custom_headers(record: Record) -> list[tuple[str, str]]:
    """Return one header for each item of custom metadata."""
    return [
        ("Ais-Custom-Md", one_line(f"{key}={value}"))
        for key, value in sorted(record.custom.items())
    ]


def head_headers(
    bucket: BucketName, name: str, location: str, record: Record, status: os.stat_result
) -> list[tuple[str, str]]:
    """Return the headers of a HEAD in its first form, without `props`."""
    headers = [
        *object_headers(record, status),
        ("Ais-Name", one_line(name)),
        ("Ais-Bucket-Name", bucket.name),
        ("Ais-Bucket-Provider", "ais"),
        ("Ais-Location", location),
        ("Ais-Mirror-Copies", "1"),
        ("Ais-Mirror-Paths", f"[{mountpath(location)}]"),
        ("Ais-Present", "true"),
    ]
    return [*headers, ("Content-Length", str(status.st_size))] if status.st_size else headers


def head_props_headers(
    props: str, location: str, record: Record, status: os.stat_result
) -> list[tuple[str, str]]:
    """Return the headers of a HEAD in its second form, with the asked-for `props`.

    Raises:
        Refusal: There is no such property.
    """
    wanted = {prop.strip() for prop in props.split(",")} - {""}
    if unknown := sorted(wanted - _VALID_PROPS):
        raise Refusal(
            400, f'invalid property "{unknown[0]}" in props list', headers={"Ais-Present": "true"}
        )
    modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(status.st_mtime))
    known: Mapping[str, list[tuple[str, str]]] = {
        "checksum": object_headers(record, status)[:2],
        "version": version_headers(record),
        "atime": [("Ais-Atime", str(status.st_atime_ns))],
        "custom": custom_headers(record),
        "location": [("Ais-Location", location)],
        "copies": [("Ais-Mirror-Copies", "1"), ("Ais-Mirror-Paths", mountpath(location))],
        "chunked": _chunk_headers(record),
        "last-modified": [("Last-Modified", modified)],
        "etag": [("ETag", f'"v{record.version}-{record.checksum}"')],
    }
    always = [("Ais-Present", "true"), ("Content-Length", str(status.st_size))]
    return always + [header for prop in sorted(wanted & known.keys()) for header in known[prop]]


def _chunk_headers(record: Record) -> list[tuple[str, str]]:
    if record.parted is None:
        return []
    return [
        ("Ais-Chunks-Count", str(record.parted.parts)),
        ("Ais-Chunks-Max-Chunk-Size", str(record.parted.largest_bytes)),
    ]


def mountpath(location: str) -> str:
    """Return the folder named in a location `t[id]:mp[folder]`."""
    return location.partition("mp[")[2][:-1]


def one_line(text: str) -> str:
    """Return text that fits a header: control characters become spaces, bytes beyond UTF-8 "?".

    Go's HTTP server does so with line breaks, and sends the others, which many clients refuse.
    """
    if text.isprintable():
        return text
    return text.translate(_SPACES).encode("utf-8", "replace").decode()


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
