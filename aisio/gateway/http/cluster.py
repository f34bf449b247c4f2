"""The cluster that the gateway presents to clients: one proxy and one target, both itself.

Source: AIStore 5.0; compared response by response with a live cluster of 1 proxy and 2 targets.
"""

from __future__ import annotations

import secrets
import shutil
import time
from functools import cached_property
from typing import Any

import xxhash

from aisio.wire.placement import digest

_ID_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Cluster:
    """The ids and the map of the cluster.

    Args:
        root: The served folder; no other gateway has its path.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self.uuid = xxhash.xxh64_hexdigest(root.encode(), 0)
        self.proxy_id = f"p{self.uuid[:8]}"
        self.target_id = f"t{self.uuid[8:]}"
        self._started_ns = time.time_ns()

    def map(self, origin: str, target_origin: str = "", verifying_key: str = "") -> dict[str, Any]:
        """Return the cluster map.

        Args:
            origin: The proxy's address, as in "http://127.0.0.1:8080".
            target_origin: The target's address; "" for the same.
            verifying_key: The proxy's public key; "" if it does not sign.
        """
        proxy = _node("proxy", self.proxy_id, origin, flags=2)
        if verifying_key:
            proxy["verifying_key"] = verifying_key
        return {
            "pmap": {self.proxy_id: proxy},
            "proxy_si": proxy,
            "tmap": {self.target_id: _node("target", self.target_id, target_origin or origin)},
            "uuid": self.uuid,
            "creation_time": self._created,
            "version": "1",
        }

    def stats(self, origin: str) -> dict[str, Any]:
        """Return what the nodes report: of the target how full the disk of the folder is."""
        nodes, uptime_ns = self.map(origin), time.time_ns() - self._started_ns
        tracker = {"up.ns.time": uptime_ns}
        target = {
            "snode": nodes["tmap"][self.target_id],
            "tracker": tracker,
            "capacity": self._capacity(),
        }
        proxy = {"snode": nodes["proxy_si"], "tracker": tracker}
        return {"proxy": proxy, "target": {self.target_id: target}}

    def _capacity(self) -> dict[str, Any]:
        """Return sizes as strings, as AIStore writes them."""
        usage = shutil.disk_usage(self._root)
        used, available = str(usage.used), str(usage.free)
        percent = usage.used * 100 // usage.total if usage.total else 0
        mountpath = {"mountpath_label": "", "used": used, "avail": available, "pct_used": percent}
        percentages = {"pct_max": percent, "pct_avg": percent, "pct_min": percent}
        totals = {"total_used": used, "total_avail": available}
        return {"mountpaths": {self._root: mountpath}, "cs_err": "", **totals, **percentages}

    def uptime_headers(self) -> dict[str, str]:
        """Return how long the gateway has been up, in nanoseconds."""
        uptime = str(time.time_ns() - self._started_ns)
        return {"Ais-Cluster-Uptime": uptime, "Ais-Node-Uptime": uptime}

    @cached_property
    def _created(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._started_ns / 1e9))


def new_id() -> str:
    """Return a new id of a job or upload in AIStore's form: nine letters and digits."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(9))


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
