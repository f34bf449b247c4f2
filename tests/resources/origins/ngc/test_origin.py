"""A file of NVIDIA's registry is read and resumed, whatever happens on the way."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path
from typing import Any

import pytest

from aisio.errors import (
    AccessError,
    ConfigError,
    DigestError,
)
from aisio.resources.download.download import download
from tests.resources.ngc_origin import TARGET, origin, read
from tests.resources.ngc_server import KEY, OLD_KEY, Fault, NgcServer

DATA = bytes(range(256)) * 400


@pytest.mark.parametrize("kind", ["model", "resource"])
@pytest.mark.parametrize("target", [TARGET, "nvidia/esm:2.0"])
@pytest.mark.parametrize("key", [None, KEY, OLD_KEY])
def test_ngc_24_the_requested_file_is_read(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch, key: str | None, target: str, kind: Any
) -> None:
    """Of models and resources, in a team or not, by a guest, a key, and a key of the old kind."""
    registry.add(target, {"b.bin": b"other", "a.bin": DATA}, kind)
    if key:
        monkeypatch.setenv("NGC_CLI_API_KEY", key)
    assert read(origin(target=target, kind=kind)) == DATA
    assert registry.requests[-1].headers["Accept-Encoding"] == "identity"
    assert len([name for name in registry.asked() if name.endswith(".bin")]) == 2
    assert not any("b.bin" in name for name in registry.asked())


@pytest.mark.parametrize("cut_at", [None, 50_000])
def test_ngc_24_it_gets_its_name_when_it_is_whole(
    registry: NgcServer, tmp_path: Path, cut_at: int | None
) -> None:
    """Until then it has another name. After a cut connection only the rest is requested."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("X-Amz", cut_at=cut_at)]
    target, seen = tmp_path / "cache" / "file", []
    target.parent.mkdir()

    def look(*_: object) -> None:
        seen.append([path.name for path in target.parent.iterdir()])

    download([origin()], target, digest=hashlib.sha256(DATA).hexdigest(), on_progress=look)
    assert target.read_bytes() == DATA
    assert seen
    assert all(names and "file" not in names for names in seen)
    assert list(target.parent.iterdir()) == [target]
    ranges = [
        request.headers["Range"] for request in registry.requests if "X-Amz" in request.target
    ]
    assert ranges == ([None, f"bytes={cut_at}-"] if cut_at else [None])


def test_ngc_24_a_download_survives_all_that_can_happen_to_it(
    registry: NgcServer, tmp_path: Path
) -> None:
    """A cut, an expired URL, a busy storage: no byte is requested twice."""
    registry.add(TARGET, {"a.bin": DATA})
    busy = Fault("X-Amz", 503, headers={"Retry-After": "0"})
    registry.faults = [Fault("X-Amz", cut_at=10_000), Fault("X-Amz", 403), busy]
    registry.faults += [Fault("X-Amz", cut_at=20_000), Fault("?path=", 0), Fault("X-Amz", 0)]
    download([origin()], tmp_path / "file", digest=hashlib.sha256(DATA).hexdigest())
    assert (tmp_path / "file").read_bytes() == DATA
    assert not registry.faults
    ranges = [one.headers["Range"] for one in registry.requests if "X-Amz" in one.target]
    starts = [int(text[6:-1]) for text in ranges if text]
    assert starts == sorted(starts)
    assert set(starts) == {10_000, 30_000}


@pytest.mark.parametrize("version", ["1.0", None])
def test_a_bare_name_is_in_the_organisation_of_the_settings(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """And in the team of the settings."""
    registry.add("mine/ours/esm:1.0", {"a.bin": DATA})
    monkeypatch.setenv("NGC_CLI_ORG", "mine")
    monkeypatch.setenv("NGC_CLI_TEAM", "ours")
    assert read(origin(target=f"esm:{version}" if version else "esm")) == DATA


def test_a_bare_name_without_an_organisation_is_refused(registry: NgcServer) -> None:
    """The error says where to name one, and there is no request."""
    with pytest.raises(ConfigError, match="'esm' names no organisation: .* or set NGC_CLI_ORG"):
        origin(target="esm").open()
    assert not registry.requests


def test_a_response_starts_at_zero_where_there_is_no_such_byte(registry: NgcServer) -> None:
    """The file is now shorter than the partial file."""
    registry.add(TARGET, {"a.bin": b"short"})
    assert read(origin(), 5) == b"short"


@pytest.mark.parametrize("digest", [None, "md5"])
def test_the_registrys_digest_is_checked_where_the_catalog_has_none(
    registry: NgcServer, tmp_path: Path, digest: str | None
) -> None:
    """A wrong byte of the right length is a DigestError; the catalog's own digest goes first."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("X-Amz", status=200, body=b"?" + DATA[1:])]
    target = tmp_path / "cache" / "file"
    target.parent.mkdir()
    given = digest and f"md5:{hashlib.md5(b'?' + DATA[1:]).hexdigest()}"
    if given:
        download([origin()], target, digest=given)
        return
    expected = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(DigestError, match=f"expected {expected} but got .* itself promises"):
        download([origin()], target, digest=None)
    assert list(target.parent.iterdir()) == []
    assert download([origin()], target, digest=None) == expected


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_expired_url_is_requested_again(registry: NgcServer, status: int) -> None:
    """The download continues with the new one."""
    registry.add(TARGET, {"a.bin": DATA})
    source = origin()
    assert read(source) == DATA
    registry.faults = [Fault("X-Amz", status)]
    assert read(source, 100) == DATA[100:]
    assert len([name for name in registry.asked() if "?path=" in name]) == 2


def test_an_address_that_is_refused_again_is_not_shown(registry: NgcServer) -> None:
    """It is a credential; the error says that the storage refuses it."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("X-Amz", status=403, body=b"X-Amz-Signature=")] * 2
    with pytest.raises(AccessError, match="403; the storage refuses") as caught:
        origin().open()
    assert "X-Amz" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("status", "body"), [(429, b""), (503, b"busy"), (500, b""), (0, b"")])
@pytest.mark.parametrize("where", ["/versions", "?path=", "X-Amz"])
def test_what_may_pass_is_retried(
    registry: NgcServer, where: str, status: int, body: bytes
) -> None:
    """Too many requests, a registry that is down for a moment, a connection that breaks."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault(where, status, body, {"Retry-After": "0"})] * 2
    assert read(origin()) == DATA
    assert not registry.faults


def test_nothing_is_requested_before_it_is_opened(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of that moment counts."""
    registry.add(TARGET, {"a.bin": DATA}).public = False
    source = origin()
    monkeypatch.setenv("NGC_CLI_API_KEY", KEY)
    assert read(source) == DATA
    assert source.url == f"ngc://model/{TARGET}/a.bin"
