"""What each target holds, by the cluster's own account."""

from __future__ import annotations

import json

import requests

from aisio.client.balance import capacities, count_by_target
from aisio.client.client import Bucket, Client


def test_all_objects_are_on_targets_of_the_map(client: Client, bucket: Bucket) -> None:
    """Each once; and each target says how full its disks are."""
    for number in range(40):
        bucket.object(f"{number}").put(bytes(number))
    smap = json.loads(requests.get(f"{client.endpoint}/v1/daemon?what=smap", timeout=10).content)
    balance = count_by_target(capacities(client.session), bucket.list(props="name,size,location"))
    assert [share.target for share in balance.targets] == sorted(smap["tmap"])
    assert sum(share.objects or 0 for share in balance.targets) == 40
    assert sum(share.size_bytes or 0 for share in balance.targets) == sum(range(40))
    assert balance.elsewhere == 0
    for share in balance.targets:
        assert share.used_bytes
        assert share.available_bytes


def test_a_target_holds_what_the_placement_says(client: Client, bucket: Bucket) -> None:
    """The location of a listing is the node that reads go to."""
    for number in range(10):
        bucket.object(f"{number}").put(b"x")
    targets = client.session.read_cluster_map()
    for info in bucket.list(props="name,location"):
        place = targets.target_of(bucket.object(info.name).url)
        assert info.location.startswith(f"t[{place.id}]:")
