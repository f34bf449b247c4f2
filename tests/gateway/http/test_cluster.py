from __future__ import annotations

import xxhash

from aisio.gateway.http.cluster import Cluster, new_id


def test_the_map_has_one_proxy_and_one_target_at_the_same_address() -> None:
    """Clients that send requests to the target directly come back to the gateway."""
    smap = Cluster("/data").map("http://127.0.0.1:8080")
    assert (len(smap["pmap"]), len(smap["tmap"])) == (1, 1)
    (target,) = smap["tmap"].values()
    assert target["public_net"] == {
        "node_ip_addr": "127.0.0.1",
        "daemon_port": "8080",
        "direct_url": "http://127.0.0.1:8080",
    }
    assert smap["proxy_si"]["daemon_type"] == "proxy"
    assert smap["version"].isdigit()


def test_node_digests_are_computed_as_aistore_does() -> None:
    """XXH64 of the node's id with AIStore's seed: placement can be computed from the map."""
    smap = Cluster("/data").map("http://127.0.0.1:8080")
    for name, node in (smap["pmap"] | smap["tmap"]).items():
        assert node["daemon_id"] == name
        assert node["id_digest"] == xxhash.xxh64_intdigest(name.encode(), 1103515245)


def test_the_same_folder_has_the_same_nodes_after_a_restart() -> None:
    """A cluster map that a client has kept stays valid."""
    assert Cluster("/data").target_id == Cluster("/data").target_id
    assert Cluster("/data").target_id != Cluster("/other").target_id


def test_ids_have_the_form_of_aistores() -> None:
    """Nine letters and digits, without those that look alike; no two are equal."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(each) == 9 and each.isalnum() and not set(each) & set("l1I0O") for each in ids)
