"""What NVIDIA's registry refuses, and what it answers wrongly: each thing told apart."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any, cast

import pytest
import requests
from urllib3.exceptions import MaxRetryError, ProtocolError, ReadTimeoutError

from aisio.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    UnavailableError,
)
from aisio.resources.origins.https import plain_errors
from aisio.resources.origins.ngc.origin import NgcOrigin
from tests.resources.ngc_origin import QUICKLY, TARGET, origin, read
from tests.resources.ngc_server import Fault, NgcServer

DATA = b"data"


def refused(registry: NgcServer, kind: type[Exception], *parts: str, **how: Any) -> None:
    """Check that opening fails, and that the text names registry, file and all these parts."""
    with pytest.raises(kind) as caught:
        origin(**how).open()
    assert type(caught.value) is kind
    for part in (*parts, registry.url.removeprefix("https://"), "ngc://model/nvidia/clara"):
        assert part in str(caught.value)


def test_ngc_27_a_file_that_is_not_there(registry: NgcServer) -> None:
    """Names that are near are named."""
    registry.add(TARGET, {"sub/a.bin.gz": b"", "b.txt": b""})
    refused(registry, NotFoundError, "2.0 has no file 'a.bin'", "did you mean sub/a.bin.gz?")
    registry.add(TARGET, {f"{number}.txt": b"" for number in range(9)})
    refused(registry, NotFoundError, "it has 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 4 more")


def test_ngc_27_a_version_that_is_not_there(registry: NgcServer) -> None:
    """The latest one is named."""
    registry.add("nvidia/clara/esm:1.0", {"a.bin": b""})
    refused(registry, NotFoundError, "there is no version 2.0; the latest is 1.0")


def test_ngc_27_a_model_that_is_not_there(registry: NgcServer) -> None:
    """With and without a version it is the model that is missing, not the version."""
    for target in (TARGET, "nvidia/clara/esm"):
        refused(registry, NotFoundError, "404 no model esm; there is none", target=target)


def test_ngc_27_a_model_without_a_version(registry: NgcServer) -> None:
    """There is nothing to read yet."""
    registry.add(TARGET, {}).versions.clear()
    refused(registry, NotFoundError, "it has no version yet", target="nvidia/clara/esm")


@pytest.mark.parametrize("status", ["UPLOAD_PENDING", "CREATED"])
def test_ngc_27_a_version_that_is_not_complete(registry: NgcServer, status: str) -> None:
    """Its status is named."""
    registry.add(TARGET, {"a.bin": b""}).versions["2.0"].status = status
    refused(registry, ConflictError, f"version 2.0 is not complete, its status is {status}")


def test_ngc_27_a_licence_that_is_not_accepted(registry: NgcServer) -> None:
    """The page where it can be is named."""
    registry.add(TARGET, {"a.bin": b""}).licence_missing = True
    page = "https://catalog.ngc.nvidia.com/orgs/nvidia/teams/clara/models/esm?version=2.0"
    refused(registry, AccessError, "412 licence terms; its licence is not accepted", page)


def test_ngc_27_what_a_guest_may_not_see(registry: NgcServer) -> None:
    """The variable for a key is named."""
    registry.add(TARGET, {"a.bin": b""}).public = False
    refused(registry, AccessError, "403 not for guests; a guest may not see it", "NGC_CLI_API_KEY")


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"[]", b'{"modelVersion": 1}'])
def test_ngc_27_an_answer_that_is_not_the_registrys(registry: NgcServer, body: bytes) -> None:
    """A login page, nothing, and JSON of something else."""
    registry.faults = [Fault("/versions", status=200, body=body)]
    refused(registry, StorageError)
    assert len(registry.requests) == 1


@pytest.mark.parametrize(
    ("page", "files", "what"),
    [
        (1, ["b"], "counts other pages"),
        (2, [], "is empty"),
        (2, ["a"], "'a' comes twice"),
        (-1, ["b"], "there are -1 pages"),
        (10**6, ["b"], "there are 1000000 pages"),
    ],
)
def test_ngc_27_pages_that_do_not_fit_together(
    registry: NgcServer, page: int, files: list[str], what: str
) -> None:
    """The list changed while it was read, or it is none."""
    registry.files_a_page = 1
    registry.add(TARGET, {"a": b"", "b": b""})
    listed = [{"path": path, "sizeInBytes": 0} for path in files]
    body = json.dumps({"modelFiles": listed, "paginationInfo": {"totalPages": page}}).encode()
    registry.faults = [Fault("page-number=1" if page > 0 else "/files", status=200, body=body)]
    refused(registry, StorageError, "its list of files cannot be right", what)


@pytest.mark.parametrize(
    "answer",
    [
        {"urls": ["https://localhost/b"], "filepath": ["b.bin"]},
        {"urls": [], "filepath": []},
        {"urls": [], "filepath": ["a.bin"]},
        {"urls": ["http://localhost/a?secret"], "filepath": ["a.bin"]},
        {"filepath": ["a.bin"]},
    ],
)
def test_ngc_27_an_address_of_something_else(registry: NgcServer, answer: object) -> None:
    """It is not followed, nor shown."""
    registry.add(TARGET, {"a.bin": b""})
    registry.faults = [Fault("?path", status=200, body=json.dumps(answer).encode())]
    with pytest.raises(StorageError) as caught:
        origin().open()
    assert "secret" not in str(caught.value)


def test_ngc_27_a_registry_that_is_not_trusted(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable that helps is named; there is one try."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    refused(registry, AccessError, "TLS failed", "REQUESTS_CA_BUNDLE")
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
    """By flag; a guest is told of it in the log, and the key is shown nowhere."""
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
    """A registry, or a proxy before it, may tell what it was asked with."""
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
    refused(registry, StorageError, "418; are NGC_CLI_API_URL and")


def test_ngc_27_a_storage_that_lost_the_file(registry: NgcServer) -> None:
    """The registry lists it all the same."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("X-Amz", status=404)]
    with pytest.raises(NotFoundError, match="its storage does not have it"):
        origin().open()


@pytest.mark.parametrize("body", [b"{}", b'{"token": 1}', b'{"token": "a b\\n"}', b"<html>"])
def test_an_authentication_service_that_gives_no_token(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """It is not taken for a refused key."""
    registry.add(TARGET, {"a.bin": DATA})
    monkeypatch.setenv("NGC_CLI_API_KEY", "an-old-key")
    registry.faults = [Fault("/token", status=200, body=body)]
    refused(registry, StorageError)


def test_a_key_is_not_sent_to_where_the_authentication_service_points(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes there as a password: no redirect is followed."""
    monkeypatch.setenv("NGC_CLI_API_KEY", "an-old-key")
    registry.faults = [Fault("/token", status=307, headers={"Location": "{other}/token"})]
    refused(registry, StorageError, "307; are NGC_CLI_API_URL and NGC_CLI_AUTH_URL")
    assert len(registry.requests) == 1


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (requests.ReadTimeout("/?secret"), StoreTimeoutError),
        (ReadTimeoutError(cast("Any", None), "/?secret", "late"), StoreTimeoutError),
        (requests.ConnectionError(MaxRetryError(cast("Any", None), "/?secret")), UnavailableError),
        (requests.TooManyRedirects("/?secret"), StorageError),
        (requests.exceptions.InvalidURL("/?secret"), StorageError),
        (requests.exceptions.InvalidSchema("/?secret"), StorageError),
        (ProtocolError("/?secret"), UnavailableError),
    ],
)
def test_no_error_shows_a_whole_url(raised: Exception, kind: type[StorageError]) -> None:
    """Not even as its cause: the query of a presigned URL is a credential."""
    with pytest.raises(kind) as caught, plain_errors("about", "ngc://model/a/b"):
        raise raised
    assert type(caught.value) is kind
    assert caught.value.url == "ngc://model/a/b"
    assert "secret" not in "".join(traceback.format_exception(caught.value))
