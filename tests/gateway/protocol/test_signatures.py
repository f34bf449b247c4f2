"""Signatures of redirects: for one method, path and body length."""

from __future__ import annotations

from base64 import b64decode

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.signatures import RedirectSigner

pytest.importorskip("cryptography")

PATH = "/v1/objects/b/a b%é"


@pytest.fixture(scope="module")
def signer() -> RedirectSigner:
    """Return the signer of a proxy."""
    return RedirectSigner("p1")


def test_what_was_signed_is_verified(signer: RedirectSigner) -> None:
    """As often as one likes, with whatever else is in the query."""
    query = {"pid": "p1", "provider": "ais", **signer.sign("PUT", PATH, 5)}
    for _ in range(2):
        signer.verify("PUT", PATH, 5, query)


def test_each_redirect_has_another_signature(signer: RedirectSigner) -> None:
    """The nonce is in it."""
    first, second = (signer.sign("GET", PATH, 0) for _ in range(2))
    assert first["u"] != second["u"]
    assert int(second["x"], 36) == int(first["x"], 36) + 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"u": ""}, "missing signature"),
        ({"u": "abc"}, "invalid signature length: 3"),
        ({"u": "A" * 86}, "node signature verification failed"),
        ({"x": "1"}, "node signature verification failed"),
        ({"x": "-1"}, "invalid signature encoding"),
        ({"vpams": "?"}, "invalid signature encoding"),
        ({"pid": "p2"}, "cannot verify request: node p2 not present"),
    ],
)
def test_a_changed_query_is_refused(
    signer: RedirectSigner, changes: dict[str, str], reason: str
) -> None:
    """With AIStore's words."""
    query = {"pid": "p1", **signer.sign("GET", PATH, 0), **changes}
    with pytest.raises(Refusal, match=reason) as caught:
        signer.verify("GET", PATH, 0, query)
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("method", "path", "length"),
    [("PUT", PATH, 0), ("GET", "/v1/objects/b/c", 0), ("GET", PATH, 1)],
)
def test_another_request_is_refused(
    signer: RedirectSigner, method: str, path: str, length: int
) -> None:
    """A redirect to read an object is no permission to write it."""
    query = {"pid": "p1", **signer.sign("GET", PATH, 0)}
    with pytest.raises(Refusal, match="verification failed"):
        signer.verify(method, path, length, query)


def test_a_restart_makes_old_redirects_invalid(signer: RedirectSigner) -> None:
    """The key is in memory only."""
    query = {"pid": "p1", **RedirectSigner("p1").sign("GET", PATH, 0)}
    with pytest.raises(Refusal, match="verification failed"):
        signer.verify("GET", PATH, 0, query)


def test_the_map_shows_the_public_key(signer: RedirectSigner) -> None:
    """32 bytes, as Ed25519 has."""
    assert len(b64decode(signer.verifying_key)) == 32


def test_a_signature_of_a_live_cluster_has_this_form(signer: RedirectSigner) -> None:
    """Seen on AIStore's main branch: 86 letters of base64url, and two numbers of base 36."""
    query = signer.sign("GET", PATH, 0)
    assert len(query["u"]) == 86
    assert not set(query["u"]) & set("+/=")
    assert query["vpams"] == "1"
