"""How evenly a cluster is filled: what each target holds, as the cluster itself says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aisio.client.session import Session
from aisio.records import ObjectInfo
from aisio.wire.node_stats import parse_capacities

__all__ = ["Balance", "TargetShare", "capacities", "count_by_target"]


@dataclass(frozen=True)
class TargetShare:
    """What a target holds; None for what is not known.

    Attributes:
        target: The target's id.
        objects: How many of the counted objects it holds.
        size_bytes: Their size.
        used_bytes: What is used of its disks, by whatever.
        available_bytes: What is free on them.
        problem: What the target reports of its disks; "" for nothing.
    """

    target: str
    objects: int | None = None
    size_bytes: int | None = None
    used_bytes: int | None = None
    available_bytes: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class Balance:
    """What all targets of a cluster hold.

    Attributes:
        targets: Sorted by id.
        elsewhere: How many objects were counted that no target holds: a bucket of a cloud lists
            objects that the cluster has not read yet.
    """

    targets: tuple[TargetShare, ...]
    elsewhere: int = 0


def capacities(session: Session) -> Balance:
    """Ask a cluster how full its targets are, with one request.

    Raises:
        StorageError: It cannot be asked.
        IntegrityError: It does not answer with statistics.
    """
    response = session.call("GET", "/v1/cluster", query={"what": "node_stats"})
    return Balance(
        tuple(
            TargetShare(
                one.target,
                used_bytes=one.used_bytes,
                available_bytes=one.available_bytes,
                problem=one.problem,
            )
            for one in parse_capacities(response.body, session.settings.endpoint)
        )
    )


def count_by_target(balance: Balance, infos: Iterable[ObjectInfo]) -> Balance:
    """Count objects on the targets that hold them.

    Args:
        balance: The targets of the cluster.
        infos: Objects of a listing with locations. One that has several copies counts once.
    """
    counts = {share.target: [0, 0] for share in balance.targets}
    elsewhere = 0
    for info in infos:
        target = _target_of(info.location)
        if not target:
            elsewhere += 1
            continue
        # A target that has joined since is there as well.
        count = counts.setdefault(target, [0, 0])
        count[0] += 1
        count[1] += info.size_bytes or 0
    shares = {share.target: share for share in balance.targets}
    counted = (
        replace(shares.get(target) or TargetShare(target), objects=objects, size_bytes=size_bytes)
        for target, (objects, size_bytes) in sorted(counts.items())
    )
    return Balance(tuple(counted), elsewhere)


def _target_of(location: str) -> str:
    """Return the target of a location, as in "t[abc]:mp[/disk, nvme0]"."""
    before, bracket, after = location.partition("[")
    return after.partition("]")[0] if before == "t" and bracket else ""
