"""Without a fault, the proxy's process forwards everything unchanged."""

from __future__ import annotations

import json

import pytest

from aisio.testing.fault_proxy import FaultProxy, Restart
from tests.origin_server import BODY, cluster_map, send, serving


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_request_and_reply_pass_unchanged(proxy, method, connect):
    """Method, path, query, headers and body are the server's, and the log has them."""
    target = "/v1/objects/b/a%20%3F%23?provider=ais&x=%2F"
    got = send(connect(proxy.endpoint), target, method, headers={"Range": "bytes=1-"})
    sent_method, sent_target, sent_headers = json.loads(got.headers["X-Request"])
    assert (sent_method, sent_target) == (method, target)
    assert dict(sent_headers)["Range"] == "bytes=1-"
    assert got.headers.get_all("X-Twice") == ["1", "2"]
    assert (got.status, got.headers["Content-Length"]) == (200, str(len(BODY)))
    assert got.body == (b"" if method == "HEAD" else BODY)
    (seen,) = proxy.requests
    assert (seen.method, seen.target, seen.path) == (method, target, "/v1/objects/b/a%20%3F%23")
    assert (seen.headers["range"], seen.status, seen.fault) == ("bytes=1-", 200, "")
    assert (seen.sent_bytes, seen.node) == (len(got.body), next(iter(proxy.nodes)))


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
def test_request_bodies_pass(proxy, method, connect):
    """A body arrives whole, with its length, in chunks, or after 100 Continue."""
    connection = connect(proxy.endpoint)
    assert send(connection, method=method, body=BODY).body == BODY
    assert send(connection, method=method, body=iter([b"in chunks"])).body == b"in chunks"
    assert (
        send(connection, method=method, body=BODY, headers={"Expect": "100-continue"}).body == BODY
    )
    assert proxy.connections == 1


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/chunked", 200, b"hello world"),
        ("/204", 204, b""),
        ("/304", 304, b""),
        ("/404", 404, b"why"),
    ],
)
def test_connection_stays_in_step(proxy, path, status, body, connect):
    """Bodies in chunks, and none at all, leave a connection that serves the next request."""
    connection = connect(proxy.endpoint)
    for _ in range(2):
        assert send(connection, path)[:3] == (status, body, "")
    assert send(connection, path, "HEAD")[:3] == (status, b"", "")
    assert send(connection, "/name/x").body == b"/name/x"
    assert proxy.connections == 1


def test_body_without_a_length_ends_with_its_connection(proxy, connect):
    """What the server ends by closing, the proxy ends by closing."""
    got = send(connect(proxy.endpoint), "/endless")
    assert (got.body, got.headers["Connection"]) == (BODY, "close")


def test_body_that_the_server_cuts_is_cut(proxy, connect):
    """A fault of the server's own is passed on as it is."""
    assert send(connect(proxy.endpoint), "/cut")[:3] == (200, b"four", "cut")


def test_server_that_is_gone_is_a_broken_connection(connect):
    """Where the server refuses, the client's connection is reset."""
    with serving() as url:
        pass
    with FaultProxy(url) as proxy:
        assert send(connect(proxy.endpoint)).error == "ConnectionResetError"


def test_an_early_response_reaches_a_client_that_waits(proxy, connect):
    """A PUT of headers alone gets its redirect, though its body never comes."""
    connection = connect(proxy.endpoint)
    headers = {"Content-Length": "1000000", "Connection": "close"}
    got = send(connection, "/early", "PUT", headers=headers)
    assert (got.status, got.headers["Location"]) == (307, f"{proxy.endpoint}/early")


def test_redirects_lead_through_the_proxy(connect):
    """A node that a Location names gets a port of its own; what goes there is logged with it."""
    with serving() as target, serving(peer=target) as url, FaultProxy(url) as proxy:
        location = send(connect(proxy.endpoint), "/moved").headers["Location"]
        endpoint, _, rest = location.rpartition("/")
        assert (endpoint, rest) == (proxy.nodes[target], "there?a=%2F")
        assert endpoint not in (target, url, proxy.endpoint)
        assert send(connect(endpoint), "/there?a=%2F").body == BODY
        assert [seen.node for seen in proxy.requests] == [url, target]


def test_cluster_map_names_the_proxy(connect):
    """Public addresses are rewritten, ids and digests are not: placement stays the same."""
    with serving() as target, serving(peer=target) as url, FaultProxy(url) as proxy:
        received = json.loads(send(connect(proxy.endpoint), "/v1/daemon?what=smap").body)
        assert received["proxy_si"]["public_net"]["direct_url"] == proxy.endpoint
        assert proxy.nodes[url] == proxy.endpoint
        expected = cluster_map(proxy.endpoint, proxy.nodes[target])
        assert received == expected
        assert send(connect(received["tmap"]["t"]["public_net"]["direct_url"])).body == BODY


def test_a_target_at_its_proxys_address_can_have_a_port_of_its_own(connect):
    """As a gateway's: its requests can be told apart, and reach the same server."""
    with serving() as url, FaultProxy(url, separate_targets=True) as proxy:
        received = json.loads(send(connect(proxy.endpoint), "/v1/daemon?what=smap").body)
        target = received["tmap"]["t"]["public_net"]["direct_url"]
        assert received["proxy_si"]["public_net"]["direct_url"] == proxy.endpoint != target
        assert send(connect(target)).body == BODY
        assert [seen.node for seen in proxy.requests] == [url, f"{url}#target"]
        assert proxy.nodes == {url: proxy.endpoint, f"{url}#target": target}


def test_a_cleared_proxy_refuses_no_more(proxy, connect):
    """What is left of a Restart is gone with the rules."""
    proxy.add(Restart(refused_connections=5))
    assert send(connect(proxy.endpoint)).error == "ConnectionResetError"
    proxy.clear()
    assert send(connect(proxy.endpoint)).body == BODY
