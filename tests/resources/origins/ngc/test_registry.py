"""Requests to NVIDIA's registry: keys, tokens and guests, and what it refuses."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path

import pytest

from aisio.errors import (
    AccessError,
    ConfigError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from aisio.resources.origins.ngc.origin import NgcOrigin
from tests.resources.ngc_origin import QUICKLY, TARGET, assert_refused, origin, read
from tests.resources.ngc_server import KEY, OLD_KEY, Fault, NgcServer

DATA = b"data"


def test_ngc_27_a_licence_that_is_not_accepted(registry: NgcServer) -> None:
    """The page where it can be is named."""
    registry.add(TARGET, {"a.bin": b""}).licence_missing = True
    page = "https://catalog.ngc.nvidia.com/orgs/nvidia/teams/clara/models/esm?version=2.0"
    assert_refused(registry, AccessError, "412 licence terms; its licence is not accepted", page)


def test_ngc_27_what_a_guest_may_not_see(registry: NgcServer) -> None:
    """The variable for a key is named."""
    registry.add(TARGET, {"a.bin": b""}).public = False
    assert_refused(
        registry, AccessError, "403 not for guests; a guest may not see it", "NGC_CLI_API_KEY"
    )


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"[]", b'{"modelVersion": 1}'])
def test_ngc_27_an_answer_that_is_not_the_registrys(registry: NgcServer, body: bytes) -> None:
    """A login page, nothing, and JSON of something else."""
    registry.faults = [Fault("/versions", status=200, body=body)]
    assert_refused(registry, StorageError)
    assert len(registry.requests) == 1


def test_ngc_27_a_registry_that_is_not_trusted(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable that helps is named; there is one try."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert_refused(registry, AccessError, "TLS failed", "REQUESTS_CA_BUNDLE")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    with pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE .*/no/such/file.pem"):
        origin().open()
    assert not registry.requests


def test_ngc_27_a_registry_that_is_not_there(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be back in a moment: it is tried again."""
    monkeypatch.setenv("NGC_CLI_API_URL", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9: no answer: .*refused.* 3 tries"):
        origin().open()


@pytest.mark.parametrize("key", ["nvapi-a-bad-key", "an-old-bad-key", "a.bad.token"])
def test_ngc_26_an_invalid_key_is_a_value_error_or_a_guest(
    registry: NgcServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    key: str,
) -> None:
    """By flag; continuing as a guest is logged, and the key is shown nowhere."""
    registry.add(TARGET, {"a.bin": DATA})
    monkeypatch.setenv("NGC_APP_KEY", key)
    strict = NgcOrigin(TARGET, "model", "a.bin", use_guest_if_key_invalid=False, retry=QUICKLY)
    with pytest.raises(ValueError, match="401 .* the key from NGC_APP_KEY is wrong") as caught:
        strict.open()
    assert isinstance(caught.value, AccessError)
    with caplog.at_level(logging.WARNING):
        assert read(origin()) == DATA
    assert caplog.text.count("continuing as a guest") == 1
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert key not in shown


@pytest.mark.parametrize("key", ["nvapi-a-key", "a.json.token"])
def test_a_key_that_is_quoted_by_the_answer_is_not_shown(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A registry, or a proxy before it, may quote the request."""
    monkeypatch.setenv("NGC_API_KEY", key)
    told = {"requestStatus": {"statusDescription": f"bad header: Bearer {key}"}}
    registry.faults = [Fault("/v2/", status=400, body=json.dumps(told).encode())]
    with pytest.raises(StorageError, match=r"400 bad header: Bearer \*\*\*") as caught:
        origin().open()
    assert key not in "".join(traceback.format_exception(caught.value))


def test_ngc_26_a_registry_that_is_down_for_the_guest_is_not_a_wrong_key(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the key is tried again the next time."""
    registry.add(TARGET, {"a.bin": DATA})
    monkeypatch.setenv("NGC_API_KEY", "nvapi-a-bad-key")
    registry.faults = [Fault("/v2/models/", status=503)] * 3
    source = origin()
    with pytest.raises(UnavailableError, match="503"):
        source.open()
    registry.keys.add("nvapi-a-bad-key")
    source.open().close()
    assert "Authorization" in registry.requests[-2].headers


def test_ngc_26_where_a_guest_does_not_help_the_key_is_what_is_wrong(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest's 403 would say too little."""
    registry.add(TARGET, {"a.bin": DATA}).public = False
    monkeypatch.setenv("NGC_API_KEY", "nvapi-a-bad-key")
    source = origin()
    for _ in range(2):
        with pytest.raises(ValueError, match="the key from NGC_API_KEY is wrong"):
            source.open()


def test_ngc_27_a_status_that_a_registry_does_not_send(registry: NgcServer) -> None:
    """Something else answers there."""
    registry.faults = [Fault("/versions", status=418)]
    assert_refused(registry, StorageError, "418; are NGC_CLI_API_URL and")


@pytest.mark.parametrize("body", [b"{}", b'{"token": 1}', b'{"token": "a b\\n"}', b"<html>"])
def test_an_authentication_service_that_gives_no_token(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """This is no refused key."""
    registry.add(TARGET, {"a.bin": DATA})
    monkeypatch.setenv("NGC_CLI_API_KEY", "an-old-key")
    registry.faults = [Fault("/token", status=200, body=body)]
    assert_refused(registry, StorageError)


def test_a_key_is_not_sent_to_where_the_authentication_service_points(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes there as a password: no redirect is followed."""
    monkeypatch.setenv("NGC_CLI_API_KEY", "an-old-key")
    registry.faults = [Fault("/token", status=307, headers={"Location": "{other}/token"})]
    assert_refused(registry, StorageError, "307; are NGC_CLI_API_URL and NGC_CLI_AUTH_URL")
    assert len(registry.requests) == 1


@pytest.mark.parametrize("key", [None, KEY, OLD_KEY])
def test_credentials_stay_with_the_registry(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str | None
) -> None:
    """Neither the storage nor a host that the registry redirects to sees them; nor ~/.netrc's."""
    registry.add(TARGET, {"a.bin": DATA})
    (tmp_path / ".netrc").write_text("machine localhost login me password secret\n", "utf-8")
    monkeypatch.setenv("NGC_CLI_ORG", "mine")
    if key:
        monkeypatch.setenv("NGC_CLI_API_KEY", key)
    told = {"modelVersion": {"status": "UPLOAD_COMPLETE"}}
    elsewhere = Fault("/elsewhere", status=200, body=json.dumps(told).encode())
    registry.faults = [
        Fault("/versions/2.0", status=307, headers={"Location": "{other}/elsewhere"}),
        elsewhere,
    ]
    assert read(origin()) == DATA
    at_others = [one for one in registry.requests if one.headers["Host"].startswith("localhost")]
    assert len(at_others) == 2
    for request in at_others:
        names = {name.lower() for name in request.headers}
        assert not names & {"authorization", "x-ngc-guest-token", "nv-ngc-org"}


def test_a_redirect_within_the_registry_keeps_the_key(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same host."""
    registry.add(TARGET, {"a.bin": DATA}).public = False
    monkeypatch.setenv("NGC_CLI_API_KEY", KEY)
    path = "/v2/org/nvidia/team/clara/models/esm/versions/2.0"
    registry.faults = [Fault(path, status=302, headers={"Location": path})]
    assert read(origin()) == DATA


def test_nothing_goes_without_tls(registry: NgcServer) -> None:
    """A redirect to plain http is not followed."""
    registry.add(TARGET, {"a.bin": DATA})
    where = registry.url.replace("https", "http")
    registry.faults = [Fault("/versions", status=302, headers={"Location": f"{where}/x?secret=1"})]
    with pytest.raises(StorageError, match="not https") as caught:
        origin().open()
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_cut_answer_is_requested_again(registry: NgcServer) -> None:
    """This is no invalid answer."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("/versions", cut_at=3), Fault("?path=", cut_at=3)]
    assert read(origin()) == DATA


@pytest.mark.parametrize(
    ("status", "kind"), [(429, ThrottledError), (503, UnavailableError), (0, UnavailableError)]
)
def test_retries_have_an_end(registry: NgcServer, status: int, kind: type[StorageError]) -> None:
    """The error says how many there were, and that no outer loop need try again."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("/versions", status, b"", {"Retry-After": "0"})] * 9
    with pytest.raises(kind, match="gave up after 3 tries") as caught:
        origin().open()
    assert caught.value.given_up
    assert len(registry.requests) == 3


def test_a_token_that_has_ended_is_renewed(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a key of the old kind a new token is requested, once."""
    registry.add(TARGET, {"a.bin": DATA}).public = False
    monkeypatch.setenv("NGC_CLI_API_KEY", OLD_KEY)
    source = origin()
    assert read(source) == DATA
    registry.keys.clear()
    registry.signatures.clear()
    assert read(source) == DATA
    tokens = [name for name in registry.asked() if name.startswith("/token")]
    assert len(tokens) == 2
    assert "group%2Fngc%3Anvidia%2Fclara" in tokens[0]
