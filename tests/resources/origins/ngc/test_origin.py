"""A file of NVIDIA's registry: found, read, gone on with, and every refusal told apart."""

from __future__ import annotations

import hashlib
import json
import traceback
from pathlib import Path
from typing import Any

import pytest

from aisio.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    DigestError,
    IntegrityError,
    StorageError,
    ThrottledError,
    TruncatedError,
    UnavailableError,
)
from aisio.resources.download.download import download
from tests.resources.ngc_origin import TARGET, origin, read
from tests.resources.ngc_server import KEY, OLD_KEY, Fault, NgcServer

DATA = bytes(range(256)) * 400


@pytest.mark.parametrize("kind", ["model", "resource"])
@pytest.mark.parametrize("target", [TARGET, "nvidia/esm:2.0"])
@pytest.mark.parametrize("key", [None, KEY, OLD_KEY])
def test_ngc_24_the_one_file_asked_for_is_read(
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
    """Until then it lies beside it; where the connection is cut, the rest alone is asked for."""
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
    """A cut, an address that expired meanwhile, a busy storage: no byte is asked for twice."""
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


@pytest.mark.parametrize("filename", ["a.bin", "sub/a.bin"])
def test_ngc_25_the_latest_version_and_a_nested_file_are_found(
    registry: NgcServer, filename: str
) -> None:
    """Without a version the latest is read; a name is enough where one file has it."""
    registry.add("nvidia/clara/esm:1.0", {"deep/sub/a.bin": b"old"})
    registry.add(TARGET, {"deep/sub/a.bin": DATA, "a.bin.md5": b""})
    assert read(origin(filename, "nvidia/clara/esm")) == DATA


def test_ngc_25_a_file_of_that_very_path_comes_before_a_nested_one(registry: NgcServer) -> None:
    """Also where it stands on a later page."""
    registry.files_a_page = 1
    registry.add(TARGET, {"x/a.bin": b"nested", "y/a.bin": b"nested", "a.bin": DATA, "z": b""})
    assert read(origin()) == DATA
    pages = [name for name in registry.asked() if "page-number" in name]
    assert [name[-1] for name in pages] == ["1", "2"]


def test_ngc_25_several_files_of_that_name_are_named(registry: NgcServer) -> None:
    """None of them is guessed to be the one."""
    registry.add(TARGET, {"x/a.bin": b"1", "y/a.bin": b"2"})
    with pytest.raises(ConflictError, match=r"2 files 'a\.bin': .*: x/a\.bin, y/a\.bin$"):
        origin().open()


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
    """The error says where one can be named, and nothing is asked."""
    with pytest.raises(ConfigError, match="'esm' names no organisation: .* or set NGC_CLI_ORG"):
        origin(target="esm").open()
    assert not registry.requests


@pytest.mark.parametrize("start", [0, 1, len(DATA) - 1])
def test_a_reply_begins_where_it_was_asked_to(registry: NgcServer, start: int) -> None:
    """Of the file's size it tells the whole."""
    registry.add(TARGET, {"a.bin": DATA})
    reply = origin().open(start)
    assert (reply.start, reply.size_bytes) == (start, len(DATA))
    reply.close()
    assert read(origin(), start) == DATA[start:]


def test_a_reply_begins_at_zero_where_there_is_no_such_byte(registry: NgcServer) -> None:
    """The file became shorter than what is there of it."""
    registry.add(TARGET, {"a.bin": b"short"})
    assert read(origin(), 5) == b"short"


@pytest.mark.parametrize("name", ["a b%20[1]*.bin", "a+b=c&d?e#f", "\N{GREEK SMALL LETTER PI}"])
def test_odd_names_are_taken_as_they_are(registry: NgcServer, name: str) -> None:
    """No part of them is a pattern, a quote or a query."""
    registry.add("nvidia/a b%20c:v 1", {name: DATA, "a b%20[1]x.bin": b""})
    assert read(origin(name, "nvidia/a b%20c:v 1")) == DATA


@pytest.mark.parametrize("start", [0, 7])
def test_a_size_that_is_not_listed_is_the_storages(registry: NgcServer, start: int) -> None:
    """A cut is seen all the same."""
    registry.add(TARGET, {"a.bin": DATA}).sizes = False
    assert read(origin(), start) == DATA[start:]
    registry.faults = [Fault("X-Amz", cut_at=1000)]
    with pytest.raises(TruncatedError, match=f"cut at byte {start + 1000} of {len(DATA)}"):
        read(origin(), start)


def test_an_empty_file_is_read(registry: NgcServer) -> None:
    """No range is asked of it."""
    registry.add(TARGET, {"a.bin": b""})
    assert read(origin()) == b""


def test_a_storage_without_ranges_begins_at_zero(registry: NgcServer) -> None:
    """The reply says so."""
    registry.add(TARGET, {"a.bin": b"12345"})
    registry.faults = [Fault("X-Amz", status=200, body=b"12345")]
    reply = origin().open(2)
    assert reply.start == 0
    reply.close()


def test_the_version_is_the_same_as_long_as_the_bytes_are(registry: NgcServer) -> None:
    """It changes with the registry's version, with the digest, and with the ETag."""
    item = registry.add(TARGET, {"a.bin": DATA})
    versions = [origin().open().version for _ in range(2)]
    item.versions["2.0"].files["a.bin"] = DATA + b"x"
    versions.append(origin().open().version)
    registry.add("nvidia/clara/esm:3.0", {"a.bin": DATA})
    versions.append(origin(target="nvidia/clara/esm").open().version)
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


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


@pytest.mark.parametrize("digest", ["", "no base64", "c2hvcnQ=", "\u00e4"])
def test_what_is_no_digest_counts_as_none(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch, digest: str
) -> None:
    """Of an algorithm that we do not know, say."""
    monkeypatch.setattr("tests.resources.ngc_answers._digest", lambda data: digest)
    registry.add(TARGET, {"a.bin": DATA})
    reply = origin().open()
    assert reply.sha256 is None
    reply.close()


@pytest.mark.parametrize("etag", [{}, {"ETag": 'W/"weak"'}])
def test_without_digest_and_strong_etag_there_is_no_version(
    registry: NgcServer, etag: dict[str, str]
) -> None:
    """Nothing is gone on with that may have changed."""
    registry.add(TARGET, {"a.bin": b"12345"}).digests = False
    registry.faults = [Fault("X-Amz", status=200, body=b"12345", headers=etag)]
    assert origin().open().version is None
    assert origin().open().version is not None


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


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_expired_address_is_asked_for_anew(registry: NgcServer, status: int) -> None:
    """The download goes on with the new one."""
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
def test_what_passes_by_itself_is_tried_again(
    registry: NgcServer, where: str, status: int, body: bytes
) -> None:
    """Too many requests, a registry that is down for a moment, a connection that breaks."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault(where, status, body, {"Retry-After": "0"})] * 2
    assert read(origin()) == DATA
    assert not registry.faults


def test_an_answer_that_is_cut_is_asked_for_again(registry: NgcServer) -> None:
    """It is not taken for garbage."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("/versions", cut_at=3), Fault("?path=", cut_at=3)]
    assert read(origin()) == DATA


@pytest.mark.parametrize(
    ("status", "kind"), [(429, ThrottledError), (503, UnavailableError), (0, UnavailableError)]
)
def test_the_tries_have_an_end(registry: NgcServer, status: int, kind: type[StorageError]) -> None:
    """The error says how many there were, and that no outer loop need try again."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("/versions", status, b"", {"Retry-After": "0"})] * 9
    with pytest.raises(kind, match="gave up after 3 tries") as caught:
        origin().open()
    assert caught.value.given_up
    assert len(registry.requests) == 3


def test_a_cut_body_is_told_from_a_whole_one(registry: NgcServer) -> None:
    """With the byte that it was cut at."""
    registry.add(TARGET, {"a.bin": DATA})
    registry.faults = [Fault("X-Amz", cut_at=1000)]
    with pytest.raises(
        TruncatedError, match=f"a.bin from localhost:.*: cut at byte 1000 of {len(DATA)}"
    ):
        read(origin())


@pytest.mark.parametrize(
    "fault",
    [
        Fault("X-Amz", shift=1),
        Fault("X-Amz", status=206, body=b"2345", headers={"Content-Range": "bytes 2-5/6"}),
        Fault("X-Amz", status=206, body=b"345"),
        Fault("X-Amz", status=206, body=b"345", headers={"Content-Range": "bytes 1-4/5"}),
        Fault("X-Amz", status=200, body=b"123456"),
    ],
)
def test_other_bytes_than_asked_for_are_refused(registry: NgcServer, fault: Fault) -> None:
    """A wrong range, one of a file of another size, none at all, a wrong one, and another size."""
    registry.add(TARGET, {"a.bin": b"12345"})
    registry.faults = [fault]
    with pytest.raises(IntegrityError, match="a.bin from localhost"):
        origin().open(2)


def test_a_token_that_has_ended_is_renewed(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of the old kind is asked a new one for, once."""
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


def test_nothing_is_asked_before_it_is_opened(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of that moment counts."""
    registry.add(TARGET, {"a.bin": DATA}).public = False
    source = origin()
    monkeypatch.setenv("NGC_CLI_API_KEY", KEY)
    assert read(source) == DATA
    assert source.url == f"ngc://model/{TARGET}/a.bin"
