"""Tokens of AuthN: who signed them, for how long, and for whom."""

from __future__ import annotations

import time
from typing import Any

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.tokens import check_jwt
from tests.token_file import new_jwt

KEY = "k3y"


def refusal_of(token: str) -> Refusal:
    """Return the refusal of a token, which does not show it."""
    with pytest.raises(Refusal) as caught:
        check_jwt(token, KEY.encode(), time.time())
    assert token not in caught.value.message
    return caught.value


def test_an_administrators_token_is_accepted() -> None:
    """Until it expires."""
    token = new_jwt(KEY, expires_in_s=60)
    check_jwt(token, KEY.encode(), time.time())
    check_jwt(new_jwt(KEY, nbf=time.time()), KEY.encode(), time.time())
    with pytest.raises(Refusal, match="token expired"):
        check_jwt(token, KEY.encode(), time.time() + 61)


def test_the_official_library_agrees() -> None:
    """A token of PyJWT, with each hash that AIStore allows."""
    jwt = pytest.importorskip("jwt")
    claims = {"sub": "me", "exp": time.time() + 60, "admin": True}
    for algorithm in ("HS256", "HS384", "HS512"):
        check_jwt(jwt.encode(claims, "k" * 64, algorithm), b"k" * 64, time.time())


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("garbage", "invalid number of segments"),
        ("a.b.c", "could not"),
        ("\udcff.é.c", "could not"),
        (new_jwt("other"), "signature is invalid"),
        (new_jwt(KEY, algorithm="none"), "unexpected signing method: none"),
        (new_jwt(KEY, exp=None), "exp claim is required"),
        (new_jwt(KEY, sub=""), "missing 'sub' claim"),
        (new_jwt(KEY, expires_in_s=-1), r"token expired"),
        (new_jwt(KEY, exp=float("nan")), r"token expired"),
        (new_jwt(KEY, nbf=time.time() + 1e6), r"token is not valid yet"),
        (new_jwt(KEY, nbf="soon"), r"token is not valid yet"),
    ],
)
def test_any_other_token_is_a_401(token: str, reason: str) -> None:
    """With the words of AIStore, by which people search."""
    refusal = refusal_of(token)
    assert refusal.status == 401
    assert refusal.message.startswith('invalid token from header "Authorization": invalid token')
    assert reason in refusal.message


@pytest.mark.parametrize(
    "claims", [{"admin": False}, {"admin": "true"}, {"buckets": [], "admin": 0}]
)
def test_a_users_token_is_a_403(claims: dict[str, Any]) -> None:
    """The gateway does not know finer permissions, and grants none in their place."""
    refusal = refusal_of(new_jwt(KEY, **claims))
    assert refusal.status == 403
    assert "user `tester` has insufficient permissions" in refusal.message
