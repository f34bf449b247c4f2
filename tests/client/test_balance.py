"""What each target holds, as the cluster says."""

from __future__ import annotations

import pytest

from aisio.client.balance import Balance, TargetShare, capacities, count_by_target
from aisio.client.client import Client
from aisio.gateway import Gateway
from aisio.records import ObjectInfo


def test_objects_are_counted_where_they_are():
    """A target that was not known before is there as well, and no object is lost."""
    known = Balance((TargetShare("a", used_bytes=1, available_bytes=2), TargetShare("b")))
    infos = [
        ObjectInfo("ais://x", "1", 10, location="t[a]:mp[/1, nvme0]"),
        ObjectInfo("ais://x", "2", 20, location="t[a]:mp[/2]"),
        ObjectInfo("ais://x", "3", None, location="t[c]:mp[/1]"),
        ObjectInfo("ais://x", "4", 5),
        ObjectInfo("ais://x", "5", 5, location="t[]"),
        ObjectInfo("ais://x", "6", 5, location="other"),
    ]
    assert count_by_target(known, infos) == Balance(
        (
            TargetShare("a", 2, 30, 1, 2),
            TargetShare("b", 0, 0),
            TargetShare("c", 1, 0),
        ),
        elsewhere=3,
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of a gateway."""
    with Gateway(tmp_path_factory.mktemp("buckets")) as gateway:
        yield Client(gateway.endpoint)


def test_a_gateway_is_one_target(client):
    """Its disk is that of its folder."""
    bucket = client.bucket("balance").create()
    for number in range(3):
        bucket.object(f"a/{number}").put(b"12345")
    balance = capacities(client.session)
    (share,) = balance.targets
    assert share.used_bytes
    assert share.available_bytes
    counted = count_by_target(balance, bucket.list("a/", props="name,size,location"))
    assert [(one.target, one.objects, one.size_bytes) for one in counted.targets] == [
        (share.target, 3, 15)
    ]
    assert counted.elsewhere == 0
