"""What nodes report of their disks."""

from __future__ import annotations

import json

import pytest

from aisio.errors import IntegrityError
from aisio.wire.node_stats import TargetCapacity, parse_capacities


def body(**targets: object) -> bytes:
    """Return the response of a cluster."""
    return json.dumps({"proxy": {"snode": {}}, "target": targets}).encode()


def test_capacities_are_sorted_by_target():
    """AIStore writes sizes as strings, and a problem of the disks as a text."""
    full = {"total_used": "30", "total_avail": "10", "cs_err": "low on free space", "pct_max": 75}
    new = {"total_used": "0", "total_avail": "0", "cs_err": ""}
    found = parse_capacities(body(b={"capacity": new}, a={"capacity": full}, c=None), "here")
    assert found == [
        TargetCapacity("a", 30, 10, "low on free space"),
        TargetCapacity("b", None, None),
        TargetCapacity("c", None, None),
    ]
    assert parse_capacities(b'{"target": null}', "here") == []


def test_what_is_no_statistics_is_an_error():
    """It names the cluster."""
    with pytest.raises(IntegrityError, match="statistics of here"):
        parse_capacities(b"<html>", "here")
