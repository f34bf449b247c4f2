"""The nodes' state and logs: as the official client asks for them, and as a cluster refuses."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import requests

from aisio.gateway import Gateway
from tests.gateway.conftest import Served


def ask(bucket: Served, query: str, node: str = "", path: str = "/daemon") -> requests.Response:
    """Ask a node, through the proxy."""
    url = f"{bucket.endpoint}/v1/reverse{path}?{query}"
    return bucket.http.get(url, headers={"ais-node-id": node} if node else {})


@pytest.fixture
def target(bucket: Served) -> str:
    """Return the target's id."""
    url = f"{bucket.endpoint}/v1/daemon?what=smap"
    (found,) = bucket.http.get(url).json()["tmap"]
    assert isinstance(found, str)
    return found


def tracker(bucket: Served, target: str) -> dict[str, int]:
    """Return the target's counts."""
    values: dict[str, int] = ask(bucket, "what=node_status", target).json()["tracker"]
    return values


def test_the_state_of_a_node_counts_requests(bucket: Served, target: str) -> None:
    """Of both protocols; a PUT that is redirected counts once, and errors count apart."""
    before = tracker(bucket, target)
    bucket.put("o", b"hello")
    bucket.http.put(f"{bucket.endpoint}/s3/{bucket.name}/p", data=b"hello!")
    bucket.get("o")
    bucket.get("nope")
    bucket.names()
    after = tracker(bucket, target)
    changes = {name: after[name] - before[name] for name in before}
    expected = {"put.n": 2, "put.size": 11, "get.n": 1, "get.size": 5, "err.get.n": 1, "lst.n": 1}
    assert {name: changes[name] for name in expected} == expected
    assert changes["get.ns.total"] > 0


def test_the_state_of_a_node_is_that_of_a_cluster(bucket: Served, target: str) -> None:
    """With the fields that a cluster's has, sizes as strings."""
    status = ask(bucket, "what=node_status", target).json()
    assert status["snode"]["daemon_id"] == target
    assert status["ais_version"].startswith("5.0.aisio-")
    (mountpath,) = status["capacity"]["mountpaths"].values()
    assert int(mountpath["used"]) > 0
    assert status["sys_info"]["load_avg"].keys() == {"One", "Five", "Fifteen"}
    stats = ask(bucket, "what=node_stats", target).json()
    assert stats.keys() == {"snode", "tracker", "capacity"}
    proxy = bucket.http.get(f"{bucket.endpoint}/v1/daemon?what=node_status").json()
    assert proxy["snode"]["daemon_type"] == "proxy"
    assert proxy["capacity"]["mountpaths"] is None
    assert ask(bucket, "what=snode", target).json()["daemon_type"] == "target"
    assert "load_avg" in ask(bucket, "what=sysinfo", target).json()


def test_the_official_client_asks_for_performance_and_logs(client: Any) -> None:
    """By all its calls of that kind."""
    cluster = client.cluster()
    (target,) = cluster.get_info().tmap
    assert cluster.get_performance()[target]["tracker"]["put.n"] >= 0
    assert cluster.get_node_log(target).startswith("Started up at ")
    assert cluster.get_cluster_logs().keys() == {target}
    with tarfile.open(fileobj=io.BytesIO(cluster.get_node_log_archive(target))) as tar:
        assert tar.getnames() == ["aisio-gateway.log"]


def test_the_log_holds_what_was_logged(tmp_path: Path) -> None:
    """By severity; a token is in no line."""
    (tmp_path / "stray").write_bytes(b"")
    with Gateway(tmp_path, verbose=True) as gateway:
        url = f"{gateway.endpoint}/v1/daemon?what=log"
        requests.get(f"{gateway.endpoint}/v1/buckets?a=%0Ab")
        text = requests.get(url).text
        assert "/v1/buckets" in text
        assert "stray" in text
        first, *lines = requests.get(f"{url}&severity=error").text.splitlines()
        assert first.startswith("Started up at ")
        assert [line[0] for line in lines] == ["W"]
        for severity in ("w", "Warning", "e"):
            assert requests.get(f"{url}&severity={severity}").text.count("\n") == 2


@pytest.mark.parametrize(
    ("query", "node", "path", "status", "message"),
    [
        ("what=snode", "", "/daemon", 400, "missing node ID"),
        ("what=snode", "nope", "/daemon", 404, "cannot forward request to node node nope"),
        ("", "it", "/daemon", 400, "unrecognized 'what=' query"),
        ("what=config", "it", "/daemon", 400, "unrecognized 'what=config' query"),
        ("what=snode", "it", "/nope", 400, "invalid request URI"),
        ("what=snode", "it", "", 400, "is too short: expected 3 items, got 2"),
        ("what=log&severity=loud", "it", "/daemon", 400, 'unknown log severity "loud"'),
    ],
)
def test_what_a_cluster_refuses(
    bucket: Served, target: str, query: str, node: str, path: str, status: int, message: str
) -> None:
    """In the words of a live cluster."""
    response = ask(bucket, query, target if node == "it" else node, path)
    assert response.status_code == status
    assert message in response.json()["message"]


def test_the_state_of_all_nodes_at_once(bucket: Served, target: str) -> None:
    """As each of them reports it."""
    url = f"{bucket.endpoint}/v1/cluster?what=node_stats"
    found = bucket.http.get(url).json()
    assert found["proxy"]["snode"]["daemon_type"] == "proxy"
    assert list(found["target"]) == [target]
    capacity = found["target"][target]["capacity"]
    assert int(capacity["total_used"]) > 0
    assert capacity.keys() == ask(bucket, "what=node_stats", target).json()["capacity"].keys()
