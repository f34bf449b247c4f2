"""Tokens, and files of them, as a program writes them that renews tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any


def write_token(file: Path, token: str) -> Path:
    """Replace a token file at once; return it."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"token": token}))
    return new.replace(file)


def new_jwt(
    key: str, *, expires_in_s: float = 3600.0, algorithm: str = "HS256", **claims: Any
) -> str:
    """Return a token as AuthN signs it, by default an administrator's.

    Source:
        RFC 7519; the claims are those of AuthN of AIStore 5.0.
    """
    header = {"alg": algorithm, "typ": "JWT"}
    body = {"sub": "tester", "exp": time.time() + expires_in_s, "admin": True, **claims}
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in (header, body))
    signature = hmac.new(key.encode(), signed, hashlib.sha256).digest()
    return f"{signed.decode()}.{_base64url(signature).decode()}"


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
