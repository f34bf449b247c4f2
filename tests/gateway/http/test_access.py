"""Access: two ports of one gateway, of which only one answers what nobody has redirected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from aisio.gateway import Gateway
from tests.token_file import new_jwt

pytest.importorskip("cryptography")

KEY = "k3y"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway as a secured cluster: with tokens of AuthN and signed redirects."""
    folder = tmp_path_factory.mktemp("secured")
    (folder / "b").mkdir()
    (folder / "b" / "a b%é").write_bytes(b"data")
    with Gateway(folder, jwt_key=KEY, signed_redirects=True) as gateway:
        yield gateway


class Nodes:
    """Requests to a gateway at the port of its proxy and that of its target."""

    def __init__(self, gateway: Gateway) -> None:
        self.proxy = gateway.endpoint
        self.headers = {"Authorization": f"Bearer {new_jwt(KEY)}"}
        smap = requests.get(f"{self.proxy}/v1/daemon?what=smap", headers=self.headers).json()
        (node,) = smap["tmap"].values()
        self.target = node["public_net"]["direct_url"]
        self.key = smap["proxy_si"]["verifying_key"]

    def send(
        self, method: str, url: str, headers: dict[str, str] | None = None, **options: Any
    ) -> requests.Response:
        """Send a request, with the token to the proxy alone; follow no redirect."""
        own = self.headers if url.startswith(self.proxy) else {}
        return requests.request(
            method,
            url,
            headers={**own, **(headers or {})},
            allow_redirects=False,
            timeout=20,
            **options,
        )


@pytest.fixture(scope="module")
def nodes(gateway: Gateway) -> Nodes:
    """Return both of its nodes."""
    return Nodes(gateway)


OBJECT = "/v1/objects/b/a%20b%25%C3%A9?provider=ais"


def test_an_object_is_read_by_a_redirect(nodes: Nodes) -> None:
    """It serves any range, and as often as one likes, without the token."""
    answer = nodes.send("GET", nodes.proxy + OBJECT)
    assert answer.status_code == 301
    location = answer.headers["Location"]
    assert location.startswith(nodes.target + OBJECT)
    for byte_range, data in (("bytes=0-1", b"da"), ("bytes=2-3", b"ta")):
        assert nodes.send("GET", location, headers={"Range": byte_range}).content == data


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_direct_request_is_refused(nodes: Nodes, method: str) -> None:
    """As AIStore's target does; with the marks of a redirect, the signature is missing."""
    assert nodes.send(method, nodes.target + OBJECT).status_code == 400
    marked = nodes.send(method, f"{nodes.target}{OBJECT}&pid=p1&utm=1")
    assert marked.status_code == 401
    error = marked.headers["Hdr-Error"] if method == "HEAD" else marked.text
    assert "missing signature" in error


def test_a_redirect_is_for_one_method(nodes: Nodes) -> None:
    """Who may read an object may not delete it."""
    location = nodes.send("GET", nodes.proxy + OBJECT).headers["Location"]
    assert nodes.send("DELETE", location).status_code == 401


def test_data_is_written_by_a_redirect_for_its_length(nodes: Nodes) -> None:
    """The proxy signs the length that it is told."""
    url = f"{nodes.proxy}/v1/objects/b/new?provider=ais"
    location = nodes.send("PUT", url, data=b"12345").headers["Location"]
    assert nodes.send("PUT", location, data=b"1234").status_code == 401
    assert nodes.send("PUT", location, data=b"12345").status_code == 200
    location = nodes.send("DELETE", url).headers["Location"]
    assert nodes.send("DELETE", location).status_code == 200


def test_buckets_are_the_proxys(nodes: Nodes) -> None:
    """It does not redirect what is not about objects, and the target does not do it."""
    message = {"action": "list", "value": {}}
    listed = nodes.send("GET", f"{nodes.proxy}/v1/buckets/b?provider=ais", json=message)
    assert [entry["name"] for entry in listed.json()["entries"]] == ["a b%é"]
    refused = nodes.send("GET", f"{nodes.target}/v1/buckets/b?provider=ais", json=message)
    assert (refused.status_code, refused.json()["message"]) == (403, "direct target access denied")


def test_the_target_tells_that_it_is_there(nodes: Nodes) -> None:
    """Health and map are not secret."""
    assert nodes.send("GET", f"{nodes.target}/v1/health").status_code == 200
    assert nodes.send("GET", f"{nodes.target}/v1/daemon?what=smap").status_code == 200


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (None, 401),
        ("garbage", 401),
        (new_jwt(KEY, expires_in_s=-1), 401),
        (new_jwt("other"), 401),
        (new_jwt(KEY, admin=False), 403),
    ],
)
def test_the_proxy_redirects_nobody_without_a_token(
    nodes: Nodes, token: str | None, status: int
) -> None:
    """Else its signature would be of no use."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.get(nodes.proxy + OBJECT, headers=headers, allow_redirects=False, timeout=20)
    assert answer.status_code == status
    assert "Location" not in answer.headers


def test_the_target_is_found_under_the_name_of_the_proxy(nodes: Nodes) -> None:
    """A client that knows the gateway as localhost is not sent to another name."""
    parts = urlsplit(nodes.proxy)
    url = f"http://localhost:{parts.port}{OBJECT}"
    answer = requests.get(url, headers=nodes.headers, allow_redirects=False, timeout=20)
    assert answer.headers["Location"].startswith("http://localhost:")


def test_a_token_or_one_of_authn_is_accepted(tmp_path: Path) -> None:
    """Where both are set."""
    with Gateway(tmp_path, token="s3cret", jwt_key=KEY) as gateway:
        url = f"{gateway.endpoint}/v1/daemon?what=smap"
        for token, status in (("s3cret", 200), (new_jwt(KEY), 200), ("other", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            assert requests.get(url, headers=headers, timeout=20).status_code == status


def test_a_batch_is_made_by_the_target(nodes: Nodes) -> None:
    """The redirect has another path, which is signed."""
    message = {"in": [{"objname": "a b%é"}], "mime": ".tar", "strm": True}
    url = f"{nodes.proxy}/v1/ml/moss/b?provider=ais"
    marked = nodes.send("GET", f"{url}&pid=p1&utm=1", json=message)
    assert marked.status_code == 307
    location = nodes.send("GET", url, json=message).headers["Location"]
    assert location.startswith(f"{nodes.target}/v1/ml/moss/b/")
    batch = nodes.send("GET", location, json=message)
    assert batch.status_code == 200
    assert b"data" in batch.content


def test_s3_is_served_by_the_proxy_to_whom_authn_knows(nodes: Nodes) -> None:
    """S3 clients send a token of AuthN as that of a session; the target has no S3 API."""
    path = "/s3/b/a%20b%25%C3%A9"
    assert nodes.send("GET", nodes.proxy + path).content == b"data"
    session = {"x-amz-security-token": new_jwt(KEY)}
    assert requests.get(nodes.proxy + path, headers=session, timeout=20).content == b"data"
    assert requests.get(nodes.proxy + path, timeout=20).status_code == 403
    other = {"x-amz-security-token": new_jwt("other key")}
    assert requests.get(nodes.proxy + path, headers=other, timeout=20).status_code == 403
    refused = nodes.send("GET", nodes.target + path, session)
    assert refused.status_code == 403
    assert "direct target access denied" in refused.text


def test_the_state_of_nodes_tells_the_target_s_own_address(nodes: Nodes) -> None:
    """As the map does."""
    node = requests.get(f"{nodes.proxy}/v1/daemon?what=snode", headers=nodes.headers).json()
    assert node["verifying_key"] == nodes.key
