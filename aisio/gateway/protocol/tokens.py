"""Checks the tokens of AuthN, which are JSON Web Tokens signed with a shared key. Pure.

Source:
    RFC 7519 and RFC 7515; the texts are AIStore's, seen on a live cluster of release 5.0 with
    `auth.client_auth_required` and `auth.signature` {"method": "HS256"}.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from binascii import Error
from collections.abc import Mapping
from typing import Any, TypeGuard

from aisio.gateway.protocol.refusals import Refusal

_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def check_jwt(token: str, key: bytes, now_s: float) -> None:
    """Check that a token was signed with the key, is valid now, and is an administrator's.

    AIStore knows finer permissions. The gateway would have to check them for each action, so it
    refuses tokens without the claim "admin".

    Args:
        token: Header, claims and signature, each encoded in base64url, joined by dots.
        key: The shared key.
        now_s: Seconds since 1970.

    Raises:
        Refusal: 401: malformed, not signed with the key, expired, or not valid yet. 403: not an
            administrator's.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise _invalid("token is malformed: token contains an invalid number of segments")
    header, claims, signature = _json(parts[0]), _json(parts[1]), _decoded(parts[2])
    new_hash = _HASHES.get(str(header.get("alg")))
    if new_hash is None:
        raise _invalid(f"token is unverifiable: unexpected signing method: {header.get('alg')}")
    signed = f"{parts[0]}.{parts[1]}".encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(hmac.new(key, signed, new_hash).digest(), signature):
        raise _invalid("token signature is invalid: signature is invalid")
    expires_s = claims.get("exp")
    if not _is_number(expires_s):
        raise _invalid("token is missing required claim: exp claim is required")
    if not now_s < expires_s:  # so that NaN, which Python's json reads, is not for ever
        raise _invalid("token expired")
    begins_s = claims.get("nbf", 0)
    if not _is_number(begins_s) or not begins_s <= now_s:
        raise _invalid("token is not valid yet")
    subject = claims.get("sub")
    if not subject:
        raise _invalid("missing 'sub' claim")
    if claims.get("admin") is not True:
        raise Refusal(
            403,
            f"user `{subject}` has insufficient permissions: the embedded gateway accepts only "
            f"tokens with the claim 'admin'",
        )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _json(part: str) -> Mapping[str, Any]:
    try:
        value = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _invalid("token is malformed: could not JSON decode")
    return value


def _decoded(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (Error, ValueError):
        raise _invalid("token is malformed: could not base64 decode") from None


def _invalid(reason: str) -> Refusal:
    # Not the token itself: messages go into logs.
    text = f'invalid token from header "Authorization": invalid token [err: {reason}]'
    return Refusal(401, text, tcode="wrapError")
