"""Which target holds an object: AIStore's cluster map and its rendezvous hash.

Each target of the map gets a weight that depends on its id and the object's unique name. The target
with the highest weight holds the object (highest random weight, HRW). A client with the map comes
to the same target as the proxy, and sends its request straight there, which saves a redirect.

That target *should* hold the object. While the cluster rebalances, or if the map is old, another
one may: after a 404 or a refused connection, send the request to the proxy, and fetch the map
again.

Source:
    AIStore 5.0, core/meta/hrw.go; checked against a live cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import xxhash

from aisio.errors import IntegrityError, UnavailableError
from aisio.urls import ObjectUrl, is_base_url
from aisio.wire.decoding import decoding
from aisio.wire.weights import Weights

__all__ = [
    "ClusterMap",
    "Target",
    "digest",
    "parse_cluster_map",
    "unique_name",
]

_SEED = 1103515245
_INACTIVE = 1 << 2 | 1 << 3  # in maintenance, being decommissioned


class Target(NamedTuple):
    """A storage node.

    Attributes:
        id: The target's id in the cluster.
        digest: `digest(id)`, as the map gives it.
        endpoint: Base URL of its public network, without a trailing slash.
    """

    id: str
    digest: int
    endpoint: str


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """The targets among which objects are placed, in one version of the cluster's map.

    Attributes:
        version: Grows with each change of membership; 0 if the server has no versions.
        uuid: The cluster's id; versions of different clusters cannot be compared.
        targets: Those neither in maintenance nor being decommissioned, sorted by id.
        proxy_endpoint: Base URL of the primary proxy; "" if the map names none.
        can_read_directly: Whether a request can go straight to a target, and that saves a redirect.
            The map does not tell whether the cluster demands signed requests: it then answers a
            direct read with 403.
        is_one_node: The proxy holds all objects itself, as a gateway does, and never redirects.
    """

    version: int
    uuid: str
    targets: tuple[Target, ...]
    proxy_endpoint: str = ""
    can_read_directly: bool = field(init=False)
    is_one_node: bool = field(init=False)
    _weights: Weights = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        weights = Weights([target.digest for target in self.targets])
        object.__setattr__(self, "_weights", weights)
        endpoints = {target.endpoint for target in self.targets}
        is_possible = bool(endpoints) and endpoints.isdisjoint(("", self.proxy_endpoint))
        # An attribute, as each read uses it.
        object.__setattr__(self, "can_read_directly", is_possible)
        object.__setattr__(self, "is_one_node", endpoints == {self.proxy_endpoint} != {""})

    def is_newer_than(self, other: ClusterMap) -> bool:
        """Tell whether placements computed from `other` may no longer hold."""
        return self.uuid != other.uuid or self.version > other.version

    def target_of(self, url: ObjectUrl) -> Target:
        """Return the target that should hold an object.

        Raises:
            UnavailableError: The map has no target.
        """
        targets = self.targets
        if not targets:
            raise UnavailableError(
                f"{url}: version {self.version} of the cluster's map has no active target",
                url=str(url),
            )
        weights = self._weights.of(digest(unique_name(url)))
        return targets[weights.index(max(weights))]


def digest(text: str) -> int:
    """Return the 64-bit digest of a target's id or of an object's unique name."""
    return xxhash.xxh64_intdigest(text.encode(), _SEED)


def unique_name(url: ObjectUrl) -> str:
    """Return the name that is unique in a cluster: `provider/@cluster#namespace/bucket/object`."""
    namespace = url.namespace
    return f"{url.provider}/@{namespace.cluster}#{namespace.name}/{url.bucket}/{url.name}"


class _Net(msgspec.Struct):
    direct_url: str = ""


class _Node(msgspec.Struct):
    public_net: _Net
    daemon_id: str
    id_digest: int = 0
    flags: int = 0


class _Map(msgspec.Struct):
    tmap: dict[str, _Node]
    version: int
    uuid: str = ""
    proxy_si: _Node | None = None


# AIStore writes some 64-bit numbers as JSON strings; strict=False takes both spellings.
_map = msgspec.json.Decoder(_Map, strict=False)


def parse_cluster_map(body: bytes) -> ClusterMap:
    """Parse the response to `GET /v1/daemon?what=smap`.

    Raises:
        IntegrityError: The body is not a cluster map.
    """
    with decoding("the reply is not a cluster map"):
        smap = _map.decode(body)
    targets = (_target(node) for node in smap.tmap.values() if not node.flags & _INACTIVE)
    proxy = smap.proxy_si.public_net.direct_url.rstrip("/") if smap.proxy_si else ""
    return ClusterMap(smap.version, smap.uuid, tuple(sorted(targets)), proxy)


def _target(node: _Node) -> Target:
    endpoint = node.public_net.direct_url.rstrip("/")
    if endpoint and not is_base_url(endpoint):
        raise IntegrityError(
            f"the cluster map has target {node.daemon_id!r} at {endpoint!r}, which is no base URL"
        )
    number = node.id_digest or digest(node.daemon_id)
    if number >> 64:  # also where it is negative
        raise IntegrityError(f"the cluster map gives target {node.daemon_id!r} no 64-bit digest")
    return Target(node.daemon_id, number, endpoint)
