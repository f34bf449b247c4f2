"""What the nodes of a cluster report of themselves, as far as it tells how full they are.

Source:
    AIStore 5.0, stats/api.go and fs/capacity.go; checked against a live cluster.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from aisio.wire.decoding import decoding

__all__ = ["TargetCapacity", "parse_capacities"]


class TargetCapacity(NamedTuple):
    """How full the disks of a target are, by objects and by everything else.

    Attributes:
        target: The target's id.
        used_bytes: Bytes that are used; None if the target does not say.
        available_bytes: Bytes that are free; None if the target does not say.
        problem: What the target reports, as of disks that are nearly full; "" for nothing.
    """

    target: str
    used_bytes: int | None
    available_bytes: int | None
    problem: str = ""


class _Capacity(msgspec.Struct):
    total_used: int = 0
    total_avail: int = 0
    cs_err: str = ""


class _Node(msgspec.Struct):
    capacity: _Capacity = msgspec.field(default_factory=_Capacity)


class _ClusterStats(msgspec.Struct):
    target: dict[str, _Node | None] | None = None


# AIStore writes 64-bit numbers as JSON strings; strict=False takes both spellings.
_decoder = msgspec.json.Decoder(_ClusterStats, strict=False)


def parse_capacities(body: bytes, about: str) -> list[TargetCapacity]:
    """Parse the statistics of a cluster, sorted by the ids of the targets.

    Args:
        body: The response to `GET /v1/cluster?what=node_stats`.
        about: The cluster's address, for errors.

    Raises:
        IntegrityError: The body is something else.
    """
    with decoding(f"statistics of {about}: the reply has none", about):
        nodes = _decoder.decode(body).target or {}
    return [_capacity(target, node) for target, node in sorted(nodes.items())]


def _capacity(target: str, node: _Node | None) -> TargetCapacity:
    known = node.capacity if node is not None else _Capacity()
    if not known.total_used + known.total_avail:  # a target that has just started has not looked
        return TargetCapacity(target, None, None, known.cs_err)
    return TargetCapacity(target, known.total_used, known.total_avail, known.cs_err)
