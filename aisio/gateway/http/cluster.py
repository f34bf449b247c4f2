"""The cluster that the gateway presents to clients: one proxy and one target, both itself.

Source: AIStore 5.0; compared response by response with a live cluster of 1 proxy and 2 targets.
"""

from __future__ import annotations

import secrets
import time
from functools import cached_property
from typing import Any

import xxhash

from aisio.wire.placement import digest

_ID_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Cluster:
    """The ids and the map of the cluster.

    Args:
        identity: A text that no other gateway has, such as the path of its folder.
    """

    def __init__(self, identity: str) -> None:
        self.uuid = xxhash.xxh64_hexdigest(identity.encode(), 0)
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
