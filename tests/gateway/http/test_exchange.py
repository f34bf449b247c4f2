from __future__ import annotations

import socket

import pytest

from aisio.gateway.http.exchange import ActionMessage, decode_message
from aisio.gateway.protocol.refusals import Refusal
from tests.gateway.conftest import Served
from tests.gateway.raw_http import connected, head_of, request


def test_a_put_of_headers_only_is_redirected_at_once(bucket: Served) -> None:
    """A client gets the address for its bytes without having sent any."""
    with connected(bucket) as connection:
        connection.sendall(
            request(bucket, "PUT", "o", "Content-Length: 1000000", "Connection: close")
        )
        status, headers = head_of(connection)
    assert status == 307
    assert headers["Location"].startswith(f"http://test/v1/objects/{bucket.name}/o?pid=p")
    assert "&utm=" in headers["Location"]


def test_the_address_keeps_the_query(bucket: Served) -> None:
    """Provider and namespace are part of it, and the path is quoted as it was."""
    url = bucket.url("a%3Fb%20%2525", "?provider=ais")
    address = bucket.http.put(url, data=b"x", allow_redirects=False).headers["Location"]
    assert address.startswith(url + "&pid=")


def test_the_cluster_map_names_the_gateway_as_the_client_knows_it(bucket: Served) -> None:
    """Behind a forwarded port or a proxy, the nodes have the address that the client uses."""
    with connected(bucket) as connection:
        connection.sendall(b"GET /v1/daemon?what=smap HTTP/1.1\r\nHost: outside:99\r\n\r\n")
        _, headers = head_of(connection)
        body = connection.recv(int(headers["Content-Length"]), socket.MSG_WAITALL)
    assert b'"direct_url":"http://outside:99"' in body


@pytest.mark.parametrize(
    ("body", "has_value"), [(b'{"value": {}}', True), (b'{"value": null}', False), (b"{}", False)]
)
def test_null_is_no_value(body: bytes, has_value: bool) -> None:
    """Clients send it for actions without a value."""
    assert decode_message(body, ActionMessage).has_value is has_value


def test_an_empty_body_is_no_message() -> None:
    """The error is the one of a server in Go."""
    with pytest.raises(Refusal, match="failed to unmarshal ActionMessage, err: EOF"):
        decode_message(b"", ActionMessage)
