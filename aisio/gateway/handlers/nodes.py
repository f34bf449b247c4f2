"""Requests about the nodes of the cluster: the map, statistics, state and logs."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from aisio.gateway.http.access import SignedRedirects
from aisio.gateway.http.bodies import json_body
from aisio.gateway.http.cluster import Cluster
from aisio.gateway.http.exchange import Exchange
from aisio.gateway.http.request_stats import RequestStats
from aisio.gateway.http.responses import JSON, TEXT, make_response
from aisio.gateway.logs import RecentLog
from aisio.gateway.protocol.refusals import Refusal
from aisio.version import __version__

_AIS_VERSION = f"5.0.aisio-{__version__}"
_NODE_HEADER = "ais-node-id"
_SEVERITIES = {"i": "I", "w": "W", "e": "W"}
"""The least severity to send, by the first letter of what is asked for. As on a cluster, errors
come with the warnings."""


class Nodes:
    """The nodes that the gateway presents: a proxy and a target, both itself.

    Args:
        root: The served folder.
        cluster: The nodes' ids.
        stats: Counts of requests.
        log: What was logged.
        redirects: What the proxy signs; None if it does not.
    """

    def __init__(
        self,
        root: str,
        cluster: Cluster,
        stats: RequestStats,
        log: RecentLog,
        redirects: SignedRedirects | None = None,
    ) -> None:
        self._root = root
        self._cluster = cluster
        self._stats = stats
        self._log = log
        self._redirects = redirects

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        """Answer for the proxy."""
        return self._answer(exchange, self._cluster.proxy_id)

    async def get_forwarded(self, exchange: Exchange) -> web.StreamResponse:
        """Answer for the node that a header names, as a proxy does that forwards the request."""
        parts = exchange.target.parts
        if len(parts) < 2 or not parts[1]:
            raise Refusal(400, "URL 'v1/reverse' is too short: expected 3 items, got 2")
        if parts[1:] != ("daemon",):
            raw_path = exchange.request.raw_path
            raise Refusal(400, f"invalid request URI: '{exchange.request.method} {raw_path}'")
        node_id = exchange.request.headers.get(_NODE_HEADER, "")
        if not node_id:
            raise Refusal(400, "missing node ID")
        if node_id not in (self._cluster.proxy_id, self._cluster.target_id):
            message = (
                f"p[{self._cluster.proxy_id}]: cannot forward request to node "
                f"node {node_id} not present in Smap v1"
            )
            raise Refusal(404, message, tcode="errNodeNotFound")
        return self._answer(exchange, node_id)

    def cluster_stats(self, exchange: Exchange) -> web.StreamResponse:
        """Answer for all nodes at once."""
        proxy_id, target_id = self._cluster.proxy_id, self._cluster.target_id
        values = {
            "proxy": self._node_stats(exchange, proxy_id),
            "target": {target_id: self._node_stats(exchange, target_id)},
        }
        return make_response(json_body(values), content_type=JSON)

    def _answer(self, exchange: Exchange, node_id: str) -> web.StreamResponse:
        what = exchange.target.query.get("what", "")
        if what == "log":
            return self._send_log(exchange)
        values: Any
        if what == "smap":
            values = self._map(exchange)
        elif what == "snode":
            values = self._node(exchange, node_id)
        elif what == "node_stats":
            values = self._node_stats(exchange, node_id)
        elif what == "node_status":
            values = self._node_status(exchange, node_id)
        elif what == "sysinfo":
            values = _system_info()
        else:
            raise Refusal(400, f"invalid '/v1/daemon' request: unrecognized 'what={what}' query")
        return make_response(json_body(values), content_type=JSON)

    def _send_log(self, exchange: Exchange) -> web.StreamResponse:
        """Send what was logged of a severity, as text or as an archive of one file."""
        severity = exchange.target.query.get("severity", "") or "info"
        least = _SEVERITIES.get(severity[0].lower())
        if least is None:
            raise Refusal(400, f'unknown log severity "{severity}"')
        text = self._log.text(least).encode("utf-8", "replace")
        if exchange.target.query.get("all") != "true":
            return make_response(text, content_type=TEXT)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            member = tarfile.TarInfo("aisio-gateway.log")
            member.size, member.mtime = len(text), int(time.time())
            tar.addfile(member, io.BytesIO(text))
        return make_response(archive.getvalue(), content_type="application/x-gzip")

    def _map(self, exchange: Exchange) -> dict[str, Any]:
        redirects = self._redirects
        if redirects is None:
            return self._cluster.map(exchange.origin)
        target = redirects.target_origin(exchange)
        return self._cluster.map(exchange.origin, target, redirects.verifying_key)

    def _node(self, exchange: Exchange, node_id: str) -> dict[str, Any]:
        nodes = self._map(exchange)
        node: dict[str, Any] = {**nodes["pmap"], **nodes["tmap"]}[node_id]
        return node

    def _node_stats(self, exchange: Exchange, node_id: str) -> dict[str, Any]:
        is_target = node_id == self._cluster.target_id
        uptime_ns = int(self._cluster.uptime_headers()["Ais-Node-Uptime"])
        return {
            "snode": self._node(exchange, node_id),
            "tracker": {**self._stats.snapshot(), "up.ns.time": uptime_ns},
            "capacity": _capacity(self._root) if is_target else _NO_CAPACITY,
        }

    def _node_status(self, exchange: Exchange, node_id: str) -> dict[str, Any]:
        return {
            "status": "",
            "deployment": "dev",
            "ais_version": _AIS_VERSION,
            "build_time": "",
            "k8s_pod_name": "",
            **self._node_stats(exchange, node_id),
            "cluster": {"smap": {"uuid": self._cluster.uuid, "version": "1"}},
            "sys_info": _system_info(),
            "smap_version": "1",
        }


_NO_CAPACITY = {"mountpaths": None, "cs_err": "", "total_used": "0", "total_avail": "0"}


def _capacity(root: str) -> dict[str, Any]:
    """Return what the disk of the served folder holds, sizes as strings, as AIStore writes them."""
    usage = shutil.disk_usage(root)
    percent = usage.used * 100 // usage.total if usage.total else 0
    used, available = str(usage.used), str(usage.free)
    mountpath = {"mountpath_label": "", "used": used, "avail": available, "pct_used": percent}
    totals = {"total_used": used, "total_avail": available}
    percentages = {"pct_max": percent, "pct_avg": percent, "pct_min": percent}
    return {"mountpaths": {root: mountpath}, "cs_err": "", **totals, **percentages}


def _system_info() -> dict[str, Any]:
    """Return the load of the machine, and the memory of the gateway where the system says it."""
    one, five, fifteen = os.getloadavg()
    info: dict[str, Any] = {"load_avg": {"One": one, "Five": five, "Fifteen": fifteen}}
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:  # not Linux
        return info
    return {
        "mem_used": pages * page_bytes,
        "mem_avail": os.sysconf("SC_AVPHYS_PAGES") * page_bytes,
        **info,
    }
