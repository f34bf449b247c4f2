"""Placement agrees with AIStore's own numbers, and maps that cannot be used are refused."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from aisio.errors import IntegrityError, UnavailableError
from aisio.urls import Namespace, ObjectUrl
from aisio.wire.placement import (
    ClusterMap,
    Target,
    digest,
    parse_cluster_map,
    unique_name,
)
from tests.wire.test_weights import weight


def node(name: str, *, flags: int = 0, url: str = "", **fields: Any) -> dict[str, Any]:
    """Return a node of a cluster map."""
    url = url or f"http://{name}:8081"
    return {
        "public_net": {"node_ip_addr": name, "daemon_port": "8081", "direct_url": url},
        "daemon_type": "target",
        "daemon_id": name,
        "flags": flags,
        "id_digest": digest(name),
    } | fields


def map_body(*targets: dict[str, Any], version: str = "12", **fields: Any) -> bytes:
    """Return a cluster map as a server sends it."""
    proxy = node("p", url="http://p:8080")
    body = {
        "tmap": {target["daemon_id"]: target for target in targets},
        "pmap": {"p": proxy},
        "proxy_si": proxy,
        "uuid": "cluster",
        "version": version,
    }
    return json.dumps(body | fields).encode()


THREE = parse_cluster_map(map_body(node("tCCC"), node("tAAA"), node("tBBB")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ais/@#/bck/obj", 7636710260493408699),
        ("ais/@#/imagenet/train/shard-000000.tar", 17937924591299826892),
        ("aws/@#/data/a b.txt", 9988718196613431693),
        ("t8081", 8068595039456460735),
        ("tA", 4894490058445158489),
        ("tgt_abcde", 2696754786213330841),
    ],
)
def test_digest_is_aistores(text, expected):
    """Ids and unique names are hashed by XXH64 with AIStore's seed."""
    assert digest(text) == expected


def test_objects_are_placed_as_by_aistore():
    """The winner among three targets is AIStore's, for each of six objects."""
    urls = [ObjectUrl("ais", "bck", f"obj{i}") for i in range(6)]
    assert [THREE.target_of(url).id[-1] for url in urls] == list("BABAAC")


def test_target_is_the_one_of_the_highest_weight():
    """target_of, which computes all weights at once, chooses as one by one would."""
    for i in range(500):
        url = ObjectUrl("ais", "bck", f"train/é {i}?#%.jpg")
        key = digest(unique_name(url))
        assert THREE.target_of(url) == max(THREE.targets, key=lambda t: weight(t.digest, key))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://data/a b.txt", "aws/@#/data/a b.txt"),
        ("ais://@f3Kd#ml/bck/o?x#y%20", "ais/@f3Kd#ml/bck/o?x#y%20"),
        ("gs://b/dir/x?", "gcp/@#/b/dir/x?"),
    ],
)
def test_unique_name_has_the_canonical_provider_and_the_name_as_it_stands(url, expected):
    """Aliases are resolved; nothing of the name is quoted or collapsed."""
    assert unique_name(ObjectUrl.parse(url)) == expected


def test_map_leaves_out_targets_in_maintenance_and_decommission():
    """Flags 4 and 8 take a target out of placement, others do not."""
    targets = [node("a", flags=4), node("b", flags=8), node("c", flags=3), node("d", flags=0)]
    assert [t.id for t in parse_cluster_map(map_body(*targets)).targets] == ["c", "d"]


def test_the_map_has_the_endpoints_of_targets():
    """The endpoint is the public network's URL, without a slash at its end."""
    told = parse_cluster_map(map_body(node("a", url="https://10.0.0.7:51081/")))
    assert told.targets == (Target("a", digest("a"), "https://10.0.0.7:51081"),)
    assert (told.version, told.uuid, told.proxy_endpoint) == (12, "cluster", "http://p:8080")


def test_a_missing_digest_is_computed():
    """A map without id_digest places objects like one that has it."""
    told = parse_cluster_map(map_body(node("tA", id_digest=0)))
    assert told.targets[0].digest == 4894490058445158489


def test_map_survives_pickling_and_is_a_value():
    """Workers get the parent's map."""
    assert pickle.loads(pickle.dumps(THREE)) == THREE
    assert hash(THREE) == hash(parse_cluster_map(map_body(*map(node, ("tAAA", "tBBB", "tCCC")))))


def test_direct_reads_need_targets_that_are_not_the_proxy():
    """A gateway that is its own target, or one without an address, is reached through the proxy."""
    own = node("t", url="http://p:8080/")
    assert THREE.can_read_directly
    assert not parse_cluster_map(map_body(own)).can_read_directly
    assert not parse_cluster_map(map_body()).can_read_directly
    assert not ClusterMap(1, "", (Target("t", 1, ""),)).can_read_directly


def test_newer_is_a_higher_version_or_another_cluster():
    """Versions of different clusters cannot be compared."""
    old, new = ClusterMap(3, "u", ()), ClusterMap(4, "u", ())
    assert new.is_newer_than(old)
    assert not old.is_newer_than(new)
    assert not old.is_newer_than(old)
    assert ClusterMap(1, "other", ()).is_newer_than(new)


def test_map_without_active_targets_names_the_object():
    """Without a target there is a StorageError that names the object."""
    empty = parse_cluster_map(map_body(node("a", flags=4)))
    with pytest.raises(UnavailableError, match=r"ais://#ml/b/x: version 12.*no active target"):
        empty.target_of(ObjectUrl("ais", "b", "x", Namespace("", "ml")))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"tmap":null,"version":"1"}', b"\xff\xfe", map_body()[:-9],
     map_body(version="x"), map_body({"daemon_id": "a"}), map_body(node("a", id_digest="z"))],
)  # fmt: skip
def test_junk_is_refused(body):
    """What is not a cluster map is an IntegrityError, whatever it is."""
    with pytest.raises(IntegrityError, match="not a cluster map"):
        parse_cluster_map(body)


@pytest.mark.parametrize(
    "url",
    ["http://[/", "http://127.0.0.1:99999", "ftp://t", "http://t:8081/\r\nHost: x", "http://u:p@t"],
)
def test_a_target_at_no_url_makes_a_map_of_no_use(url: str) -> None:
    """Reads then go through the proxy."""
    with pytest.raises(IntegrityError, match="the cluster map has target 't' at '.*no base URL"):
        parse_cluster_map(map_body(node("t", url=url)))


@pytest.mark.parametrize("number", [-1, 1 << 64, "-5"])
def test_a_digest_has_64_bits(number: object) -> None:
    """A larger number would overflow into the weights of other targets."""
    with pytest.raises(IntegrityError):
        parse_cluster_map(map_body(node("t", id_digest=number)))
