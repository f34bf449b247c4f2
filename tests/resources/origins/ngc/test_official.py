"""NVIDIA's own client against the server that ours is tested with, and ours beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ngcbase.api.authentication
import ngcbase.environ
import ngcsdk
import pytest
from ngcbase.errors import NgcException, ResourceNotFoundException

from aisio.resources.bionemo import default_ngc_client
from aisio.resources.origins.ngc.origin import NgcOrigin
from aisio.resources.origins.ngc.settings import load_ngc_settings
from tests.resources.certificates import Authority
from tests.resources.ngc_server import KEY, OLD_KEY, NgcServer, registry_for_a_guest

DATA = bytes(range(256)) * 400
TARGET = "nvidia/clara/esm:2.0"
KEYS = [None, KEY, OLD_KEY]


@pytest.fixture
def registry(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NgcServer]:
    """Run a registry for both clients: theirs reads the environment at import."""
    with registry_for_a_guest(authority, tmp_path, monkeypatch) as server:
        # Theirs writes it; so it is taken back.
        monkeypatch.setenv("NGC_CLI_GUEST_TOKEN", "5c3b6b4e-3a0a-4b0e-9b0c-2f7f8f0f6a11")
        monkeypatch.setattr(ngcbase.environ, "NGC_CLI_API_URL", server.url)
        monkeypatch.setattr(ngcbase.api.authentication, "NGC_CLI_AUTH_URL", server.url)
        yield server


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets key and organisation for both clients."""

    def set_key(key: str | None) -> None:
        for name, value in (("NGC_CLI_API_KEY", key), ("NGC_CLI_ORG", key and "mine")):
            monkeypatch.setenv(name, value or "")
            monkeypatch.setattr(ngcbase.environ, name, value)
        monkeypatch.setattr(ngcbase.environ, "NGC_CLI_TEAM", None)
        monkeypatch.setattr(ngcbase.environ, "NGC_CLI_HOME", None)
        ngcbase.api.authentication.Authentication.clear_in_memory_cache()

    return set_key


def theirs(folder: Path, kind: str = "model", target: str = TARGET) -> bytes:
    """Download a.bin by the official client."""
    client = ngcsdk.Client()
    client.configure()
    by_kind = getattr(client.registry, kind)
    done = by_kind.download_version(target, str(folder), file_patterns=["a.bin"])
    return (Path(done.path) / "a.bin").read_bytes()


def ours(kind: Any = "model", target: str = TARGET, **options: Any) -> bytes:
    """Read a.bin by our own."""
    reply = NgcOrigin(target, kind, "a.bin", **options).open()
    data, piece = bytearray(), memoryview(bytearray(65536))
    while count := reply.readinto(piece):
        data += piece[:count]
    reply.close()
    return bytes(data)


def paths(server: NgcServer) -> list[str]:
    """Return the requested paths in the order of their first request, and forget them."""
    asked = [target.replace("%2F", "/").replace("%3A", ":") for target in server.asked()]
    server.requests.clear()
    return list(dict.fromkeys(asked))


@pytest.mark.parametrize("kind", ["model", "resource"])
@pytest.mark.parametrize("key", KEYS)
def test_ngc_26_both_clients_read_the_same(
    registry: NgcServer, tmp_path: Path, as_user: Any, key: str | None, kind: str
) -> None:
    """Their requests include all of ours, with the same paths; as a guest and with each key."""
    as_user(key)
    registry.add(TARGET, {"a.bin": DATA, "b.bin": b""}, kind)
    assert theirs(tmp_path, kind) == DATA
    asked_by_them = paths(registry)
    assert ours(kind) == DATA
    asked_by_us = paths(registry)
    assert len(asked_by_us) == (5 if key == OLD_KEY else 4)
    assert set(asked_by_us) <= set(asked_by_them)


@pytest.mark.parametrize("key", [None, KEY])
def test_ngc_26_both_clients_send_the_same_headers(
    registry: NgcServer, tmp_path: Path, as_user: Any, key: str | None
) -> None:
    """A guest's token without a key; a bearer token and the organisation with one."""
    as_user(key)
    registry.add(TARGET, {"a.bin": DATA})
    told = []
    for read in (lambda: theirs(tmp_path), ours):
        registry.requests.clear()
        assert read() == DATA
        list_of_files = next(one for one in registry.requests if "page-size" in one.target)
        told.append(
            {
                name: list_of_files.headers[name]
                for name in ("Authorization", "X-NGC-Guest-Token", "nv-ngc-org", "nv-ngc-team")
            }
        )
    assert told[0] == told[1]
    assert bool(told[0]["Authorization"]) == bool(key)


@pytest.mark.parametrize("target", ["nvidia/clara/esm", "nvidia/esm"])
def test_both_clients_read_the_latest_version_page_by_page(
    registry: NgcServer, tmp_path: Path, as_user: Any, target: str
) -> None:
    """Pages are counted from 0 by both; with a team and without."""
    as_user(None)
    registry.files_a_page = 1
    registry.add(f"{target}:1.0", {"a.bin": b"old"})
    registry.add(f"{target}:2.0", {"b.bin": b"", "a.bin": DATA})
    assert theirs(tmp_path, target=target) == ours(target=target) == DATA


def test_both_clients_are_refused_the_same_things(
    registry: NgcServer, tmp_path: Path, as_user: Any
) -> None:
    """What is an error for theirs is one for ours."""
    as_user(None)
    item = registry.add(TARGET, {"a.bin": DATA})
    registry.add("nvidia/clara/esm:3.0", {"b.bin": DATA})
    registry.add("nvidia/clara/esm:4.0", {"a.bin": DATA}).versions["4.0"].status = "CREATED"
    for target, kind in [
        ("nvidia/clara/esm:9.9", ResourceNotFoundException),
        ("nvidia/clara/none:2.0", ResourceNotFoundException),
        ("nvidia/clara/esm:3.0", NgcException),
        ("nvidia/clara/esm:4.0", NgcException),
    ]:
        with pytest.raises(kind):
            theirs(tmp_path, target=target)
        with pytest.raises(OSError, match="clara"):
            ours(target=target)
    item.licence_missing = True
    with pytest.raises(NgcException, match="412") as caught:
        theirs(tmp_path)
    page = str(caught.value).splitlines()[-1]
    with pytest.raises(PermissionError, match="412") as told:
        ours()
    assert page in str(told.value)


def test_ngc_26_their_fallback_to_a_guest_is_broken_and_ours_is_not(
    registry: NgcServer, as_user: Any
) -> None:
    """BioNeMo passes ace_name, which the client no longer has; ours continues as a guest."""
    as_user("an-old-bad-key")
    registry.add(TARGET, {"a.bin": DATA})
    with pytest.raises(ValueError, match="Invalid apikey"):
        ngcsdk.Client().configure()
    with pytest.raises(TypeError, match="ace_name"):
        ngcsdk.Client("no-apikey").configure(api_key="no-apikey", ace_name="no-ace")
    assert ours() == DATA
    with pytest.raises(ValueError, match="NGC_CLI_API_KEY"):
        ours(use_guest_if_key_invalid=False)


@pytest.mark.parametrize("key", ["an-old-bad-key", "nvapi-a-bad-key"])
def test_ngc_26_bionemos_function_gives_a_client_that_is_a_guest(
    registry: NgcServer, tmp_path: Path, as_user: Any, key: str
) -> None:
    """With the current client; or it raises a ValueError, by flag."""
    as_user(key)
    registry.add(TARGET, {"a.bin": DATA})
    client = default_ngc_client()
    done = client.registry.model.download_version(TARGET, str(tmp_path), file_patterns=["a.bin"])
    assert (Path(done.path) / "a.bin").read_bytes() == DATA
    with pytest.raises(ValueError, match="key"):
        default_ngc_client(use_guest_if_api_key_invalid=False)


def test_both_clients_read_the_same_file_of_settings(
    registry: NgcServer, tmp_path: Path, as_user: Any
) -> None:
    """Key and organisation from ~/.ngc/config."""
    as_user(None)
    registry.add(TARGET, {"a.bin": DATA}).public = False
    (tmp_path / ".ngc").mkdir()
    (tmp_path / ".ngc" / "config").write_text(f"[CURRENT]\napikey = {KEY}\norg = mine\n", "utf-8")
    client = ngcsdk.Client()
    found = load_ngc_settings()
    assert (
        (found.key, found.org) == (client.config.app_key, client.config.org_name) == (KEY, "mine")
    )
    assert theirs(tmp_path) == ours() == DATA
