from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from aisio.errors import ConfigError
from aisio.gateway import Gateway
from tests.gateway.conftest import Served

TOKEN = "s3cret-~"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway that demands a token and logs every request."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "b").mkdir()
    (folder / "b" / "o").write_bytes(b"data")
    with Gateway(folder, token=TOKEN, verbose=True) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Path]]:
    """Run a read-only gateway."""
    folder = tmp_path_factory.mktemp("read-only")
    (folder / "b").mkdir()
    (folder / "b" / "o").write_bytes(b"data")
    with Gateway(folder, read_only=True) as gateway:
        yield gateway, folder


def bearer(token: str) -> dict[str, bytes]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}".encode()}


@pytest.mark.parametrize("token", ["", " ", "grün", "xy z", "a\nb", "a\x1bb", "\ufeffabc"])
def test_a_token_that_no_client_can_send_is_refused(tmp_path: Path, token: str) -> None:
    """Otherwise the gateway would start, and refuse every request."""
    with pytest.raises(ConfigError, match="the gateway's token") as caught:
        Gateway(tmp_path, token=token).start()
    assert not token.strip() or token not in str(caught.value)


def test_the_line_end_of_a_tokens_file_is_ignored(tmp_path: Path, http: requests.Session) -> None:
    """Clients remove it as well."""
    with Gateway(tmp_path, token="abc\n") as gateway:
        url = f"{gateway.endpoint}/v1/buckets"
        assert http.get(url, headers=bearer("abc")).status_code == 200


@pytest.mark.parametrize("query", ["", "?readiness=true", "?prr=true"])
def test_health_needs_no_token(guarded: Gateway, http: requests.Session, query: str) -> None:
    """A program that waits for the gateway may not have the token."""
    response = http.get(f"{guarded.endpoint}/v1/health{query}")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["Ais-Cluster-Uptime"]) > 0


@pytest.mark.parametrize(
    "path", ["buckets", "buckets/b", "objects/b/o", "daemon?what=smap", "ml/moss", "no"]
)
@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong"), bearer(""), {"Authorization": b"Basic \xff"}]
)
def test_every_other_request_needs_it(
    guarded: Gateway, http: requests.Session, path: str, headers: dict[str, bytes]
) -> None:
    """401 in AIStore's form, before anything is said about buckets and objects."""
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        url = f"{guarded.endpoint}/v1/{path}"
        response = http.request(method, url, headers=headers, allow_redirects=False)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert (guarded.folder / "b" / "o").read_bytes() == b"data"


def test_the_right_token_is_accepted_before_and_after_the_redirect(
    guarded: Gateway, http: requests.Session
) -> None:
    """The redirect goes to the same host and port, so clients send the token again."""
    url = f"{guarded.endpoint}/v1/objects/b/new"
    assert http.put(url, data=b"x", headers=bearer(TOKEN)).status_code == 200
    assert http.get(url, headers=bearer(TOKEN)).content == b"x"


def get_until_logged(gateway: Gateway, *paths: str, **headers: bytes) -> str:
    """Send GET requests, and return the text of the responses when the server has logged them.

    The server logs a request when the whole response has been sent, so a client may read the log
    before the line is there. But it logs a request before it reads the next one of the connection:
    the response to the last request here, for the gateway's health, says that the others are
    logged.
    """
    parts = urlsplit(gateway.endpoint)
    with contextlib.closing(HTTPConnection(parts.hostname or "", parts.port)) as connection:
        text = ""
        for path in (*paths, "health"):
            connection.request("GET", f"/v1/{path}", headers=headers)
            text += connection.getresponse().read().decode()
    return text


def test_the_token_is_never_shown(guarded: Gateway) -> None:
    """Not in the log, the process list, or an error message."""
    text = get_until_logged(guarded, "objects/b/no", **bearer(TOKEN))
    log = guarded.read_log()
    assert "GET /v1/objects/b/no 404" in log
    assert "ais://b/no does not exist" in text
    assert TOKEN not in log + text + repr(guarded)
    command = Path(f"/proc/{guarded.pid}/cmdline")
    assert not command.exists() or TOKEN.encode() not in command.read_bytes()


def test_without_verbose_requests_are_not_logged(read_only: tuple[Gateway, Path]) -> None:
    """Nor are clients' mistakes."""
    gateway, _ = read_only
    get_until_logged(gateway, "buckets/b", "objects/b/no", "objects/b/o", "nonsense")
    assert gateway.read_log() == ""


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("PUT", "objects/b/new", None),
        ("PUT", "objects/b/o", None),
        ("PUT", "objects/b/o?pid=p&utm=1", None),
        ("DELETE", "objects/b/o", None),
        ("PATCH", "objects/b/o", None),
        ("POST", "buckets/c", "create-bck"),
        ("DELETE", "buckets/b", "destroy-bck"),
        ("DELETE", "buckets/b", "delete-listrange"),
        ("POST", "buckets/b?bck_to=ais%2F%40%23%2Fc", "copy-bck"),
        ("POST", "buckets/b?bck_to=ais%2F%40%23%2Fc", "move-bck"),
        ("POST", "buckets/b", "copy-listrange"),
        ("PUT", "buckets/b", "archive"),
        ("POST", "objects/b/o", "rename-obj"),
        ("POST", "objects/b/o", "mpt-upload"),
    ],
)
def test_a_read_only_gateway_refuses_changes(
    read_only: tuple[Gateway, Path],
    http: requests.Session,
    method: str,
    path: str,
    action: str | None,
) -> None:
    """403, and nothing is written into the folder, not even checksums."""
    gateway, folder = read_only
    body = {"action": action, "name": "n"} if action else {"value": {"k": "v"}}
    response = http.request(method, f"{gateway.endpoint}/v1/{path}", json=body)
    assert response.status_code == 403
    assert "read-only" in response.json()["message"]
    assert http.get(f"{gateway.endpoint}/v1/objects/b/o").headers["Ais-Version"] == "1"
    assert sorted(str(found.relative_to(folder)) for found in folder.rglob("*")) == ["b", "b/o"]


def test_an_error_body_has_aistores_keys(bucket: Served) -> None:
    """The official client and people read it."""
    error = bucket.get("no").json()
    assert list(error) == [
        *("tcode", "message", "method", "url_path", "remote_addr", "caller", "node", "status")
    ]
    assert (error["method"], error["status"], error["tcode"]) == ("GET", 404, "ErrNotFound")
    assert error["url_path"] == f"/v1/objects/{bucket.name}/no"
    assert error["remote_addr"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 400),
        ("GET", "/v2/buckets", 400),
        ("GET", "/v1//buckets", 400),
        ("GET", "/v1/nonsense", 400),
        ("GET", "/v1/objects", 400),
        ("GET", "/v1/objects/b", 400),
        ("PUT", "/v1/objects/b/", 400),
        ("GET", "/v1/daemon", 400),
        ("GET", "/v1/daemon?what=nonsense", 400),
        ("GET", "/v1/cluster?what=status", 400),
        ("GET", "/v1/cluster?what=nonsense", 400),
        ("GET", "/v1/ml", 400),
        ("GET", "/v1/ml/nonsense", 400),
        ("GET", "/v1/etl", 501),
        ("TRACE", "/v1/objects/b/o", 405),
        ("POST", "/v1/daemon", 405),
        ("OPTIONS", "/v1/buckets", 200),
    ],
)
def test_other_addresses_and_methods(bucket: Served, method: str, path: str, status: int) -> None:
    """400 for unknown paths, 501 for those that only a cluster has, 405 for other methods."""
    response = bucket.http.request(method, bucket.endpoint + path)
    assert response.status_code == status
    assert ("Allow" in response.headers) == (status == 405 or method == "OPTIONS")


def test_a_cloud_action_on_an_object_has_its_own_error(bucket: Served) -> None:
    """Unlike an unknown action."""
    for action, tcode in (("blob-download", "ErrNotRemoteBck"), ("nonsense", None)):
        response = bucket.http.post(bucket.url("o"), json={"action": action})
        assert (response.status_code, response.json().get("tcode")) == (400, tcode)
